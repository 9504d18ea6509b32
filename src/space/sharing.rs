//! One revision's bytes: its own, those it shares and with whom, and what its removal would free.

use std::collections::{BTreeMap, HashMap};

use super::ledger::Ledger;
use crate::error::StoreError;
use crate::model::{ModelId, Revision};
use crate::store::{Resolved, Store};

type Result<T> = std::result::Result<T, StoreError>;

/// A revision's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sharing {
    /// The sum of its files' sizes.
    pub apparent: u64,
    /// Bytes of blobs that only it needs.
    pub exclusive: u64,
    /// Bytes of blobs that other revisions need too.
    pub shared: u64,
    /// Bytes of the disk that its blobs take, what they share counted once.
    pub physical: u64,
    /// Bytes of those that other blobs have, too, below the file.
    pub shared_physical: u64,
    /// Bytes that would come back if it were removed for good now: nothing for what a link outside
    /// the store or the trash keeps.
    pub freed: u64,
    /// With whom it shares, and how many bytes, the most first.
    pub with: Vec<(ModelId, Revision, u64)>,
}

/// Measures one revision.
///
/// # Errors
/// [`StoreError::NotFound`] when it is gone, and what the index and a directory say.
pub fn sharing(store: &Store, revision: &Resolved) -> Result<Sharing> {
    let manifest = store.manifest(revision)?;
    let blobs: HashMap<_, _> = manifest.blobs().into_iter().collect();
    let mut sharing = Sharing { apparent: manifest.size(), ..Sharing::default() };
    let mut with: BTreeMap<u64, u64> = BTreeMap::new();
    let rows = store.index().read(|reader| {
        let trashed: Vec<_> = reader.trashed()?.into_iter().map(|(id, _)| id).collect();
        for (blob, size) in &blobs {
            let mut others = reader.edges(blob)?;
            others.retain(|id| *id != revision.id && !trashed.contains(id));
            if others.is_empty() {
                sharing.exclusive += size;
            } else {
                sharing.shared += size;
            }
            for id in others {
                *with.entry(id).or_default() += size;
            }
        }
        let mut rows = Vec::new();
        for (id, bytes) in &with {
            rows.extend(reader.revision(*id)?.map(|row| (row.model, row.revision, *bytes)));
        }
        Ok(rows)
    })?;
    sharing.with = rows;
    sharing.with.sort_by(|a, b| (b.2, &a.0, &a.1).cmp(&(a.2, &b.0, &b.1)));
    for blob in blobs.keys() {
        match store.layout().blobs.stat(blob.hex()) {
            Ok(stat) => sharing.physical += stat.allotted,
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e.into()),
        }
    }
    let (with_others, twice) = store.shared_extents()?.between(blobs.keys());
    sharing.physical = sharing.physical.saturating_sub(twice);
    sharing.shared_physical = with_others;
    sharing.freed = Ledger::new(store)?.take(revision)?.all();
    Ok(sharing)
}
