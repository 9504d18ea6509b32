//! Eviction: whole revisions go, the least recently used first.

use std::time::Duration;

use super::ledger::Ledger;
use super::remove::{Freed, Kept, Order, RemoveOptions, carry_out, external_views};
use crate::error::StoreError;
use crate::store::{Listed, Resolved, Store, Trashed};

type Result<T> = std::result::Result<T, StoreError>;

/// When enough is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvictGoal {
    /// When the store takes at most so many bytes on the disk, each inode counted once. Exactly as
    /// many are not too many.
    MaxBytes(u64),
    /// When no revision is left that was last used before this time, in seconds since the epoch.
    UsedSince(i64),
    /// When nothing is left that may go, partial downloads among it.
    Everything,
}

/// How to evict.
#[derive(Clone, Copy, Debug, Default)]
pub struct EvictOptions {
    /// Only say what would happen.
    pub dry_run: bool,
    /// How long what is evicted can be brought back by [`Store::restore`]. Zero: it goes for good,
    /// and with [`EvictGoal::Everything`] what is in the trash does, too. For
    /// [`EvictGoal::MaxBytes`] the space is needed now: it is as if it were zero.
    pub keep: Duration,
}

/// What came of an eviction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evicted {
    /// What went, in the order in which it did, and what stood in the way.
    pub freed: Freed,
    /// Bytes the store took on the disk before.
    pub before: u64,
    /// Bytes it takes now; of a dry run, those it would take.
    pub after: u64,
}

/// Evicts revisions until `goal` is reached, the least recently used first, and of those that were
/// used in the same second the one that came first. A revision that is pinned, leased by a running
/// process, or presented by an external view stays; the result says so of each that was in the way.
/// Where bytes are needed, what is in the trash goes first, whatever its time.
/// When all that may go has gone the goal may still be missed.
///
/// # Errors
/// [`StoreError::ReadOnly`], [`StoreError::Busy`], and what the index and the file system say.
pub fn evict(store: &Store, goal: EvictGoal, options: EvictOptions) -> Result<Evicted> {
    let EvictOptions { dry_run, mut keep } = options;
    if matches!(goal, EvictGoal::MaxBytes(_)) {
        keep = Duration::ZERO;
    }
    let before = store.physical()?;
    let plan = plan(store, goal, before, keep)?;
    let order = Order {
        revisions: &plan.going,
        purge: &plan.purged,
        partials: goal == EvictGoal::Everything,
    };
    let mut freed = carry_out(store, &order, RemoveOptions { dry_run, force: false, keep })?;
    if !dry_run {
        store.tally().evicted(freed.gone.len());
        for gone in &freed.gone {
            log::info!("evicted {}@{}", gone.model, gone.revision.short());
        }
    }
    // What a process began to use, or somebody pinned, since the plan was made is in there already.
    freed.kept.splice(0..0, plan.kept);
    let after =
        if dry_run { before.saturating_sub(freed.freed_bytes) } else { store.physical()? };
    Ok(Evicted { freed, before, after })
}

struct Plan {
    /// From the trash.
    purged: Vec<Trashed>,
    going: Vec<Resolved>,
    kept: Vec<Kept>,
}

fn plan(store: &Store, goal: EvictGoal, mut bytes: u64, keep: Duration) -> Result<Plan> {
    let mut listed = store.list()?;
    listed.sort_unstable_by_key(|one| (one.last_used, one.id));
    let views = store.live_views()?;
    // Bytes are counted where they decide.
    let mut ledger = match goal {
        EvictGoal::MaxBytes(_) => Some(Ledger::new(store)?),
        _ => None,
    };
    let mut plan = Plan { purged: Vec::new(), going: Vec::new(), kept: Vec::new() };
    for one in store.trashed()? {
        let goes = match goal {
            EvictGoal::MaxBytes(most) => bytes > most,
            EvictGoal::UsedSince(_) => false,
            EvictGoal::Everything => keep.is_zero(),
        };
        if goes {
            if let Some(ledger) = &mut ledger {
                bytes = bytes.saturating_sub(ledger.take_from_trash(one.id, &one.manifest)?);
            }
            plan.purged.push(one);
        }
    }
    for one in listed {
        let reached = match goal {
            EvictGoal::MaxBytes(most) => bytes <= most,
            EvictGoal::UsedSince(time) => one.last_used >= time,
            EvictGoal::Everything => false,
        };
        if reached {
            break;
        }
        let Listed { model, revision, manifest, id, pinned, .. } = one;
        let revision = Resolved { model, revision, manifest, id };
        let manifests = store.manifests_of(&revision)?;
        let why = if pinned {
            Some("it is pinned".to_owned())
        } else if let Some(view) = external_views(store, &views, &manifests).next() {
            Some(format!("a view of it is at {}", view.path.display()))
        } else if store.is_leased(&revision)? {
            Some("a running process uses it".to_owned())
        } else {
            None
        };
        match why {
            Some(why) => {
                plan.kept.push(Kept { model: revision.model, revision: revision.revision, why });
            }
            None => {
                if let Some(ledger) = &mut ledger {
                    bytes = bytes.saturating_sub(ledger.take(&revision)?.all());
                }
                plan.going.push(revision);
            }
        }
    }
    Ok(plan)
}

impl Evicted {
    /// Whether `goal` was missed, because of what was kept.
    #[must_use]
    pub fn missed(&self, goal: EvictGoal) -> bool {
        match goal {
            EvictGoal::MaxBytes(most) => self.after > most,
            EvictGoal::UsedSince(_) | EvictGoal::Everything => !self.freed.kept.is_empty(),
        }
    }
}
