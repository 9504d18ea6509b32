//! Collection: how revisions and then blobs leave.
//!
//! G0 takes `gc.lock`; G1 is a transaction in which blobs without edges become Dying; G2 is a
//! transaction in which those still Dying and without edges move to `trash/` and lose their rows;
//! G3 unlinks outside any lock. An import that needs a Dying blob makes it Present again in its
//! S4, and the transactions exclude each other, so whoever comes second sees the other's work.

use std::collections::HashSet;

use super::index::{PATIENCE, Stamp};
use super::layout::GC_LOCK;
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::{Dir, Kind, LockKind, Open, Rename, lock};

/// What a collection took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Blobs that left the store.
    pub blobs: u64,
    /// Bytes that came back to the file system. A blob that somebody's hardlink still needs
    /// brings back nothing.
    pub freed_bytes: u64,
    /// Imports of dead processes that were swept.
    pub imports: u64,
}

impl Store {
    /// Collects what no revision needs. `None` when another process is at it (G0) and `wait` is
    /// false.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another collector does not end, and what the index and the file
    /// system say. What was done before an error stays done.
    pub fn collect(&self, wait: bool) -> Result<Option<Collected>> {
        self.check_writable()?;
        let gc_lock = self.layout.root.open_file(GC_LOCK, Open::Ensure)?;
        let patience = if wait { PATIENCE } else { std::time::Duration::ZERO };
        if !lock::wait(&gc_lock, LockKind::Exclusive, patience)? {
            if wait {
                return Err(StoreError::Busy { path: gc_lock.path().into(), waited: PATIENCE });
            }
            return Ok(None);
        }
        let mut collected = Collected { imports: self.sweep_dead_imports()?, ..Default::default() };
        self.forget_dead_views()?;
        self.purge_expired()?;
        self.mark()?;
        collected.blobs = self.move_to_trash()?;
        drop(gc_lock);
        collected.freed_bytes = self.empty_trash()?;
        Ok(Some(collected))
    }

    /// What [`collect`](Self::collect) would take, were it run now.
    ///
    /// # Errors
    /// When the index or `blobs/` cannot be read.
    pub fn collectable(&self) -> Result<Collected> {
        let expired: HashSet<_> = self.expired()?.into_iter().map(|one| one.id).collect();
        let needed = self.index.read(|reader| {
            let mut needed = HashSet::new();
            reader.for_each_edge(|blob, ids| {
                if ids.iter().any(|id| !expired.contains(id)) {
                    needed.insert(blob);
                }
            })?;
            Ok(needed)
        })?;
        let mut found = Collected::default();
        for entry in self.layout.blobs.list()? {
            let Some(blob) = blob_name(&entry) else { continue };
            if needed.contains(&blob) {
                continue;
            }
            let stat = self.layout.blobs.stat(&entry.name)?;
            found.blobs += 1;
            found.freed_bytes += if stat.nlink == 1 { stat.allotted } else { 0 };
        }
        Ok(found)
    }

    /// G1: blobs without edges become Dying. That is so already for those whose revision was
    /// removed; a file without a row, left by a dead import, gets a Dying row here.
    fn mark(&self) -> Result<()> {
        let strays = self.strays()?;
        if strays.is_empty() {
            return Ok(());
        }
        let writer = self.index.begin_write()?;
        let mark = || {
            for (blob, stamp) in &strays {
                // An import may have given it a row since it was listed.
                if writer.blob(blob)?.is_none() {
                    writer.insert_dying(blob, *stamp)?;
                }
            }
            Ok(())
        };
        mark().map_err(|e| self.index.error(e))?;
        writer.commit().map_err(|e| self.index.error(e))
    }

