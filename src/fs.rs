//! Every effect on the file system goes through here.
//!
//! [`DirHandle`] and [`FileHandle`] are the whole seam: a real backend ([`real`]) that works
//! relative to opened directories, so that no path is looked up twice, and, in tests, a simulated
//! one that can lose power, be killed or fail at any operation. The handles the rest of the crate
//! uses, [`Dir`] and [`File`], add the path to every error.

pub(crate) mod durable;
pub(crate) mod extents;
pub(crate) mod link;
pub(crate) mod lock;
pub(crate) mod real;
#[cfg(test)]
pub(crate) mod sim;

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::stream::{Bytes, Sink};
use crate::error::FsError;
use extents::{Disk, Extent};

pub(crate) type Result<T> = std::result::Result<T, FsError>;

/// What kind of thing a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    /// A socket, fifo or device: nothing a store can hold.
    Other,
}

/// What a stat tells, reduced to what the store uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// When anything of the inode last changed, in nanoseconds since the epoch. Links change it,
    /// so it is no part of a fingerprint.
    pub ctime_ns: i64,
    /// Permission bits only.
    pub mode: u32,
    pub dev: u64,
    pub ino: u64,
    pub nlink: u64,
    /// Bytes the file system has allotted.
    pub allotted: u64,
}

/// One name in a directory. The kind is the name's own: symbolic links are not followed.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub name: OsString,
    pub kind: Kind,
}

/// How a file is opened. None follows a symbolic link in the last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, to read and write.
    New,
    /// A file to read and write, made when it is missing: lock files and the index.
    Ensure,
}

/// What a rename does with a name that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rename {
    Replace,
    NoReplace,
    /// Both names swap what they stand for.
    Exchange,
}

/// How much a lock excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    Shared,
    Exclusive,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// What an unprivileged writer can still use.
    pub available: u64,
    pub total: u64,
}

/// An opened directory. Names are single components.
pub(crate) trait DirHandle: Send + Sync + fmt::Debug {
    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn DirHandle>>;
    fn make_dir(&self, name: &OsStr) -> io::Result<()>;
    fn open_file(&self, name: &OsStr, how: Open) -> io::Result<Arc<dyn FileHandle>>;
    fn stat(&self, name: &OsStr) -> io::Result<Stat>;
    fn stat_self(&self) -> io::Result<Stat>;
    fn list(&self) -> io::Result<Vec<Entry>>;
    fn link(&self, name: &OsStr, to: &dyn DirHandle, new: &OsStr) -> io::Result<()>;
    fn rename(&self, name: &OsStr, to: &dyn DirHandle, new: &OsStr, how: Rename) -> io::Result<()>;
    fn remove_file(&self, name: &OsStr) -> io::Result<()>;
    fn remove_dir(&self, name: &OsStr) -> io::Result<()>;
    fn make_symlink(&self, target: &Path, name: &OsStr) -> io::Result<()>;
    fn read_symlink(&self, name: &OsStr) -> io::Result<PathBuf>;
    /// Makes the directory's entries durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes everything on this file system durable: one call for a tree of many files.
    fn sync_all(&self) -> io::Result<()>;
    /// An advisory lock on the directory itself; false when somebody else's lock excludes it.
    fn try_lock(&self, kind: LockKind) -> io::Result<bool>;
    fn room(&self) -> io::Result<Room>;
    /// What sharing parts of files means here.
    fn disk(&self) -> io::Result<Disk>;
    fn as_any(&self) -> &dyn Any;
}

