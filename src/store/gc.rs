//! Collection: how revisions and then blobs leave.
//!
//! G0 takes `gc.lock`; G1 is a transaction in which blobs without edges become Dying; G2 is a
//! transaction in which those still Dying and without edges leave and lose their rows: small ones are
//! unlinked there, large ones, which can take a second, move to `trash/`; G3 unlinks what is there,
//! outside any lock. An import that needs a Dying blob makes it Present again in its
//! S4, and the transactions exclude each other, so whoever comes second sees the other's work.

use std::collections::HashSet;

use super::index::{PATIENCE, Stamp};
use super::layout::GC_LOCK;
use super::unlink::{empty_dir, remove_all_counted};
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::{Dir, Kind, LockKind, Open, Rename, lock};

/// The largest blob, in bytes, that is unlinked in a transaction: not slower than a move.
const SMALL: u64 = 1 << 20;

/// So many blobs leave in one transaction: others wait for it.
const BATCH: usize = 4096;

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
        #[cfg(feature = "hub")]
        self.forget_listings()?;
        self.mark()?;
        let shared = self.shared_extents()?.saved();
        let taken = self.take_dying()?;
        drop(gc_lock);
        collected.blobs = taken.blobs;
        collected.freed_bytes =
            taken.freed_bytes + self.empty_trash()? + self.empty_quarantine()?;
        if shared > 0 && taken.blobs > 0 {
            // What others have below the file, too, did not come back.
            let stayed = shared.saturating_sub(self.shared_extents()?.saved());
            collected.freed_bytes = collected.freed_bytes.saturating_sub(stayed);
        }
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
        let mut extents = self.shared_extents()?;
        for entry in self.layout.blobs.list()? {
            let Some(blob) = blob_name(&entry) else { continue };
            if needed.contains(&blob) {
                continue;
            }
            let stat = self.layout.blobs.stat(&entry.name)?;
            found.blobs += 1;
            if stat.nlink == 1 {
                found.freed_bytes += stat.allotted.saturating_sub(extents.take(&blob));
            }
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
    fn take_dying(&self) -> Result<Collected> {
        let mut collected = Collected::default();
        loop {
            let taken = self.take_batch(&mut collected)?;
            if taken < BATCH {
                return Ok(collected);
            }
        }
    }

    fn take_batch(&self, collected: &mut Collected) -> Result<usize> {
        let writer = self.index.begin_write()?;
        let error = |e| self.index.error(e);
        let needed: HashSet<_> = writer.manifests().map_err(error)?.into_iter().collect();
        let mut names = Vec::new();
        for entry in self.layout.manifests.list()? {
            if blob_name(&entry).is_some_and(|manifest| !needed.contains(&manifest)) {
                names.push(entry.name);
            }
        }
        let threads = self.threads;
        collected.freed_bytes += remove_all_counted(&self.layout.manifests, &names, threads)?;
        let blobs = writer.collectable(BATCH).map_err(error)?;
        if blobs.is_empty() {
            return Ok(0);
        }
        let mut small = Vec::new();
        for (blob, size) in &blobs {
            if *size <= SMALL {
                small.push(blob.to_string().into());
            } else {
                self.trash(&self.layout.blobs, &blob.to_string())?;
            }
        }
        collected.freed_bytes += remove_all_counted(&self.layout.blobs, &small, threads)?;
        writer.remove_blobs(&blobs).map_err(error)?;
        writer.remove_dead_aliases().map_err(error)?;
        writer.commit().map_err(error)?;
        collected.blobs += blobs.len() as u64;
        Ok(blobs.len())
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
        let entries = trash.list()?;
        // A view must not lose files and come back under its old name.
        if entries.iter().any(|entry| entry.kind == Kind::Dir) {
            trash.sync()?;
        }
        // Trees before blobs: a blob counts as freed when its last link goes.
        let (trees, files): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.kind == Kind::Dir);
        for tree in trees {
            let gone = trash.open_dir(&tree.name).and_then(|dir| {
                let bytes = empty_dir(&dir)?;
                trash.remove_dir(&tree.name)?;
                Ok(bytes)
            });
            match gone {
                Ok(bytes) => freed += bytes,
                // Another process empties it too.
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        let files: Vec<_> = files.into_iter().map(|file| file.name).collect();
        Ok(freed + remove_all_counted(trash, &files, self.threads)?)
    }
}

/// The blob or manifest an entry is named after; anything else in those directories is not ours.
pub(super) fn blob_name(entry: &crate::fs::Entry) -> Option<BlobHash> {
    entry.name.to_str()?.parse().ok()
}
