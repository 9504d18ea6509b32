//! External views: one symbolic link each in `views/`, named
//! `<hash of the view's path>.<manifest>`, pointing at the view.
//!
//! They are made without a transaction or an fsync. A lost one loses no data: the view's files are
//! links or copies of their own.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::index::PATIENCE;
use super::layout::VIEWS;
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::{Dir, LockKind, lock};

/// A view at a path the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalView {
    /// The view's directory.
    pub path: PathBuf,
    pub(crate) manifest: BlobHash,
}

impl Store {
    /// Every registered view, alive or not.
    pub(crate) fn registered_views(&self) -> Result<Vec<ExternalView>> {
        let mut views = Vec::new();
        for entry in self.layout.views.list()? {
            let Some(manifest) = entry
                .name
                .to_str()
                .and_then(|name| name.split_once('.'))
                .and_then(|(_, manifest)| manifest.parse().ok())
            else {
                continue;
            };
            match self.layout.views.read_symlink(&entry.name) {
                Ok(path) => views.push(ExternalView { path, manifest }),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        views.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(views)
    }

    /// The views that are there. One whose directory cannot be looked at counts as there.
    pub(crate) fn live_views(&self) -> Result<Vec<ExternalView>> {
        let mut views = self.registered_views()?;
        views.retain(|view| self.is_there(&view.path));
        Ok(views)
    }

    /// How many registered views are no longer there.
    pub(super) fn dead_views(&self) -> Result<u64> {
        let views = self.registered_views()?;
        Ok(views.iter().filter(|view| !self.is_there(&view.path)).count() as u64)
    }

    fn is_there(&self, path: &Path) -> bool {
        match self.layout.fs.open_dir(path) {
            Ok(_) => true,
            Err(e) => !matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ),
        }
    }

    /// What keeps other processes from changing which view stands where, as long as it lives:
    /// a view's registration and its place change together.
    pub(crate) fn lock_views(&self) -> Result<Dir> {
        // A handle of its own: a lock belongs to the open directory.
        let views = self.layout.root.open_dir(VIEWS)?;
        if !lock::wait_for(|| views.try_lock(LockKind::Exclusive), PATIENCE)? {
            return Err(StoreError::Busy { path: views.path().into(), waited: PATIENCE });
        }
        Ok(views)
    }

    /// Registers a view of `manifest` at `path`. In a store that cannot be written nothing can be
    /// held: its views are made all the same.
    pub(crate) fn register_view(&self, path: &Path, manifest: &BlobHash) -> Result<()> {
        match self.layout.views.make_symlink(path, view_name(path, manifest)) {
            Err(e) if !e.is_exists() && !e.is_read_only() => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Drops the registrations of other revisions' views at `path`.
    pub(crate) fn forget_others(&self, path: &Path, manifest: &BlobHash) -> Result<()> {
        self.forget_views(|view| view.path == path && view.manifest != *manifest)
    }

    /// Drops the registrations `which` picks.
    pub(crate) fn forget_views(&self, which: impl Fn(&ExternalView) -> bool) -> Result<()> {
        for view in self.registered_views()? {
            if !which(&view) {
                continue;
            }
            match self.layout.views.remove_file(view_name(&view.path, &view.manifest)) {
                Err(e) if !e.is_not_found() && !e.is_read_only() => return Err(e.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Drops the registrations of views that are gone.
    pub(crate) fn forget_dead_views(&self) -> Result<()> {
        // One that is about to appear is registered already.
        let _lock = self.lock_views()?;
        self.forget_views(|view| !self.is_there(&view.path))
    }
}

fn view_name(path: &Path, manifest: &BlobHash) -> String {
    format!("{}.{manifest}", BlobHash::of(path.as_os_str().as_bytes()))
}
