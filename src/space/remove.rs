//! Removing revisions, and collecting what nobody needs then.

use std::time::Duration;

use super::ledger::Ledger;
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::Dir;
use crate::model::{ModelId, Revision};
use crate::store::{
    Collected, ExternalView, Partial, Removal, Removing, Resolved, Store, Trashed, now,
};
use crate::views::sweep_dead_builds;

type Result<T> = std::result::Result<T, StoreError>;

/// How to remove.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Also revisions that are pinned or that an external view presents. The view's files stay.
    pub force: bool,
    /// How long what is removed can be brought back by [`Store::restore`], in whole seconds. Its
    /// blobs take their space until then. Zero: it goes for good, and its bytes come back now.
    pub keep: Duration,
}

/// A revision that was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
}

/// A revision that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// What keeps it, in words.
    pub why: String,
}

/// What came of a removal or a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freed {
    /// Revisions that went.
    pub gone: Vec<Gone>,
    /// Revisions that stay, and why.
    pub kept: Vec<Kept>,
    /// Bytes that came back to the file system.
    pub freed_bytes: u64,
    /// Bytes that come back when what went to the trash goes for good.
    pub trashed_bytes: u64,
    /// Revisions that went from the trash for good, before their time.
    pub purged: Vec<Gone>,
    /// Partial downloads that went.
    pub partials: Vec<Partial>,
    /// Blobs that went.
    pub blobs: u64,
    /// What failed, in words. Everything else was done; a collection does the rest.
    pub failures: Vec<String>,
}

/// Removes `revisions`, and collects what only they needed or keeps it for a time.
///
/// A revision that is leased by a running process, pinned, or presented by an external view, stays,
/// and the result says so. What is there of a download of a model that has no revision any more
/// goes, too.
///
/// # Errors
/// [`StoreError::ReadOnly`], [`StoreError::Busy`], and what the index and the file system say.
pub fn remove(store: &Store, revisions: &[Resolved], options: RemoveOptions) -> Result<Freed> {
    carry_out(store, &Order { revisions, ..Order::default() }, options)
}

/// What is to go.
#[derive(Default)]
pub(super) struct Order<'a> {
    pub revisions: &'a [Resolved],
    /// From the trash.
    pub purge: &'a [Trashed],
    /// All partial downloads that no running process goes on with.
    pub partials: bool,
}

pub(super) fn carry_out(store: &Store, order: &Order, options: RemoveOptions) -> Result<Freed> {
    let (going, mut freed) = candidates(store, order.revisions, options.force)?;
    let removals = if options.dry_run {
        going.iter().map(|one| would_remove(store, one, options.force)).collect::<Result<_>>()?
    } else {
        store.purge(order.purge)?;
        let until = (!options.keep.is_zero()).then(|| time_after(options.keep));
        store.remove_revisions(&going, Removing { even_pinned: options.force, until })?
    };
    freed.purged = order.purge.iter().map(|one| Gone::new(&one.model, &one.revision)).collect();
    let mut gone = Vec::new();
    for (revision, removal) in going.iter().zip(removals) {
        match removal {
            Removal::Pinned => freed.keep(revision, "it is pinned".to_owned()),
            Removal::Leased => freed.keep(revision, "a running process uses it".to_owned()),
            Removal::Removed => gone.push(revision),
            Removal::Gone => {}
            Removal::Failed(why) => freed.failures.push(why),
        }
    }
    freed.gone = gone.iter().map(|one| Gone::new(&one.model, &one.revision)).collect();
    freed.partials = partials(store, order, &freed.gone)?;
    let mut models: Vec<_> = freed.partials.iter().map(|partial| &partial.model).collect();
    models.dedup();
    if options.dry_run {
        for model in models {
            freed.freed_bytes += store.removable_partials(Some(model))?;
        }
        return forecast(store, order, &gone, options, freed);
    }
    // One failure does not hide what was done.
    for model in models {
        match store.remove_partials(Some(model)) {
            Ok(bytes) => freed.freed_bytes += bytes,
            Err(e) => freed.failures.push(e.to_string()),
        }
    }
    match collect(store, true) {
        Ok(collected) => {
            let collected = collected.unwrap_or_default();
            freed.freed_bytes += collected.freed_bytes;
            freed.blobs = collected.blobs;
        }
        Err(e) if freed.gone.is_empty() && freed.purged.is_empty() => return Err(e),
        Err(e) => freed.failures.push(e.to_string()),
    }
    store.tally().freed(freed.freed_bytes);
    if !options.keep.is_zero() {
        let mut ledger = Ledger::new(store)?;
        for one in &gone {
            freed.trashed_bytes += ledger.take_from_trash(one.id, &one.manifest)?;
        }
    }
    Ok(freed)
}

