//! What takes how much space.

use crate::error::StoreError;
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
    /// Bytes allotted to everything in the store's directory, each inode counted once, and what
    /// blobs share below the file, too.
    pub physical: u64,
    /// Bytes that are saved by sharing below the file. `du -s`, which does not know of it, counts
    /// `physical` and these.
    pub shared_physical: u64,
    /// Per revision, largest exclusive bytes first.
    pub models: Vec<ModelUsage>,
}

/// Measures the store.
///
/// # Errors
/// When the index or a directory cannot be read.
pub fn usage(store: &Store) -> Result<Usage> {
    let (listed, physical) = std::thread::scope(|scope| {
        let walk = std::thread::Builder::new().spawn_scoped(scope, || store.physical_and_saved());
        let listed = store.list_needs();
        let walked = walk.ok().and_then(|thread| thread.join().ok());
        (listed, walked.unwrap_or_else(|| store.physical_and_saved()))
    });
    let (physical, shared_physical) = physical?;
    let (listed, needs) = listed?;
    let mut models: Vec<_> = listed
        .into_iter()
        .map(|revision| ModelUsage { apparent: revision.size, revision })
        .collect();
    models.sort_by_key(|model| std::cmp::Reverse(model.revision.exclusive));
    Ok(Usage {
        apparent: models.iter().map(|model| model.apparent).sum(),
        exclusive: models.iter().map(|model| model.revision.exclusive).sum(),
        shared: needs.shared,
        trashed: needs.trashed,
        physical,
        shared_physical,
        models,
    })
}
