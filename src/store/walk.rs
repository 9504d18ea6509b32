//! The files below a path that a user wants to add.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::Result;
use super::layout::MODELS;
use crate::error::{FsError, SourceError, StoreError};
use crate::fs::{Dir, Entry, Fs, Kind};
use crate::model::{FilePath, PathProblem};

/// A file to add: where it stands in the model, and where it is.
#[derive(Debug)]
pub(super) struct Source {
    pub path: FilePath,
    pub folder: Arc<Folder>,
    pub name: OsString,
    /// Bytes, as of the walk.
    pub size: u64,
    /// Nanoseconds since the epoch, as of the walk.
    pub mtime_ns: i64,
}

impl Source {
    /// Where it is.
    pub fn at(&self) -> PathBuf {
        self.folder.path.join(&self.name)
    }
}

/// A directory as the walk found it. It is opened when it is needed: a tree can have more
/// directories than a process may have open.
#[derive(Debug)]
pub(super) struct Folder {
    pub path: PathBuf,
    dev: u64,
    ino: u64,
}

impl Folder {
    fn of(dir: &Dir) -> Result<Self> {
        let stat = dir.stat_self()?;
        Ok(Self { path: dir.path().into(), dev: stat.dev, ino: stat.ino })
    }

    /// The directory, unless something else has taken its place.
    pub fn open(&self, fs: &dyn Fs) -> Result<Dir> {
        let changed = || SourceError::Changed { path: self.path.clone() };
        let dir = match Dir::open(fs, &self.path) {
            Err(e) if e.is_not_found() => return Err(changed().into()),
            other => other?,
        };
        let stat = dir.stat_self()?;
        if (stat.dev, stat.ino) != (self.dev, self.ino) {
            return Err(changed().into());
        }
        Ok(dir)
    }
}

/// A directory on its way to be listed.
struct Level {
    folder: Arc<Folder>,
    /// Its path within the model, empty or ending in `/`.
    prefix: String,
    /// The directories it is in, nearest first, to find loops of symbolic links.
    above: Option<Arc<Above>>,
}

struct Above {
    path: PathBuf,
    above: Option<Arc<Above>>,
}

struct Walk<'f> {
    fs: &'f dyn Fs,
    root: PathBuf,
    store: &'f Path,
    follow_links: bool,
    levels: Vec<Level>,
    found: Vec<Source>,
}

/// Every file below `path`, in the order of their paths; or `path` itself when it is a file.
///
/// Symbolic links that stay in the directory are followed. One that leaves it is an error, or,
/// with `follow_links`, followed too. Of the store at `store` only managed views can be added: its
/// own files are no model, and moving them into the store would take them from it.
pub(super) fn walk(
    fs: &dyn Fs,
    store: &Path,
    path: &Path,
    follow_links: bool,
) -> Result<Vec<Source>> {
    let root = fs.canonical(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => SourceError::Missing { path: path.into() }.into(),
        _ => StoreError::Fs(FsError::new("find", path, e)),
    })?;
    let mut walk =
        Walk { fs, root: root.clone(), store, follow_links, levels: Vec::new(), found: Vec::new() };
    walk.refuse_store(&root)?;
    // A file is called as the user called it, also when that is a symbolic link's name.
    let called = path.file_name().or(root.file_name()).unwrap_or_default().to_owned();
    match stat_path(fs, &root)? {
        Kind::Dir => {
            let folder = Arc::new(Folder::of(&Dir::open(fs, &root)?)?);
            let above = Some(Arc::new(Above { path: root, above: None }));
            walk.levels.push(Level { folder, prefix: String::new(), above });
        }
        Kind::File => walk.add_file("", &called, &root)?,
        Kind::Symlink | Kind::Other => return Err(SourceError::Special { path: root }.into()),
    }
    while let Some(level) = walk.levels.pop() {
        let dir = level.folder.open(fs)?;
        let mut entries = dir.list()?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            walk.visit(&level, &dir, entry)?;
        }
    }
    if walk.found.is_empty() {
        return Err(SourceError::Empty { path: path.into() }.into());
    }
    walk.found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.found)
}

