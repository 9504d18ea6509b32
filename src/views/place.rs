//! Where a view goes, and the way it gets there: built beside, then renamed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Result;
use crate::error::{FsError, ViewError};
use crate::fs::{Dir, Kind, LockKind, Rename};
use crate::store::{Resolved, Store, empty_dir};

/// What a build directory's name has in it, behind the view's own.
const BUILD: &str = ".tonnage-";

/// The directory in `models/` for revisions other than the current one.
const OTHERS: &str = ".revisions";

/// A name in an opened directory.
pub(super) struct Place {
    parent: Dir,
    name: OsString,
    /// Absolute.
    pub path: PathBuf,
    pub managed: bool,
}

impl Place {
    pub fn external(store: &Store, path: &Path) -> Result<Self> {
        let fs = &*store.layout().fs;
        // What is there already is meant itself, also through a symbolic link or as `.`.
        let path = match fs.canonical(path) {
            Ok(path) => path,
            Err(_) => {
                let parent = match path.parent() {
                    Some(parent) if parent != Path::new("") => parent,
                    _ => Path::new("."),
                };
                let name =
                    path.file_name().ok_or_else(|| ViewError::NotAView { path: path.into() })?;
                fs.make_dirs(parent).map_err(|e| FsError::new("make directory", parent, e))?;
                fs.canonical(parent).map_err(|e| FsError::new("find", parent, e))?.join(name)
            }
        };
        if path.starts_with(store.path()) {
            return Err(ViewError::InsideStore { path });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ViewError::NotAView { path });
        };
        let (parent, name) = (Dir::open(fs, parent)?, name.to_owned());
        Ok(Self { parent, name, path, managed: false })
    }

    pub fn managed(store: &Store, revision: &Resolved, current: bool) -> Result<Self> {
        let models = &store.layout().models;
        let model = revision.model.dir_name();
        let (parent, name) = if current {
            (models.clone(), model)
        } else {
            let others = models.ensure_dir(OTHERS)?.ensure_dir(model)?;
            (others, revision.revision.as_str().to_owned())
        };
        let within = if current {
            PathBuf::from(&name)
        } else {
            Path::new(OTHERS).join(revision.model.dir_name()).join(&name)
        };
        let path = store.path().join("models").join(within);
        Ok(Self { parent, name: name.into(), path, managed: true })
    }

    /// The directory that is there, if any.
    pub fn look(&self) -> Result<Option<Dir>> {
        match self.parent.stat(&self.name) {
            Ok(stat) if stat.kind == Kind::Dir => Ok(Some(self.parent.open_dir(&self.name)?)),
            Ok(_) => Err(ViewError::NotAView { path: self.path.clone() }),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether something else is at the place than `then` was.
    pub fn changed_since(&self, then: Option<&Dir>) -> Result<bool> {
        let now = match self.parent.stat(&self.name) {
            Ok(stat) => Some(stat.ino),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(e.into()),
        };
        Ok(now != then.map(Dir::stat_self).transpose()?.map(|stat| stat.ino))
    }

    /// A locked, empty directory beside the place. The lock tells a build under way from one
    /// whose process died; such are removed here.
    pub fn begin(&self) -> Result<Site<'_>> {
        let mut prefix = OsString::from(".");
        prefix.push(&self.name);
        prefix.push(BUILD);
        sweep(&self.parent, |name| name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()))?;
        loop {
            let mut name = prefix.clone();
            name.push(format!("{:08x}", fastrand::u32(..)));
            match self.parent.make_dir(&name) {
                Err(e) if e.is_exists() => continue,
                other => other?,
            }
            // A sweeper that was faster has removed it, or will.
            let dir = match self.parent.open_dir(&name) {
                Err(e) if e.is_not_found() => continue,
                other => other?,
            };
            if dir.try_lock(LockKind::Exclusive)? && self.parent.stat(&name).is_ok() {
                return Ok(Site { place: self, name, dir, leave: false });
            }
        }
    }
}

