//! The trash: revisions that were removed and can be brought back, until their time is over.

use super::index::{RevisionId, TrashedRow};
use super::ingest::now;
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::model::{ModelId, RefName, Revision};

/// A revision in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trashed {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// The refs that pointed to it, in their order.
    pub refs: Vec<RefName>,
    /// How many files it has.
    pub files: u64,
    /// The sum of its files' sizes, in bytes.
    pub size: u64,
    /// When it may go for good, in seconds since the epoch.
    pub until: i64,
    pub(crate) manifest: BlobHash,
    pub(crate) id: RevisionId,
}

impl Store {
    /// The revisions in the trash, those that go next first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn trashed(&self) -> Result<Vec<Trashed>> {
        let rows = self.index.read(|reader| reader.trashed())?;
        let mut trashed: Vec<_> = rows
            .into_iter()
            .map(|(id, TrashedRow { row, refs, until })| Trashed {
                model: row.model,
                revision: row.revision,
                refs,
                files: row.files,
                size: row.size,
                until,
                manifest: row.manifest,
                id,
            })
            .collect();
        trashed.sort_by_key(|one| (one.until, one.id));
        Ok(trashed)
    }

    /// Takes a revision out of the trash. Returns the refs that point to it again: all that it had,
    /// but for those that point elsewhere by now. It counts as used now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not in the trash any more, [`StoreError::ReadOnly`], and
    /// what the index says.
    pub fn restore(&self, trashed: &Trashed) -> Result<Vec<RefName>> {
        self.check_writable()?;
        let writer = self.index.begin_write()?;
        let is_it = |row: &TrashedRow| row.row.manifest == trashed.manifest;
        // A rebuild gives new numbers.
        let restored = match writer.trashed(trashed.id) {
            Ok(row) if row.as_ref().is_some_and(is_it) => writer.restore_revision(trashed.id),
            other => other.map(|_| None),
        };
        let restored = restored.map_err(|e| self.index.error(e))?.ok_or_else(|| {
            let Trashed { model, revision, .. } = trashed;
            StoreError::NotFound { spec: format!("{model}@{} in the trash", revision.short()) }
        })?;
        writer.commit().map_err(|e| self.index.error(e))?;
        self.note_refs(&trashed.model, &trashed.revision, &restored.refs);
        self.touch(&trashed.manifest);
        Ok(restored.refs)
    }

    /// Drops revisions from the trash before their time; a collection takes their blobs.
    pub(crate) fn purge(&self, trashed: &[Trashed]) -> Result<()> {
        if trashed.is_empty() {
            return Ok(());
        }
        let mut blobs = Vec::new();
        for one in trashed {
            blobs.push(self.blobs_of(&one.manifest, one.id)?);
        }
        let writer = self.index.begin_write()?;
        for (one, blobs) in trashed.iter().zip(&blobs) {
            let row = writer.trashed(one.id).map_err(|e| self.index.error(e))?;
            // Restored meanwhile, or of an index that was built anew.
            if row.is_some_and(|row| row.row.manifest == one.manifest) {
                writer.purge_revision(one.id, blobs).map_err(|e| self.index.error(e))?;
            }
        }
        writer.commit().map_err(|e| self.index.error(e))
    }

    /// Drops those whose time is over.
    pub(super) fn purge_expired(&self) -> Result<()> {
        self.purge(&self.expired()?)
    }

    pub(super) fn expired(&self) -> Result<Vec<Trashed>> {
        let mut expired = self.trashed()?;
        let now = now();
        expired.retain(|one| one.until <= now);
        Ok(expired)
    }
}
