//! Views: a revision as a directory tree of ordinary files.
//!
//! A view is built beside its place and renamed into it when complete (I7). What is there already
//! is compared first: a view that is whole is left alone, and one that somebody changed is never
//! replaced without a word.

mod build;
mod check;
mod place;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::BlobHash;
use crate::error::{Differences, StoreError, ViewError};
use crate::fs::Dir;
use crate::model::{Manifest, RefName};
use crate::progress::Progress;
use crate::store::{Listed, Resolved, Store};
use build::Built;
use place::Place;

pub(crate) use check::{Look, look};
pub(crate) use place::sweep_dead_builds;

type Result<T> = std::result::Result<T, ViewError>;

/// Files of at most this many bytes are copied in [`Mode::Auto`]: people edit them.
pub const SMALL: u64 = 64 << 10;

/// How often a view is tried again because another process was busy at its place.
const TRIES: u32 = 16;

/// How files come into a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Hardlink, else reflink, else copy; files of at most [`SMALL`] bytes are copied.
    #[default]
    Auto,
    /// Hardlink all files, else reflink, else copy.
    Hardlink,
    /// Reflink all files, else copy.
    Reflink,
    /// Copy.
    Copy,
}

/// What a view should be.
#[derive(Clone, Copy, Debug, Default)]
pub struct ViewOptions {
    /// How files come into it.
    pub mode: Mode,
    /// Whether its files may be changed: then none is a hardlink.
    pub writable: bool,
    /// Whether a view that somebody changed is replaced.
    pub force: bool,
}

/// A view that is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Its directory, absolute.
    pub path: PathBuf,
    /// How many files it has.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// Files that are hardlinks of blobs.
    pub linked: u64,
    /// Files that share a blob's blocks.
    pub reflinked: u64,
    /// Files that are copies.
    pub copied: u64,
    /// It was there and whole; nothing was done.
    pub unchanged: bool,
}

/// Materializes `revision` at `path`, a place the user chose. Its parents are made when missing.
///
/// As long as the view exists, its revision is not evicted.
///
/// # Errors
/// [`ViewError::Differs`] when a view there was changed, [`ViewError::NotAView`] when something
/// else is there, [`ViewError::CaseCollision`], and what the store and the file system say. The
/// place is then as it was.
pub fn checkout(
    store: &Store,
    revision: &Resolved,
    path: &Path,
    options: ViewOptions,
    progress: &Progress,
) -> Result<View> {
    let place = Place::external(store, path)?;
    materialize(store, revision, &place, options, progress)
}

/// The managed view of `revision`, made when it is not there: `models/<org>--<name>` for the
/// model's current revision, `models/.revisions/<org>--<name>/<revision>` for others.
///
/// # Errors
/// As [`checkout`].
pub fn managed(
    store: &Store,
    revision: &Resolved,
    options: ViewOptions,
    progress: &Progress,
) -> Result<View> {
    let place = Place::managed(store, revision, is_current(store, revision)?)?;
    materialize(store, revision, &place, options, progress)
}

/// The managed views that are there, by the revision that each presents.
#[derive(Clone, Debug, Default)]
pub struct ManagedViews(HashMap<BlobHash, PathBuf>);

impl ManagedViews {
    /// The directory of the managed view of `revision`, when there is one.
    #[must_use]
    pub fn path(&self, revision: &Listed) -> Option<&Path> {
        self.0.get(&revision.manifest).map(PathBuf::as_path)
    }
}

/// Which revisions have a managed view, read once for a whole listing. Nothing is made, and the
/// views' files are not looked at.
///
/// # Errors
/// When the registrations cannot be read.
pub fn managed_views(store: &Store) -> Result<ManagedViews> {
    let mut views = store.registered_views()?;
    views.retain(|view| {
        view.path.starts_with(store.path()) && Dir::open(&*store.layout().fs, &view.path).is_ok()
    });
    Ok(ManagedViews(views.into_iter().map(|view| (view.manifest, view.path)).collect()))
}

/// A model's current revision is what `main` points to, or the only one.
fn is_current(store: &Store, revision: &Resolved) -> Result<bool> {
    let main =
        store.index().read(|reader| reader.resolve_ref(&revision.model, &RefName::main()))?;
    Ok(match main {
        Some(id) => id == revision.id,
        None => store.revisions_of(&revision.model)?.len() == 1,
    })
}

