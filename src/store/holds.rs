//! External views: one symbolic link each in `views/`, named
//! `<hash of the view's path>.<manifest>`, pointing at the view.
//!
//! They are made without a transaction or an fsync. A lost one loses no data: the view's files are
//! links or copies of their own.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Result, Store};
use crate::digest::BlobHash;

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

    fn is_there(&self, path: &Path) -> bool {
        match self.layout.fs.open_dir(path) {
            Ok(_) => true,
            Err(e) => !matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ),
        }
    }

    /// Registers a view of `manifest` at `path`, beside any other revision's there: until the view
    /// is in place, the one that it replaces is.
    pub(crate) fn register_view(&self, path: &Path, manifest: &BlobHash) -> Result<()> {
        let name = view_name(path, manifest);
        match self.layout.views.make_symlink(path, &name) {
            Err(e) if !e.is_exists() => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Drops the registrations of what a view of `manifest` at `path` replaced.
    pub(crate) fn forget_replaced(&self, path: &Path, manifest: &BlobHash) -> Result<()> {
        self.forget_views(|view| view.path == path && view.manifest != *manifest)
    }

    /// Drops the registrations `which` picks.
    pub(crate) fn forget_views(&self, which: impl Fn(&ExternalView) -> bool) -> Result<()> {
        for view in self.registered_views()? {
            if !which(&view) {
                continue;
            }
            match self.layout.views.remove_file(view_name(&view.path, &view.manifest)) {
                Err(e) if !e.is_not_found() => return Err(e.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Drops the registrations of views that are gone.
    pub(crate) fn forget_dead_views(&self) -> Result<()> {
        self.forget_views(|view| !self.is_there(&view.path))
    }
}

fn view_name(path: &Path, manifest: &BlobHash) -> String {
    format!("{}.{manifest}", BlobHash::of(path.as_os_str().as_bytes()))
}
