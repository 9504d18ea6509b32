//! Where things are in a store's directory, and how a store comes to be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{Index, PATIENCE};
use crate::error::StoreError;
use crate::fs::{Dir, File, Fs, LockKind, Open, durable, lock};

pub(super) const FORMAT: &str = "FORMAT";
pub(super) const LOCK: &str = "lock";
pub(super) const GC_LOCK: &str = "gc.lock";
pub(super) const INDEX: &str = "index.redb";
/// The user's settings, which the store itself does not read.
pub(crate) const CONFIG: &str = "config.toml";
pub(super) const VIEWS: &str = "views";
/// Its lock is held by who decides what others see there.
pub(crate) const STAGING: &str = "staging";
pub(super) const MODELS: &str = "models";

/// The format this program reads and writes.
const VERSION: u32 = 1;
/// What FORMAT holds in front of the version.
const MAGIC: &str = "tonnage store ";

type Result<T> = std::result::Result<T, StoreError>;

/// What a program opens a store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To list, verify and materialize. Nothing is written to the index.
    Read,
    /// To change it. A store that is not there is made.
    Write,
}

/// The opened directories of a store.
#[derive(Debug)]
pub(crate) struct Layout {
    pub fs: Arc<dyn Fs>,
    /// Absolute, without symbolic links.
    pub path: PathBuf,
    pub root: Dir,
    pub blobs: Dir,
    pub manifests: Dir,
    pub refs: Dir,
    pub staging: Dir,
    pub models: Dir,
    pub views: Dir,
    pub used: Dir,
    pub trash: Dir,
    /// Held shared as long as the store is open, exclusive while the index is rebuilt.
    _lock: File,
}

impl Layout {
    /// Opens the store at `path` and its index.
    pub fn open(fs: Arc<dyn Fs>, path: &Path, access: Access) -> Result<(Self, Index)> {
        let root = match access {
            Access::Write => Dir::ensure(&*fs, path)?,
            Access::Read => Dir::open(&*fs, path).map_err(|e| {
                if e.is_not_found() { StoreError::NoStore { path: path.into() } } else { e.into() }
            })?,
        };
        if !check_format(&root)? {
            match access {
                Access::Read => return Err(StoreError::NoStore { path: path.into() }),
                Access::Write => {
                    sync_parents(&*fs, path)?;
                    make(&root)?;
                }
            }
        }
        let lock = open_lock(&root, access).map_err(|e| match e {
            StoreError::Fs(e) if e.is_read_only() => StoreError::ReadOnly { path: path.into() },
            e => e,
        })?;
        if !lock::wait(&lock, LockKind::Shared, PATIENCE)? {
            return Err(StoreError::Busy { path: lock.path().into(), waited: PATIENCE });
        }
        let path = fs.canonical(path).map_err(|e| crate::error::FsError::new("find", path, e))?;
        let layout = Self::open_dirs(fs, path, root, lock)?;
        let index = layout.open_index(access)?;
        Ok((layout, index))
    }

    /// The store's directories, the lock held by the caller. The index is left alone.
    pub fn open_dirs(fs: Arc<dyn Fs>, path: PathBuf, root: Dir, lock: File) -> Result<Self> {
        Ok(Self {
            blobs: root.open_dir("blobs")?,
            manifests: root.open_dir("manifests")?,
            refs: root.open_dir("refs")?,
            staging: root.open_dir(STAGING)?,
            models: root.open_dir(MODELS)?,
            views: root.open_dir(VIEWS)?,
            used: root.open_dir("used")?,
            trash: root.open_dir("trash")?,
            fs,
            path,
            root,
            _lock: lock,
        })
    }

    fn open_index(&self, access: Access) -> Result<Index> {
        let open = |how| {
            self.root.open_file(INDEX, how).map_err(|e| {
                if e.is_not_found() {
                    let reason = "the file is missing".to_owned();
                    StoreError::IndexDamaged { path: self.path.join(INDEX), reason }
                } else if e.is_read_only() {
                    StoreError::ReadOnly { path: self.path.clone() }
                } else {
                    e.into()
                }
            })
        };
        if access == Access::Write {
            return Index::open_write(&open(Open::Write)?, Some(self.root.clone()));
        }
        if let Some(index) = Index::open_read(&open(Open::Read)?)? {
            return Ok(index);
        }
        // A killed writer's traces: a writable open repairs them, or, where nothing can be
        // written, a repaired copy in memory answers.
        match open(Open::Write) {
            Ok(file) => Index::open_write(&file, Some(self.root.clone())),
            Err(StoreError::ReadOnly { .. }) => Index::open_copy(&open(Open::Read)?),
            Err(e) => Err(e),
        }
    }