fn materialize(
    store: &Store,
    revision: &Resolved,
    place: &Place,
    options: ViewOptions,
    progress: &Progress,
) -> Result<View> {
    let _lease = store.lease(revision)?;
    let manifest = store.manifest(revision)?;
    for _ in 0..TRIES {
        let there = place.look()?;
        match put(store, revision, &manifest, place, there.as_ref(), options, progress) {
            Ok(Some(view)) => return Ok(view),
            Ok(None) => {}
            // Another process put a view there meanwhile, and that one is to be judged.
            Err(_) if place.changed_since(there.as_ref())? => {}
            Err(e) => return Err(e),
        }
    }
    Err(StoreError::Busy { path: place.path.clone(), waited: Duration::ZERO }.into())
}

/// Makes the view at `place`, where `there` was found. `None` when that is no longer so.
fn put(
    store: &Store,
    revision: &Resolved,
    manifest: &Manifest,
    place: &Place,
    there: Option<&Dir>,
    options: ViewOptions,
    progress: &Progress,
) -> Result<Option<View>> {
    let path = &place.path;
    if let Some(dir) = there {
        let state = check::check(store, manifest, dir)?;
        if state.differences.is_empty() && !(options.writable && state.linked > 0) {
            let _lock = store.lock_views()?;
            if place.changed_since(there)? {
                return Ok(None);
            }
            store.register_view(path, &revision.manifest)?;
            store.forget_others(path, &revision.manifest)?;
            store.touch(&revision.manifest);
            let built = Built { linked: state.linked, copied: state.copied, ..Built::default() };
            return Ok(Some(report(place, manifest, built, true)));
        }
        if !state.differences.is_empty() {
            may_replace(store, revision, place, dir, options.force, state.differences)?;
        }
    }
    progress.expect(manifest.files().len() as u64, manifest.size());
    let site = place.begin()?;
    let built = build::build(store, manifest, site.dir(), options, progress)?;
    let _lock = store.lock_views()?;
    if place.changed_since(there)? {
        return Ok(None);
    }
    // Registered before it appears, so that it is never there without its hold; and what was
    // there keeps its own until it is gone.
    store.register_view(path, &revision.manifest)?;
    site.put_in_place(there.is_some())?;
    store.forget_others(path, &revision.manifest)?;
    store.touch(&revision.manifest);
    Ok(Some(report(place, manifest, built, false)))
}

/// An error unless what is at `place` is empty, is an untouched view of some revision, or is a
/// view that `force` says to replace.
fn may_replace(
    store: &Store,
    revision: &Resolved,
    place: &Place,
    there: &Dir,
    force: bool,
    differences: Differences,
) -> Result<()> {
    if there.list()?.is_empty() {
        return Ok(());
    }
    let mut presented: Vec<BlobHash> = store
        .registered_views()?
        .into_iter()
        .filter(|view| view.path == place.path)
        .map(|view| view.manifest)
        .collect();
    let is_view = place.managed || !presented.is_empty();
    if place.managed {
        presented.extend(store.revisions_of(&revision.model)?.iter().map(|r| r.manifest));
    }
    let mut told = differences;
    for manifest in presented {
        let Ok(Some(manifest)) = store.read_manifest(&manifest) else { continue };
        let state = check::check(store, &manifest, there)?;
        if state.differences.is_empty() {
            return Ok(());
        }
        // What differs from the revision that it is a view of is what somebody did.
        if state.differences.count() < told.count() {
            told = state.differences;
        }
    }
    match (is_view, force) {
        (true, true) => Ok(()),
        (true, false) => Err(ViewError::Differs { path: place.path.clone(), differences: told }),
        (false, _) => Err(ViewError::NotAView { path: place.path.clone() }),
    }
}

fn report(place: &Place, manifest: &Manifest, built: Built, unchanged: bool) -> View {
    View {
        path: place.path.clone(),
        files: manifest.files().len() as u64,
        bytes: manifest.size(),
        linked: built.linked,
        reflinked: built.reflinked,
        copied: built.copied,
        unchanged,
    }
}
