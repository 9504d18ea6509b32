//! What removing revisions, one after the other, would bring back.

use std::collections::HashMap;

use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::{Dir, Kind};
use crate::store::extents::Extents;
use crate::store::index::RevisionId;
use crate::store::{ExternalView, Resolved, Store};

type Result<T> = std::result::Result<T, StoreError>;

/// Which blobs are still needed, and which of their links go with what was taken so far.
pub(super) struct Ledger<'s> {
    store: &'s Store,
    blobs: HashMap<RevisionId, Vec<BlobHash>>,
    /// How many revisions need a blob that more than one needs.
    needs: HashMap<BlobHash, usize>,
    views: Vec<ExternalView>,
    /// What blobs share below the file.
    extents: Extents,
    /// How many links of an inode are in managed views that go.
    links: HashMap<u64, u64>,
}

impl<'s> Ledger<'s> {
    pub fn new(store: &'s Store) -> Result<Self> {
        let mut blobs: HashMap<_, Vec<_>> = HashMap::new();
        let mut needs = HashMap::new();
        store.index().read(|reader| {
            reader.for_each_edge(|blob, ids| {
                for id in ids {
                    blobs.entry(*id).or_default().push(blob);
                }
                if ids.len() > 1 {
                    needs.insert(blob, ids.len());
                }
            })
        })?;
        let mut views = store.registered_views()?;
        views.retain(|view| view.path.starts_with(store.path()));
        let extents = store.shared_extents()?;
        Ok(Self { store, blobs, needs, views, extents, links: HashMap::new() })
    }

    /// Takes a revision out, and returns the bytes that its going brings back after all that went
    /// before it.
    pub fn take(&mut self, revision: &Resolved) -> Result<Taken> {
        let manifests = self.store.manifests_of(revision)?;
        let mut views = 0;
        for view in self.views.iter().filter(|view| manifests.contains(&view.manifest)) {
            if let Ok(dir) = Dir::open(&*self.store.layout().fs, &view.path) {
                views += count_links(&dir, &mut self.links)?;
            }
        }
        Ok(Taken { views, blobs: self.take_blobs(revision.id, &manifests)? })
    }

    /// The same for one in the trash, which has no views any more.
    pub fn take_from_trash(&mut self, id: RevisionId, manifest: &BlobHash) -> Result<u64> {
        self.take_blobs(id, &[*manifest])
    }

    fn take_blobs(&mut self, id: RevisionId, manifests: &[BlobHash]) -> Result<u64> {
        let mut bytes = 0;
        for manifest in manifests {
            match self.store.layout().manifests.stat(manifest.to_string()) {
                Ok(stat) => bytes += stat.allotted,
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        for blob in self.blobs.remove(&id).unwrap_or_default() {
            if let Some(needs) = self.needs.get_mut(&blob) {
                *needs -= 1;
                if *needs > 0 {
                    continue;
                }
            }
            match self.store.layout().blobs.stat(blob.hex()) {
                Ok(stat) if stat.nlink <= 1 + self.links.get(&stat.ino).copied().unwrap_or(0) => {
                    bytes += stat.allotted.saturating_sub(self.extents.take(&blob));
                }
                Ok(_) => {}
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(bytes)
    }
}

/// The bytes of a revision that went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Of the managed views' own files: copies.
    pub views: u64,
    /// Of its manifests, and of blobs that nobody else needs and nothing outside the store links.
    pub blobs: u64,
}

impl Taken {
    pub fn all(self) -> u64 {
        self.views + self.blobs
    }
}

/// Counts, per inode, the links of a managed view, and returns the bytes of its own files.
fn count_links(dir: &Dir, links: &mut HashMap<u64, u64>) -> crate::fs::Result<u64> {
    let mut bytes = 0;
    for entry in dir.list()? {
        if entry.kind == Kind::Dir {
            bytes += count_links(&dir.open_dir(&entry.name)?, links)?;
            continue;
        }
        let stat = dir.stat(&entry.name)?;
        if stat.nlink == 1 {
            bytes += stat.allotted;
        } else {
            *links.entry(stat.ino).or_default() += 1;
        }
    }
    Ok(bytes)
}