/// What could go if nothing but an external view is asked, and what stays for that.
fn candidates(
    store: &Store,
    revisions: &[Resolved],
    force: bool,
) -> Result<(Vec<Resolved>, Freed)> {
    let views = store.live_views()?;
    let mut freed = Freed::default();
    let mut going = Vec::new();
    for revision in revisions {
        let manifests = store.manifests_of(revision)?;
        let external = external_views(store, &views, &manifests).next().filter(|_| !force);
        match external {
            Some(view) => {
                freed.keep(revision, format!("a view of it is at {}", view.path.display()));
            }
            None => going.push(revision.clone()),
        }
    }
    Ok((going, freed))
}

/// What the bytes of a dry run would come to.
fn forecast(
    store: &Store,
    order: &Order,
    gone: &[&Resolved],
    options: RemoveOptions,
    mut freed: Freed,
) -> Result<Freed> {
    let mut ledger = Ledger::new(store)?;
    for one in order.purge {
        freed.freed_bytes += ledger.take_from_trash(one.id, &one.manifest)?;
    }
    for one in gone {
        let taken = ledger.take(one)?;
        freed.freed_bytes += taken.views;
        if options.keep.is_zero() {
            freed.freed_bytes += taken.blobs;
        } else {
            freed.trashed_bytes += taken.blobs;
        }
    }
    Ok(freed)
}

/// The partial downloads that go: all, or those of models that have no revision when `gone` are.
fn partials(store: &Store, order: &Order, gone: &[Gone]) -> Result<Vec<Partial>> {
    let mut partials = store.partials()?;
    partials.retain(|partial| !partial.in_use);
    if order.partials || partials.is_empty() {
        return Ok(partials);
    }
    let goes = |r: &Resolved| gone.iter().any(|g| g.model == r.model && g.revision == r.revision);
    let mut left = Vec::new();
    for partial in partials {
        let is_gone = gone.iter().any(|gone| gone.model == partial.model);
        if is_gone && store.revisions_of(&partial.model)?.iter().all(goes) {
            left.push(partial);
        }
    }
    Ok(left)
}

/// Seconds since the epoch, `age` from now.
fn time_after(age: Duration) -> i64 {
    now().saturating_add(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}

impl Gone {
    fn new(model: &ModelId, revision: &Revision) -> Self {
        Self { model: model.clone(), revision: revision.clone() }
    }
}

impl Freed {
    fn keep(&mut self, revision: &Resolved, why: String) {
        let Resolved { model, revision, .. } = revision;
        self.kept.push(Kept { model: model.clone(), revision: revision.clone(), why });
    }
}

/// What a removal would come to now.
fn would_remove(store: &Store, revision: &Resolved, even_pinned: bool) -> Result<Removal> {
    let row = store.index().read(|reader| reader.revision(revision.id))?;
    Ok(match row.filter(|row| row.manifest == revision.manifest) {
        None => Removal::Gone,
        Some(row) if row.pinned && !even_pinned => Removal::Pinned,
        Some(_) if store.is_leased(revision)? => Removal::Leased,
        Some(_) => Removal::Removed,
    })
}

/// Collects: blobs that no revision needs, managed views of revisions that are gone, and what
/// killed processes left. `None` when another process collects and `wait` is false.
///
/// # Errors
/// As [`Store::collect`].
pub fn collect(store: &Store, wait: bool) -> Result<Option<Collected>> {
    trash_dead_views(store)?;
    // A view that cannot be swept costs space, and the next collection tries again.
    let _ = sweep_dead_builds(store);
    store.collect(wait)
}

/// What [`collect`] would take, were it run now.
///
/// # Errors
/// As [`Store::collectable`].
pub fn collectable(store: &Store) -> Result<Collected> {
    store.collectable()
}

pub(super) fn external_views<'v>(
    store: &'v Store,
    views: &'v [ExternalView],
    manifests: &'v [BlobHash],
) -> impl Iterator<Item = &'v ExternalView> {
    views.iter().filter(move |view| {
        manifests.contains(&view.manifest) && !view.path.starts_with(store.path())
    })
}

/// Moves managed views whose revision is gone to the trash, so that their links to blobs go too.
fn trash_dead_views(store: &Store) -> Result<()> {
    // No view comes while this looks and takes: one of a revision that is added meanwhile would
    // be taken for one whose revision is gone.
    let _lock = store.lock_views()?;
    let views = store.registered_views()?;
    let alive = store.index().read(|reader| reader.manifests())?;
    let is_dead = |view: &ExternalView| {
        view.path.starts_with(store.path()) && !alive.contains(&view.manifest)
    };
    for view in views.iter().filter(|view| is_dead(view)) {
        // Another revision's view may stand at this path by now.
        if views.iter().any(|other| other.path == view.path && !is_dead(other)) {
            continue;
        }
        let (Some(parent), Some(name)) = (view.path.parent(), view.path.file_name()) else {
            continue;
        };
        match Dir::open(&*store.layout().fs, parent) {
            Ok(parent) => store.trash(&parent, &name.to_string_lossy())?,
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e.into()),
        }
    }
    store.forget_views(is_dead)
}
