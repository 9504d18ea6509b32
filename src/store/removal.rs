//! Removal: how revisions leave, at once or by way of the trash.
//!
//! A revision in the trash has no name any more, and nobody can lease it or look at it; its edges
//! stay, so its blobs do. The collector drops it when its time is over.

use super::index::{RevisionId, Writer};
use super::{Resolved, Result, Store};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::File;
use crate::model::RefName;

/// So many revisions go in one transaction: each holds an open file, its lease lock.
const BATCH: usize = 128;

/// Whether a revision could be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Removed,
    /// A running process holds a lease.
    Leased,
    /// The user pinned it.
    Pinned,
    /// Somebody else removed it.
    Gone,
    /// Its manifest cannot be read or locked. The others' can.
    Failed(String),
}

/// How revisions are removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removing {
    /// Pinned ones, too.
    pub even_pinned: bool,
    /// When what is removed may go for good, in seconds since the epoch. `None`: now.
    pub until: Option<i64>,
}

impl Store {
    /// G1's first half: drops the revisions' rows, refs and edges, or puts them in the trash, but
    /// for those that are leased or pinned. The answers are in the revisions' order.
    pub(crate) fn remove_revisions(
        &self,
        revisions: &[Resolved],
        how: Removing,
    ) -> Result<Vec<Removal>> {
        self.check_writable()?;
        let mut removals = Vec::with_capacity(revisions.len());
        for batch in revisions.chunks(BATCH) {
            removals.extend(self.remove_batch(batch, how)?);
        }
        Ok(removals)
    }

    fn remove_batch(&self, revisions: &[Resolved], how: Removing) -> Result<Vec<Removal>> {
        let mut blobs = Vec::new();
        for revision in revisions {
            // What goes to the trash keeps its edges.
            let named = if how.until.is_some() {
                Ok(Vec::new())
            } else {
                self.blobs_of(&revision.manifest, revision.id)
            };
            blobs.push(named);
        }
        let writer = self.index.begin_write()?;
        // Held until the commit: who leases after it finds that the revision is gone (I6).
        let mut locks = Vec::new();
        let mut removed = Vec::new();
        let mut removals = Vec::new();
        for (revision, blobs) in revisions.iter().zip(&blobs) {
            let blobs = match blobs {
                Ok(blobs) => blobs,
                Err(e) => {
                    removals.push(Removal::Failed(e.to_string()));
                    continue;
                }
            };
            let removal = self.can_go(&writer, revision, how.even_pinned, &mut locks)?;
            if removal == Removal::Removed {
                let refs = match how.until {
                    Some(until) => writer.trash_revision(revision.id, until),
                    None => writer.remove_revision(revision.id, blobs),
                };
                removed.push((revision, refs.map_err(|e| self.index.error(e))?));
            }
            removals.push(removal);
        }
        writer.commit().map_err(|e| self.index.error(e))?;
        for (revision, refs) in removed {
            self.forget_pin(&revision.model, &revision.revision);
            self.forget_refs(revision, &refs);
            let _ = self.layout.used.remove_file(revision.manifest.to_string());
        }
        Ok(removals)
    }

    /// Whether a revision can go, whose lease locks are then in `locks`.
    fn can_go(
        &self,
        writer: &Writer,
        revision: &Resolved,
        even_pinned: bool,
        locks: &mut Vec<Option<File>>,
    ) -> Result<Removal> {
        let error = |e| self.index.error(e);
        let current = writer.revision(revision.id).map_err(error)?;
        let Some(row) = current.filter(|row| row.manifest == revision.manifest) else {
            return Ok(Removal::Gone);
        };
        if row.pinned && !even_pinned {
            return Ok(Removal::Pinned);
        }
        let former = writer.former(revision.id).map_err(error)?;
        for manifest in former.iter().chain([&revision.manifest]) {
            match self.lock_out_leases(manifest) {
                Ok(Some(lock)) => locks.push(lock),
                Ok(None) => return Ok(Removal::Leased),
                Err(e) => return Ok(Removal::Failed(e.to_string())),
            }
        }
        Ok(Removal::Removed)
    }

    /// The blobs of a revision. A manifest that cannot be read names none: then all edges are
    /// looked through.
    pub(super) fn blobs_of(&self, manifest: &BlobHash, id: RevisionId) -> Result<Vec<BlobHash>> {
        match self.read_manifest(manifest) {
            Ok(Some(manifest)) => Ok(manifest.blobs().into_iter().map(|(blob, _)| blob).collect()),
            Ok(None) | Err(StoreError::ManifestDamaged { .. }) => self.edges_to(id),
            Err(e) => Err(e),
        }
    }

    fn edges_to(&self, id: RevisionId) -> Result<Vec<BlobHash>> {
        self.index.read(|reader| {
            let mut blobs = Vec::new();
            reader.for_each_edge(|blob, ids| {
                if ids.contains(&id) {
                    blobs.push(blob);
                }
            })?;
            Ok(blobs)
        })
    }

    /// Should, not must: a rebuild leaves out refs to revisions that are gone.
    fn forget_refs(&self, revision: &Resolved, refs: &[RefName]) {
        if let Ok(dir) = self.layout.refs.open_dir(revision.model.dir_name()) {
            for name in refs {
                let _ = dir.remove_file(name.file_name());
            }
            let _ = self.layout.refs.remove_dir(revision.model.dir_name());
        }
    }
}
