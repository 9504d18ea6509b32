//! Which of several pulls fetches, when they want the same bytes.

use std::collections::{BTreeMap, HashSet};

use super::plan::Listing;
use super::stage::write_list;
use crate::digest::Upstream;
use crate::error::PullError;
use crate::fs::LockKind;
use crate::model::ModelId;
use crate::store::import::Import;
use crate::store::{STAGING, Store};

/// What is to be fetched: digests and sizes.
pub(super) type Missing = BTreeMap<Upstream, u64>;

/// Whose turn it is.
pub(super) enum Turn {
    /// This pull has its directory, and says there what it fetches.
    Ours(Import),
    /// Somebody who is to be asked again soon: the pull with this directory, if it is one.
    Theirs(Option<String>),
}

/// Begins a pull, unless another one has its directory, or fetches most of what it is to fetch.
///
/// One decides at a time, under the lock of `staging/`, and has said what it fetches when the next
/// one looks. Who waits holds nothing, so nobody waits for who waits. Everything is a lock of a
/// process or is read with one: a kill leaves nothing behind.
pub(super) fn turn(
    store: &Store,
    model: &ModelId,
    listing: &Listing,
    name: &str,
    missing: &Missing,
) -> Result<Turn, PullError> {
    // A handle of its own: handles that are shared share their lock.
    let staging = store.layout().root.open_dir(STAGING)?;
    if !staging.try_lock(LockKind::Exclusive)? {
        return Ok(Turn::Theirs(None));
    }
    let all = missing.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
    for (other, list) in store.pulls_under_way(name)? {
        let listed: HashSet<_> = list.files.iter().map(|file| file.upstream).collect();
        let shared = listed.iter().filter_map(|upstream| missing.get(upstream));
        // For less it is not worth to wait until the other one has all that it wants.
        if shared.fold(0, |sum: u64, size| sum.saturating_add(*size)) > all / 2 {
            return Ok(Turn::Theirs(Some(other)));
        }
    }
    let Some(import) = Import::resume(store.layout_arc(), name)? else {
        return Ok(Turn::Theirs(Some(name.to_owned())));
    };
    let files = listing.selected.iter().filter(|file| missing.contains_key(&file.upstream));
    write_list(import.dir(), model, listing, files)?;
    Ok(Turn::Ours(import))
}

#[cfg(test)]
mod tests;
