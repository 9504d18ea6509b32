//! Making room for what would not fit under the store's limits.

use std::path::Path;

use super::evict::{EvictGoal, EvictOptions, Evicted, evict};
use crate::error::StoreError;
use crate::progress::Progress;
use crate::store::{AddOptions, Added, Store};

type Result<T> = std::result::Result<T, StoreError>;

/// How often room is made for one import: others may take it meanwhile.
pub(crate) const TRIES: usize = 16;

/// Adds a model as [`Store::add`] does, and evicts what has to go for it, the least recently used
/// first, when it would not fit under the limits of [`Store::set_limits`]. Nothing is evicted when
/// all that could go would not be enough.
///
/// # Errors
/// As [`Store::add`]; [`StoreError::OverLimit`] says what is in the way.
pub fn add(
    store: &Store,
    path: &Path,
    options: &AddOptions,
    progress: &Progress,
) -> Result<(Added, Vec<Evicted>)> {
    let mut evicted = Vec::new();
    loop {
        match store.add(path, options, progress) {
            Ok(added) => return Ok((added, evicted)),
            Err(e) if evicted.len() < TRIES => evicted.push(make_room(store, e)?),
            Err(e) => return Err(e),
        }
    }
}

/// What would have to be evicted for `bytes` more; `None` when they fit as it is.
///
/// # Errors
/// As [`add`].
pub fn room_for(store: &Store, bytes: u64) -> Result<Option<Evicted>> {
    match store.check_limits(bytes) {
        Ok(()) => Ok(None),
        Err(e) => Ok(Some(plan(store, e)?.1)),
    }
}

/// Evicts for an import that met [`StoreError::OverLimit`]. Another error stays as it is.
pub(crate) fn make_room(store: &Store, error: StoreError) -> Result<Evicted> {
    let (goal, _) = plan(store, error)?;
    evict(store, goal, EvictOptions::default())
}

/// The goal that makes enough room, and what has to go for it: until the low mark where that can be
/// reached, else until it fits.
fn plan(store: &Store, error: StoreError) -> Result<(EvictGoal, Evicted)> {
    let StoreError::OverLimit { path, required, available, short, .. } = error else {
        return Err(error);
    };
    let enough = store.physical()?.checked_sub(short);
    let targets = [enough.and_then(|bytes| bytes.checked_sub(store.limits().between())), enough];
    for target in targets.into_iter().flatten() {
        let goal = EvictGoal::MaxBytes(target);
        let plan = evict(store, goal, EvictOptions { dry_run: true, ..EvictOptions::default() })?;
        if !plan.missed(goal) {
            return Ok((goal, plan));
        }
    }
    let all = EvictOptions { dry_run: true, ..EvictOptions::default() };
    let all = evict(store, EvictGoal::MaxBytes(0), all)?;
    let kept = all.freed.kept.iter();
    let mut in_the_way: Vec<_> = kept
        .map(|kept| format!("{}@{}: {}", kept.model, kept.revision.short(), kept.why))
        .collect();
    for partial in store.partials()?.iter().filter(|partial| partial.have > 0) {
        let name = format!("{}@{}", partial.model, partial.commit.short());
        let what = if partial.in_use { "is being pulled" } else { "is a partial download" };
        in_the_way.push(format!("{name}: it {what} of {} bytes", partial.have));
    }
    Err(StoreError::OverLimit { path, required, available, short, in_the_way })
}
