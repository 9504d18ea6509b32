//! Leases: a running process's hold on a revision.
//!
//! I6: a lease is alive if and only if its lock file is locked. The lock file of a revision's
//! leases is its manifest: holders lock it shared, and whoever wants to remove the revision must
//! get it exclusive. Nothing is left behind by a holder that dies, and a store that cannot be
//! written can be leased from.

use std::io::ErrorKind;

use super::{Resolved, Result, Store};
use crate::digest::BlobHash;
use crate::error::{FsError, StoreError};
use crate::fs::{File, LockKind, Open, lock};
use crate::store::index::PATIENCE;

/// A hold on a revision: as long as it lives, the revision is not removed.
#[derive(Debug)]
pub struct Lease {
    manifest: File,
}

impl Lease {
    /// The locked file. The lease lives until the last handle on it is closed, in this process or in
    /// one that inherited it.
    ///
    /// # Errors
    /// When the process has no file descriptor to spare.
    pub fn into_file(self) -> Result<std::fs::File> {
        // Only the simulated file system has none.
        let none = || FsError::new("open", self.manifest.path(), ErrorKind::Unsupported.into());
        Ok(self.manifest.os_file()?.ok_or_else(none)?)
    }
}

impl Store {
    /// Takes a lease on a revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the revision is gone.
    pub fn lease(&self, revision: &Resolved) -> Result<Lease> {
        let gone = || StoreError::NotFound {
            spec: format!("{}@{}", revision.model, revision.revision.short()),
        };
        let name = revision.manifest.to_string();
        let file = match self.layout.manifests.open_file(name, Open::Read) {
            Ok(file) => file,
            Err(e) if e.is_not_found() => return Err(gone()),
            Err(e) => return Err(e.into()),
        };
        if !lock::wait(&file, LockKind::Shared, PATIENCE)? {
            return Err(StoreError::Busy { path: file.path().into(), waited: PATIENCE });
        }
        // The revision may have gone between the question and the lock: its remover held the
        // lock until its transaction was through.
        if !self.manifests_of(revision)?.contains(&revision.manifest) {
            return Err(gone());
        }
        Ok(Lease { manifest: file })
    }

    /// A lease on a revision that the caller's transaction is about to make: nobody can remove it
    /// between the commit and the caller's first use.
    pub(super) fn lease_to_be(&self, manifest: &BlobHash) -> Result<Lease> {
        let file = self.layout.manifests.open_file(manifest.to_string(), Open::Read)?;
        // Removers take theirs inside a transaction; others only look.
        if !lock::wait(&file, LockKind::Shared, PATIENCE)? {
            return Err(StoreError::Busy { path: file.path().into(), waited: PATIENCE });
        }
        Ok(Lease { manifest: file })
    }

    /// Whether a running process holds a lease on the revision.
    pub(crate) fn is_leased(&self, revision: &Resolved) -> Result<bool> {
        for manifest in self.manifests_of(revision)? {
            if self.lock_out_leases(&manifest)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The revision's manifest, and those it had before a pull added files to it: views are
    /// registered by them, and leases are locks on them. None when it is gone.
    pub(crate) fn manifests_of(&self, revision: &Resolved) -> Result<Vec<BlobHash>> {
        self.index.read(|reader| {
            let Some(row) = reader.revision(revision.id)? else { return Ok(Vec::new()) };
            // A rebuild gives new numbers.
            if row.model != revision.model || row.revision != revision.revision {
                return Ok(Vec::new());
            }
            let mut all = reader.former(revision.id)?;
            all.push(row.manifest);
            Ok(all)
        })
    }

    /// The manifest's lock, exclusive, or `None` while somebody leases the revision.
    pub(super) fn lock_out_leases(&self, manifest: &BlobHash) -> Result<Option<Option<File>>> {
        let file = match self.layout.manifests.open_file(manifest.to_string(), Open::Read) {
            Ok(file) => file,
            // Nothing to lock: a damaged store must still be able to drop the revision.
            Err(e) if e.is_not_found() => return Ok(Some(None)),
            Err(e) => return Err(e.into()),
        };
        Ok(file.try_lock(LockKind::Exclusive)?.then_some(Some(file)))
    }
}
