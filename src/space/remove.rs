//! Removing revisions, and collecting what nobody needs then.

use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::{Dir, Kind};
use crate::model::{ModelId, Revision};
use crate::store::{Collected, ExternalView, Removal, Resolved, Store};
use crate::views::sweep_dead_builds;

type Result<T> = std::result::Result<T, StoreError>;

/// How to remove.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Also revisions that an external view presents. The view's files stay.
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
/// A revision that is leased by a running process, or presented by an external view, stays, and
/// the result says so.
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
            if store.is_leased(revision)? { Removal::Leased } else { Removal::Removed }
        } else {
            store.remove_revision(revision)?
        };
        match removal {
            Removal::Leased => freed.kept.push(kept("a running process uses it".to_owned())),
            Removal::Removed => freed
                .gone
                .push(Gone { model: revision.model.clone(), revision: revision.revision.clone() }),
            Removal::Gone => {}
        }
    }
    if options.dry_run {
        freed.freed_bytes = would_free(store, revisions, &freed.gone)?;
        return Ok(freed);
    }
    let parts = remove_partials(store, &freed.gone)?;
    if let Some(collected) = collect(store, true)? {
        freed.freed_bytes = parts + collected.freed_bytes;
        freed.blobs = collected.blobs;
    }
    Ok(freed)
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

fn external_views<'v>(
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

/// The bytes that removing `gone` would bring back: blobs that only they need and that nothing
/// outside the store links, their manifests, and their managed views' copies.
fn would_free(store: &Store, revisions: &[Resolved], gone: &[Gone]) -> Result<u64> {
    let goes = |revision: &&Resolved| {
        gone.iter().any(|g| g.model == revision.model && g.revision == revision.revision)
    };
    let going: Vec<_> = revisions.iter().filter(goes).collect();
    let ids: Vec<_> = going.iter().map(|revision| revision.id).collect();
    let blobs = store.index().read(|reader| {
        let mut blobs = Vec::new();
        reader.for_each_edge(|blob, edges| {
            if edges.iter().all(|id| ids.contains(id)) {
                blobs.push(blob);
            }
        })?;
        Ok(blobs)
    })?;
    let mut links = std::collections::HashMap::new();
    let mut bytes = 0;
    for view in store.registered_views()? {
        if view.path.starts_with(store.path())
            && going.iter().any(|revision| revision.manifest == view.manifest)
            && let Ok(dir) = Dir::open(&*store.layout().fs, &view.path)
        {
            bytes += count_links(&dir, &mut links)?;
        }
    }
    for revision in &going {
        match store.layout().manifests.stat(revision.manifest.to_string()) {
            Ok(stat) => bytes += stat.allotted,
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e.into()),
        }
    }
    for blob in blobs {
        match store.layout().blobs.stat(blob.to_string()) {
            Ok(stat) if stat.nlink <= 1 + links.get(&stat.ino).copied().unwrap_or(0) => {
                bytes += stat.allotted;
            }
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(bytes)
}

/// Counts, per inode, the links of a managed view, and returns the bytes of its own files.
fn count_links(
    dir: &Dir,
    links: &mut std::collections::HashMap<u64, u64>,
) -> crate::fs::Result<u64> {
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
