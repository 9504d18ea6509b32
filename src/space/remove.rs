//! Removing revisions, and collecting what nobody needs then.

use super::ledger::Ledger;
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::Dir;
use crate::model::{ModelId, Revision};
use crate::store::{Collected, ExternalView, Removal, Resolved, Store};
use crate::views::sweep_dead_builds;

type Result<T> = std::result::Result<T, StoreError>;

/// How to remove.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Also revisions that are pinned or that an external view presents. The view's files stay.
    pub force: bool,
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
    /// Blobs that went.
    pub blobs: u64,
}

/// Removes `revisions` and collects what only they needed.
///
/// A revision that is leased by a running process, pinned, or presented by an external view, stays,
/// and the result says so.
///
/// # Errors
/// [`StoreError::ReadOnly`], [`StoreError::Busy`], and what the index and the file system say.
pub fn remove(store: &Store, revisions: &[Resolved], options: RemoveOptions) -> Result<Freed> {
    let views = store.live_views()?;
    let mut freed = Freed::default();
    for revision in revisions {
        let manifests = store.manifests_of(revision)?;
        let external: Vec<_> = external_views(store, &views, &manifests).collect();
        let kept =
            |why| Kept { model: revision.model.clone(), revision: revision.revision.clone(), why };
        if let Some(view) = external.first().filter(|_| !options.force) {
            freed.kept.push(kept(format!("a view of it is at {}", view.path.display())));
            continue;
        }
        let removal = if options.dry_run {
            would_remove(store, revision, options.force)?
        } else {
            store.remove_revision(revision, options.force)?
        };
        match removal {
            Removal::Pinned => freed.kept.push(kept("it is pinned".to_owned())),
            Removal::Leased => freed.kept.push(kept("a running process uses it".to_owned())),
            Removal::Removed => freed
                .gone
                .push(Gone { model: revision.model.clone(), revision: revision.revision.clone() }),
            Removal::Gone => {}
        }
    }
    if options.dry_run {
        let mut ledger = Ledger::new(store)?;
        for revision in revisions {
            let goes = |g: &Gone| g.model == revision.model && g.revision == revision.revision;
            if freed.gone.iter().any(goes) {
                freed.freed_bytes += ledger.take(revision)?;
            }
        }
        return Ok(freed);
    }
    let parts = remove_partials(store, &freed.gone)?;
    if let Some(collected) = collect(store, true)? {
        freed.freed_bytes = parts + collected.freed_bytes;
        freed.blobs = collected.blobs;
    }
    Ok(freed)
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

/// Removes the partial downloads of models that have no revision any more.
fn remove_partials(store: &Store, gone: &[Gone]) -> Result<u64> {
    let mut freed = 0;
    for gone in gone {
        if store.revisions_of(&gone.model)?.is_empty() {
            freed += store.remove_partials(Some(&gone.model))?;
        }
    }
    Ok(freed)
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