impl Walk<'_> {
    fn visit(&mut self, level: &Level, dir: &Dir, entry: Entry) -> Result<()> {
        let path = || dir.path().join(&entry.name);
        match entry.kind {
            Kind::File => {
                let stat = dir.stat(&entry.name).map_err(|e| vanished(e, path()))?;
                let called = checked(&level.prefix, &entry.name, &path())?;
                self.found.push(Source {
                    path: called,
                    folder: level.folder.clone(),
                    name: entry.name,
                    size: stat.size,
                    mtime_ns: stat.mtime_ns,
                });
                Ok(())
            }
            Kind::Dir => {
                let below = dir.open_dir(&entry.name).map_err(|e| vanished(e, path()))?;
                self.descend(level, &entry, &below)
            }
            Kind::Symlink => self.follow(level, &entry),
            Kind::Other => Err(SourceError::Special { path: path() }.into()),
        }
    }

    fn follow(&mut self, level: &Level, entry: &Entry) -> Result<()> {
        let path = level.folder.path.join(&entry.name);
        let target = self.fs.canonical(&path).map_err(|e| {
            if e.kind() == std::io::ErrorKind::NotFound {
                SourceError::Dangling { path: path.clone() }.into()
            } else if e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
                SourceError::Loop { path: path.clone() }.into()
            } else {
                StoreError::Fs(FsError::new("follow", &path, e))
            }
        })?;
        if !self.follow_links && !target.starts_with(&self.root) {
            return Err(SourceError::LeavesTree { path, target }.into());
        }
        self.refuse_store(&target)?;
        match stat_path(self.fs, &target)? {
            Kind::File => self.add_file(&level.prefix, &entry.name, &target),
            Kind::Dir => self.descend(level, entry, &Dir::open(self.fs, &target)?),
            Kind::Symlink | Kind::Other => Err(SourceError::Special { path }.into()),
        }
    }

    fn descend(&mut self, level: &Level, entry: &Entry, dir: &Dir) -> Result<()> {
        let path = level.folder.path.join(&entry.name);
        self.refuse_store(dir.path())?;
        let mut above = level.above.as_deref();
        while let Some(one) = above {
            if one.path == dir.path() {
                return Err(SourceError::Loop { path }.into());
            }
            above = one.above.as_deref();
        }
        let prefix = format!("{}/", checked(&level.prefix, &entry.name, &path)?);
        let above = Some(Arc::new(Above { path: dir.path().into(), above: level.above.clone() }));
        let folder = Arc::new(Folder::of(dir)?);
        self.levels.push(Level { folder, prefix, above });
        Ok(())
    }

    fn refuse_store(&self, path: &Path) -> Result<()> {
        if path.starts_with(self.store) && !path.starts_with(self.store.join(MODELS)) {
            let (path, store) = (path.into(), self.store.into());
            return Err(SourceError::HoldsStore { path, store }.into());
        }
        Ok(())
    }

    fn add_file(&mut self, prefix: &str, called: &std::ffi::OsStr, at: &Path) -> Result<()> {
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
            return Err(SourceError::Special { path: at.into() }.into());
        };
        let path = checked(prefix, called, at)?;
        let dir = Dir::open(self.fs, parent)?;
        let stat = dir.stat(name)?;
        let (size, mtime_ns) = (stat.size, stat.mtime_ns);
        let folder = Arc::new(Folder::of(&dir)?);
        self.found.push(Source { path, folder, name: name.into(), size, mtime_ns });
        Ok(())
    }
}

/// What was listed a moment ago and is not there now has changed.
fn vanished(e: FsError, path: PathBuf) -> StoreError {
    if e.is_not_found() { SourceError::Changed { path }.into() } else { e.into() }
}

fn stat_path(fs: &dyn Fs, path: &Path) -> Result<Kind> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Kind::Dir); // the root directory
    };
    Ok(Dir::open(fs, parent)?.stat(name)?.kind)
}

fn checked(prefix: &str, name: &std::ffi::OsStr, at: &Path) -> Result<FilePath> {
    let problem = |problem| SourceError::Name { path: at.into(), problem };
    let name = name.to_str().ok_or_else(|| problem(PathProblem::NotUtf8))?;
    Ok(FilePath::new(format!("{prefix}{name}")).map_err(problem)?)
}