/// A view on its way. What is not put in place is removed.
pub(super) struct Site<'p> {
    place: &'p Place,
    name: OsString,
    dir: Dir,
    /// Nothing is removed: which tree has the view's name after a power loss is not certain.
    leave: bool,
}

impl Site<'_> {
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// I7: the complete view takes its place in one step; what it replaces goes after. It is
    /// durable then: the revision may be removed and the view be all there is of it.
    pub fn put_in_place(mut self, replace: bool) -> Result<()> {
        if replace {
            self.exchange()?
        } else {
            self.appear()?
        }
        // The old tree bears this site's name now, and goes when it is dropped: its files must not
        // go before its name has.
        let synced = self.place.parent.sync();
        self.leave = synced.is_err();
        Ok(synced?)
    }

    fn appear(&self) -> Result<()> {
        let Place { parent, name, path, .. } = self.place;
        match parent.rename(&self.name, parent, name, Rename::NoReplace) {
            Ok(()) => Ok(()),
            Err(e) if e.is_exists() => Err(ViewError::NotAView { path: path.clone() }),
            // Not every file system knows this kind of rename; a directory is never renamed over
            // one that has something in it.
            Err(e) if e.is(Errno::INVAL) || e.is(Errno::NOSYS) => {
                Ok(parent.rename(&self.name, parent, name, Rename::Replace)?)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn exchange(&self) -> Result<()> {
        let Place { parent, name, .. } = self.place;
        match parent.rename(&self.name, parent, name, Rename::Exchange) {
            Err(e) if e.is(Errno::INVAL) || e.is(Errno::NOSYS) => {
                let mut aside = self.name.clone();
                aside.push(".old");
                parent.rename(name, parent, &aside, Rename::Replace)?;
                parent.rename(&self.name, parent, name, Rename::Replace)?;
                Ok(parent.rename(&aside, parent, &self.name, Rename::Replace)?)
            }
            other => Ok(other?),
        }
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        // After a rename nothing has this name. What cannot be removed, a later build sweeps.
        if self.leave {
            return;
        }
        let parent = &self.place.parent;
        let Ok(dir) = parent.open_dir(&self.name) else { return };
        let own = match (dir.stat_self(), self.dir.stat_self()) {
            (Ok(there), Ok(built)) => there.ino == built.ino,
            _ => return,
        };
        // The tree that was replaced has no lock yet; whoever gets it removes the tree.
        if own || dir.try_lock(LockKind::Exclusive).is_ok_and(|locked| locked) {
            let _ = empty_dir(&dir);
            let _ = parent.remove_dir(&self.name);
        }
    }
}

/// Removes the builds in `dir` that `which` picks and nobody holds.
fn sweep(dir: &Dir, which: impl Fn(&std::ffi::OsStr) -> bool) -> Result<()> {
    for entry in dir.list()? {
        if entry.kind != Kind::Dir || !which(&entry.name) {
            continue;
        }
        match sweep_build(dir, &entry.name) {
            // Its owner, or another sweeper, was faster.
            Err(e) if e.is_not_found() => {}
            other => other?,
        }
    }
    Ok(())
}

fn sweep_build(dir: &Dir, name: &std::ffi::OsStr) -> crate::fs::Result<()> {
    let build = dir.open_dir(name)?;
    // One that was finished since it was opened has let its lock go, and is a view in its place.
    let dead =
        build.try_lock(LockKind::Exclusive)? && dir.stat(name)?.ino == build.stat_self()?.ino;
    if dead {
        empty_dir(&build)?;
        dir.remove_dir(name)?;
    }
    Ok(())
}

/// Removes what killed processes left in the store's `models/`.
pub(crate) fn sweep_dead_builds(store: &Store) -> Result<()> {
    let models = &store.layout().models;
    let is_build = |name: &std::ffi::OsStr| {
        name.to_str().is_some_and(|name| name.starts_with('.') && name.contains(BUILD))
    };
    sweep(models, is_build)?;
    let others = match models.open_dir(OTHERS) {
        Ok(others) => others,
        Err(e) if e.is_not_found() => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    for model in others.list()? {
        sweep(&others.open_dir(&model.name)?, is_build)?;
    }
    Ok(())
}