/// An opened file. Closing it releases its lock.
pub(crate) trait FileHandle: Send + Sync + fmt::Debug {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Asks for `len` bytes now, so that a full disk is met before the work and not in it.
    fn reserve(&self, len: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn stat(&self) -> io::Result<Stat>;
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Sets the time of last change; `None` is now.
    fn set_mtime(&self, mtime_ns: Option<i64>) -> io::Result<()>;
    /// Makes this empty file share all of `source`'s blocks (a reflink).
    fn reflink_from(&self, source: &dyn FileHandle) -> io::Result<()>;
    /// Has the bytes of this file at `at` share the blocks of `source`'s at `offset`, if they are the
    /// same. Gives back of how many bytes that is true now.
    fn share_from(
        &self,
        _source: &dyn FileHandle,
        _offset: u64,
        _len: u64,
        _at: u64,
    ) -> io::Result<u64> {
        Err(rustix::io::Errno::OPNOTSUPP.into())
    }
    /// Has this file at `at` share the blocks of `source`'s at `offset`, whatever was there.
    fn clone_range(
        &self,
        _source: &dyn FileHandle,
        _offset: u64,
        _len: u64,
        _at: u64,
    ) -> io::Result<()> {
        Err(rustix::io::Errno::OPNOTSUPP.into())
    }
    /// Where the file's bytes are on the disk.
    fn extents(&self) -> io::Result<Vec<Extent>> {
        Err(rustix::io::Errno::OPNOTSUPP.into())
    }
    /// Gives what was written to the disk, up to `offset`, without a promise: so the next byte
    /// begins another extent.
    fn cut(&self, _from: u64, _to: u64) {}
    /// Tells the kernel that the file will be read once, from front to back.
    fn read_ahead(&self, _offset: u64, _len: u64) {}
    /// An advisory lock; false when somebody else's lock excludes it.
    fn try_lock(&self, kind: LockKind) -> io::Result<bool>;
    /// The operating system's file, when there is one: the index hands it to redb, whose byte
    /// range locks need it.
    fn os_file(&self) -> io::Result<Option<std::fs::File>>;
    fn as_any(&self) -> &dyn Any;
}

/// Where paths that a user gave become handles.
pub(crate) trait Fs: Send + Sync + fmt::Debug {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DirHandle>>;
    fn make_dirs(&self, path: &Path) -> io::Result<()>;
    /// The absolute path without symbolic links.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;
}

/// A directory and the path it was opened by, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Dir {
    raw: Arc<dyn DirHandle>,
    path: Arc<Path>,
}

/// A file and the path it was opened by, for messages.
#[derive(Clone, Debug)]
pub(crate) struct File {
    raw: Arc<dyn FileHandle>,
    path: Arc<Path>,
}

impl Dir {
    /// Opens `path`, following symbolic links: the user's own word names the directory once, and
    /// everything after is relative to it.
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<Self> {
        let raw = fs.open_dir(path).map_err(|e| FsError::new("open", path, e))?;
        Ok(Self { raw, path: path.into() })
    }

    /// Makes `path` and its parents where they are missing, and opens it.
    pub fn ensure(fs: &dyn Fs, path: &Path) -> Result<Self> {
        fs.make_dirs(path).map_err(|e| FsError::new("make directory", path, e))?;
        Self::open(fs, path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at<T>(&self, action: &'static str, name: &OsStr, done: io::Result<T>) -> Result<T> {
        done.map_err(|e| FsError::new(action, self.path.join(name), e))
    }

    fn own<T>(&self, action: &'static str, done: io::Result<T>) -> Result<T> {
        done.map_err(|e| FsError::new(action, &*self.path, e))
    }

    pub fn open_dir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = name.as_ref();
        let raw = self.at("open", name, self.raw.open_dir(name))?;
        Ok(Self { raw, path: self.path.join(name).into() })
    }

    pub fn make_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        self.at("make directory", name, self.raw.make_dir(name))
    }