    /// An error when the store's directory is no longer the one that was opened.
    pub fn check_still_there(&self) -> Result<()> {
        self.reopen_root().map(drop)
    }

    /// Another handle on the store's directory, with locks of its own.
    pub fn reopen_root(&self) -> Result<Dir> {
        let gone = || StoreError::Gone { path: self.path.clone() };
        let root = Dir::open(&*self.fs, &self.path).map_err(|_| gone())?;
        let (now, then) = (root.stat_self()?, self.root.stat_self()?);
        if (now.dev, now.ino) == (then.dev, then.ino) { Ok(root) } else { Err(gone()) }
    }
}

pub(super) fn open_lock(root: &Dir, access: Access) -> Result<File> {
    let file = match root.open_file(LOCK, Open::Ensure) {
        // On a store that cannot be written a lock on the opened file does as well.
        Err(e) if access == Access::Read && e.is_read_only() => root.open_file(LOCK, Open::Read)?,
        Err(e) if e.is_read_only() => {
            return Err(StoreError::ReadOnly { path: root.path().into() });
        }
        other => other?,
    };
    Ok(file)
}

/// Whether FORMAT is there and known.
pub(super) fn check_format(root: &Dir) -> Result<bool> {
    let file = match root.open_file(FORMAT, Open::Read) {
        Ok(file) => file,
        Err(e) if e.is_not_found() => return Ok(false),
        Err(e) => return Err(e.into()),
    };
    let text = String::from_utf8_lossy(&file.read_all(4096)?).trim().to_owned();
    match text.strip_prefix(MAGIC).and_then(|version| version.parse::<u32>().ok()) {
        Some(VERSION) => Ok(true),
        _ => Err(StoreError::NewerFormat { path: file.path().into(), found: text, known: VERSION }),
    }
}

/// Makes the names that lead to a new store durable. Which of them are new nobody can tell after an
/// earlier try that failed, so it is all that can be synced.
fn sync_parents(fs: &dyn Fs, path: &Path) -> Result<()> {
    let path = fs.canonical(path).map_err(|e| crate::error::FsError::new("find", path, e))?;
    for above in path.ancestors().skip(1) {
        // What cannot be read is not a directory that was just made.
        let Ok(dir) = Dir::open(fs, above) else { continue };
        match dir.sync() {
            Err(e) if !e.is_unsupported() && !e.is_read_only() => {
                // No later sync can be believed for a name that is there: the next try makes it.
                if let Some(name) = path.strip_prefix(above).ok().and_then(|p| p.iter().next()) {
                    let _ = dir.remove_dir(name);
                }
                return Err(e.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes a store in a directory without FORMAT. FORMAT is written last, so a store that has one is
/// whole; what a crash left of an earlier try is made again.
fn make(root: &Dir) -> Result<()> {
    let entries = root.list()?;
    // Who writes the settings first has a directory with these.
    let others = entries.iter().any(|e| e.name != CONFIG);
    if others && entries.iter().all(|e| e.name != LOCK) {
        return Err(StoreError::NotAStore { path: root.path().into() });
    }
    let lock = root.open_file(LOCK, Open::Ensure)?;
    // Another process may be first: then it holds the lock, shared, for as long as it works.
    let ask = || Ok(matches!(check_format(root), Ok(true)) || lock.try_lock(LockKind::Exclusive)?);
    if !lock::wait_for(ask, PATIENCE)? {
        return Err(StoreError::Busy { path: lock.path().into(), waited: PATIENCE });
    }
    if check_format(root)? {
        return Ok(());
    }
    // What tells a half-made store from somebody's directory comes before what it is half made of.
    root.sync()?;
    let blobs = root.ensure_dir("blobs")?;
    if !blobs.list()?.is_empty() {
        // A store that lost its FORMAT: nobody's guess should decide what its blobs are.
        return Err(StoreError::NotAStore { path: root.path().into() });
    }
    for name in ["blobs", "manifests", "refs", STAGING, MODELS, VIEWS, "used", "trash"] {
        // Made anew: what an earlier try's sync failed for, none of this one's makes durable.
        let _ = root.remove_dir(name);
        root.ensure_dir(name)?;
    }
    root.open_file(GC_LOCK, Open::Ensure)?;
    match root.remove_file(INDEX) {
        Err(e) if !e.is_not_found() => return Err(e.into()),
        _ => {}
    }
    let index = root.open_file(INDEX, Open::New)?;
    drop(Index::create(&index)?);
    index.sync()?;
    root.sync()?;
    durable::replace(root, FORMAT, format!("{MAGIC}{VERSION}\n").as_bytes()).inspect_err(|_| {
        // A store that may not be there tomorrow takes no models today.
        let _ = root.remove_file(FORMAT);
    })?;
    Ok(())
}
