//! What takes how much space.

use std::collections::HashSet;

use crate::error::StoreError;
use crate::fs::{Dir, Kind};
use crate::store::{Listed, Store};

type Result<T> = std::result::Result<T, StoreError>;

/// A revision's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelUsage {
    /// The revision.
    pub revision: Listed,
    /// The sum of its files' sizes.
    pub apparent: u64,
}

/// The store's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The sum of all revisions' files' sizes: what they would take without the store.
    pub apparent: u64,
    /// Bytes of blobs that one revision needs.
    pub exclusive: u64,
    /// Bytes of blobs that several revisions need, counted once.
    pub shared: u64,
    /// Bytes of blobs that only revisions in the trash need.
    pub trashed: u64,
    /// Bytes allotted to everything in the store's directory, each inode counted once.
    pub physical: u64,
    /// Per revision, largest exclusive bytes first.
    pub models: Vec<ModelUsage>,
}

/// Measures the store.
///
/// # Errors
/// When the index or a directory cannot be read.
pub fn usage(store: &Store) -> Result<Usage> {
    let mut models: Vec<_> = store
        .list()?
        .into_iter()
        .map(|revision| ModelUsage { apparent: revision.size, revision })
        .collect();
    models.sort_by_key(|model| std::cmp::Reverse(model.revision.exclusive));
    let (mut shared, mut trashed) = (0, 0);
    store.index().read(|reader| {
        let in_trash: HashSet<_> = reader.trashed()?.into_iter().map(|(id, _)| id).collect();
        let (mut several, mut none) = (HashSet::new(), HashSet::new());
        reader.for_each_edge(|blob, ids| {
            match ids.iter().filter(|id| !in_trash.contains(id)).count() {
                0 => {
                    none.insert(blob);
                }
                1 => {}
                _ => {
                    several.insert(blob);
                }
            }
        })?;
        reader.for_each_blob(|blob, row| {
            if several.contains(&blob) {
                shared += row.stamp.size;
            } else if none.contains(&blob) {
                trashed += row.stamp.size;
            }
        })
    })?;
    Ok(Usage {
        apparent: models.iter().map(|model| model.apparent).sum(),
        exclusive: models.iter().map(|model| model.revision.exclusive).sum(),
        shared,
        trashed,
        physical: physical(store)?,
        models,
    })
}

/// Bytes allotted to everything in the store's directory, each inode counted once.
pub(super) fn physical(store: &Store) -> Result<u64> {
    Ok(measure(&store.layout().root, &mut HashSet::new())?)
}

/// Bytes allotted below `dir` and to itself. Inodes with several names are counted at the first.
fn measure(dir: &Dir, seen: &mut HashSet<(u64, u64)>) -> crate::fs::Result<u64> {
    let mut bytes = dir.stat_self()?.allotted;
    for entry in dir.list()? {
        let below = if entry.kind == Kind::Dir {
            dir.open_dir(&entry.name).and_then(|dir| measure(&dir, seen))
        } else {
            dir.stat(&entry.name).map(|stat| {
                let first = stat.nlink == 1 || seen.insert((stat.dev, stat.ino));
                if first { stat.allotted } else { 0 }
            })
        };
        match below {
            Ok(more) => bytes += more,
            Err(e) if e.is_not_found() => {} // another process is at work
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}