    /// Opens the directory `name`, made when it is missing.
    pub fn ensure_dir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = name.as_ref();
        match self.make_dir(name) {
            Err(e) if !e.is_exists() => Err(e),
            _ => self.open_dir(name),
        }
    }

    pub fn open_file(&self, name: impl AsRef<OsStr>, how: Open) -> Result<File> {
        let name = name.as_ref();
        let raw = self.at("open", name, self.raw.open_file(name, how))?;
        Ok(File { raw, path: self.path.join(name).into() })
    }

    pub fn stat(&self, name: impl AsRef<OsStr>) -> Result<Stat> {
        let name = name.as_ref();
        self.at("stat", name, self.raw.stat(name))
    }

    pub fn stat_self(&self) -> Result<Stat> {
        self.own("stat", self.raw.stat_self())
    }

    /// The names in it, in no order.
    pub fn list(&self) -> Result<Vec<Entry>> {
        self.own("list", self.raw.list())
    }

    pub fn link(&self, name: impl AsRef<OsStr>, to: &Dir, new: impl AsRef<OsStr>) -> Result<()> {
        let new = new.as_ref();
        to.at("link", new, self.raw.link(name.as_ref(), &*to.raw, new))
    }

    pub fn rename(
        &self,
        name: impl AsRef<OsStr>,
        to: &Dir,
        new: impl AsRef<OsStr>,
        how: Rename,
    ) -> Result<()> {
        let name = name.as_ref();
        self.at("rename", name, self.raw.rename(name, &*to.raw, new.as_ref(), how))
    }

    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        self.at("remove", name, self.raw.remove_file(name))
    }

    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        self.at("remove", name, self.raw.remove_dir(name))
    }

    pub fn make_symlink(&self, target: &Path, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        self.at("make symbolic link", name, self.raw.make_symlink(target, name))
    }

    pub fn read_symlink(&self, name: impl AsRef<OsStr>) -> Result<PathBuf> {
        let name = name.as_ref();
        self.at("read symbolic link", name, self.raw.read_symlink(name))
    }

    pub fn sync(&self) -> Result<()> {
        self.own("sync", self.raw.sync())
    }

    pub fn sync_all(&self) -> Result<()> {
        self.own("sync", self.raw.sync_all())
    }

    pub fn try_lock(&self, kind: LockKind) -> Result<bool> {
        self.own("lock", self.raw.try_lock(kind))
    }

    pub fn room(&self) -> Result<Room> {
        self.own("measure", self.raw.room())
    }

    pub fn disk(&self) -> Result<Disk> {
        self.own("measure", self.raw.disk())
    }
}

impl File {
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn own<T>(&self, action: &'static str, done: io::Result<T>) -> Result<T> {
        done.map_err(|e| FsError::new(action, &*self.path, e))
    }

    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.own("read", self.raw.read_at(buf, offset))
    }

    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.own("write", self.raw.write_at(bytes, offset))
    }

    /// Reads everything, refusing more than `limit` bytes: no allocation is sized by a file.
    pub fn read_all(&self, limit: u64) -> Result<Vec<u8>> {
        let size = self.stat()?.size;
        if size > limit {
            let e = io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{size} bytes where at most {limit} are allowed"),
            );
            return self.own("read", Err(e));
        }
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|r| !r.is_empty()) {
            match self.read_at(rest, filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    pub fn set_len(&self, len: u64) -> Result<()> {
        self.own("resize", self.raw.set_len(len))
    }

    pub fn reserve(&self, len: u64) -> Result<()> {
        self.own("reserve space for", self.raw.reserve(len))
    }

    pub fn sync(&self) -> Result<()> {
        self.own("sync", self.raw.sync())
    }

    pub fn stat(&self) -> Result<Stat> {
        self.own("stat", self.raw.stat())
    }

    pub fn set_mode(&self, mode: u32) -> Result<()> {
        self.own("set permissions of", self.raw.set_mode(mode))
    }

    pub fn set_mtime(&self, mtime_ns: Option<i64>) -> Result<()> {
        self.own("set times of", self.raw.set_mtime(mtime_ns))
    }

    pub fn reflink_from(&self, source: &File) -> Result<()> {
        self.own("reflink", self.raw.reflink_from(&*source.raw))
    }

    pub fn share_from(&self, source: &File, offset: u64, len: u64, at: u64) -> Result<u64> {
        self.own("share", self.raw.share_from(&*source.raw, offset, len, at))
    }

    pub fn clone_range(&self, source: &File, offset: u64, len: u64, at: u64) -> Result<()> {
        self.own("clone", self.raw.clone_range(&*source.raw, offset, len, at))
    }

    pub fn extents(&self) -> Result<Vec<Extent>> {
        self.own("map", self.raw.extents())
    }

    pub fn cut(&self, from: u64, to: u64) {
        self.raw.cut(from, to);
    }

    pub fn read_ahead(&self, offset: u64, len: u64) {
        self.raw.read_ahead(offset, len);
    }

    pub fn try_lock(&self, kind: LockKind) -> Result<bool> {
        self.own("lock", self.raw.try_lock(kind))
    }

    pub fn os_file(&self) -> Result<Option<std::fs::File>> {
        self.own("open", self.raw.os_file())
    }

    #[cfg(test)]
    pub fn simulated(&self) -> Option<&sim::SimFile> {
        self.raw.as_any().downcast_ref()
    }
}

impl Bytes for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.raw.read_at(buf, offset)
    }

    fn will_need(&self, range: Range<u64>) {
        self.read_ahead(range.start, range.end - range.start);
    }
}

impl Sink for File {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.raw.write_at(buf, offset)
    }
}