    fn strays(&self) -> Result<Vec<(BlobHash, Stamp)>> {
        let mut files = Vec::new();
        for entry in self.layout.blobs.list()? {
            files.extend(blob_name(&entry));
        }
        let rows = self.index.read(|reader| reader.blobs_of(&files))?;
        let mut strays = Vec::new();
        for (blob, _) in files.iter().zip(rows).filter(|(_, row)| row.is_none()) {
            match self.layout.blobs.stat(blob.to_string()) {
                Ok(stat) => strays.push((*blob, stat.into())),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(strays)
    }

    /// G2. I3: a blob's file leaves `blobs/` only here, in a transaction that sees it Dying and
    /// without edges. Manifests that no revision has leave with them.
    fn move_to_trash(&self) -> Result<u64> {
        let writer = self.index.begin_write()?;
        let error = |e| self.index.error(e);
        let blobs = writer.collectable().map_err(error)?;
        let needed: HashSet<_> = writer.manifests().map_err(error)?.into_iter().collect();
        let manifests = &self.layout.manifests;
        for entry in manifests.list()? {
            if blob_name(&entry).is_some_and(|manifest| !needed.contains(&manifest)) {
                self.trash(manifests, &entry.name.to_string_lossy())?;
            }
        }
        if blobs.is_empty() {
            return Ok(0);
        }
        for (blob, _) in &blobs {
            self.trash(&self.layout.blobs, &blob.to_string())?;
            writer.remove_blob(blob).map_err(error)?;
        }
        writer.remove_dead_aliases().map_err(error)?;
        writer.commit().map_err(error)?;
        Ok(blobs.len() as u64)
    }

    /// Moves `name` out of `from`, to be unlinked when no lock is held.
    pub(crate) fn trash(&self, from: &Dir, name: &str) -> Result<()> {
        let aside = format!("{name}.{:08x}", fastrand::u32(..));
        match from.rename(name, &self.layout.trash, aside, Rename::Replace) {
            // Moved by a transaction that then did not commit.
            Err(e) if e.is_not_found() => Ok(()),
            other => Ok(other?),
        }
    }

    /// G3: unlinks what is in `trash/` and returns the bytes that came back.
    pub(crate) fn empty_trash(&self) -> Result<u64> {
        let trash = &self.layout.trash;
        let mut freed = 0;
        let mut entries = trash.list()?;
        // Trees before blobs: a blob counts as freed when its last link goes.
        entries.sort_unstable_by_key(|entry| entry.kind != Kind::Dir);
        // A view must not lose files and come back under its old name.
        if entries.first().is_some_and(|entry| entry.kind == Kind::Dir) {
            trash.sync()?;
        }
        for entry in entries {
            let gone = if entry.kind == Kind::Dir {
                trash.open_dir(&entry.name).and_then(|dir| {
                    let bytes = empty_dir(&dir)?;
                    trash.remove_dir(&entry.name)?;
                    Ok(bytes)
                })
            } else {
                remove_counted(trash, &entry.name)
            };
            match gone {
                Ok(bytes) => freed += bytes,
                // Another process empties it too.
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(freed)
    }
}

/// Removes everything below `dir` and returns the bytes that came back.
pub(crate) fn empty_dir(dir: &Dir) -> crate::fs::Result<u64> {
    let mut freed = 0;
    for entry in dir.list()? {
        if entry.kind == Kind::Dir {
            freed += empty_dir(&dir.open_dir(&entry.name)?)?;
            dir.remove_dir(&entry.name)?;
        } else {
            freed += remove_counted(dir, &entry.name)?;
        }
    }
    Ok(freed)
}

fn remove_counted(dir: &Dir, name: &std::ffi::OsStr) -> crate::fs::Result<u64> {
    let stat = dir.stat(name)?;
    dir.remove_file(name)?;
    Ok(if stat.nlink == 1 { stat.allotted } else { 0 })
}

/// The blob or manifest an entry is named after; anything else in those directories is not ours.
pub(super) fn blob_name(entry: &crate::fs::Entry) -> Option<BlobHash> {
    entry.name.to_str()?.parse().ok()
}
