//! The quarantine: damaged blobs that nothing could mend. They are not served and not thrown away.
//!
//! A blob in quarantine has left `blobs/` for `quarantine/`, under its name, and keeps its row and
//! its edges: its revisions are degraded, and whole again when its bytes come again by an import or a
//! repair. The index says which blobs are there (I2: such a row is Present without a file).

use std::collections::HashSet;

use super::index::{BlobState, RevisionId};
use super::unlink::remove_all_counted;
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::fs::{File, Open, Rename};

const QUARANTINE: &str = "quarantine";

impl Store {
    /// Takes a blob that was found damaged out of `blobs/`. False when it left the store meanwhile.
    pub(crate) fn quarantine(&self, blob: &BlobHash) -> Result<bool> {
        self.check_writable()?;
        let quarantine = self.layout.root.ensure_dir(QUARANTINE)?;
        self.layout.root.sync()?;
        let writer = self.index.begin_write()?;
        let error = |e| self.index.error(e);
        let row = writer.blob(blob).map_err(error)?;
        // A repair or an import gives a healed blob another stamp.
        if row.is_none_or(|row| row.state != BlobState::Present || !row.stamp.is_of_damaged()) {
            return Ok(false);
        }
        let name = blob.to_string();
        match self.layout.blobs.rename(&name, &quarantine, &name, Rename::Replace) {
            Err(e) if !e.is_not_found() => return Err(e.into()),
            _ => {}
        }
        // Before the row says so: else a crash could leave a row that tells of a file that is gone.
        quarantine.sync()?;
        writer.set_quarantined(blob).map_err(error)?;
        writer.commit().map_err(error)?;
        self.layout.blobs.sync()?;
        Ok(true)
    }

    /// The file of a blob in quarantine, when there is one.
    pub(crate) fn open_quarantined(&self, blob: &BlobHash) -> Option<File> {
        let dir = self.layout.root.open_dir(QUARANTINE).ok()?;
        dir.open_file(blob.to_string(), Open::Read).ok()
    }

    /// The revisions that need a blob in quarantine.
    pub(super) fn degraded(&self) -> Result<HashSet<RevisionId>> {
        self.index.read(|reader| {
            let mut degraded = HashSet::new();
            for blob in reader.quarantined()? {
                degraded.extend(reader.edges(&blob)?);
            }
            Ok(degraded)
        })
    }

    /// Unlinks what is in `quarantine/` of blobs that are whole again, or gone. Returns the bytes
    /// that came back.
    pub(super) fn empty_quarantine(&self) -> Result<u64> {
        let quarantine = match self.layout.root.open_dir(QUARANTINE) {
            Ok(dir) => dir,
            Err(e) if e.is_not_found() => return Ok(0),
            Err(e) => return Err(e.into()),
        };
        // Held, so that nobody puts one there between the question and the unlinking.
        let writer = self.index.begin_write()?;
        let kept = writer.quarantined().map_err(|e| self.index.error(e))?;
        let mut names = Vec::new();
        for entry in quarantine.list()? {
            let blob = entry.name.to_str().and_then(|name| name.parse::<BlobHash>().ok());
            let Some(blob) = blob.filter(|blob| !kept.contains(blob)) else { continue };
            // One that a crash left without a word in the index is kept, until a whole one is there.
            let is_needed = writer.blob(&blob).map_err(|e| self.index.error(e))?.is_some();
            if !is_needed || self.layout.blobs.stat(&entry.name).is_ok() {
                names.push(entry.name);
            }
        }
        Ok(remove_all_counted(&quarantine, &names, self.threads)?)
    }
}
