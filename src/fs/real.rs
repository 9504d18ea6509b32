//! The operating system's file system, always relative to an opened directory.

use std::any::Any;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    self as sys, AtFlags, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RawDir,
    RenameFlags, Timespec, Timestamps,
};
use rustix::io::Errno;

use super::extents::{self, Disk, Extent};
use super::{DirHandle, Entry, FileHandle, Fs, Kind, LockKind, Open, Rename, Room, Stat};

/// The backend every program uses.
#[derive(Debug)]
pub(crate) struct RealFs;

#[derive(Debug)]
struct RealDir(OwnedFd);

#[derive(Debug)]
struct RealFile(OwnedFd);

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Buffer for one getdents call: about a thousand names.
const LIST_BUFFER: usize = 32 << 10;

impl Fs for RealFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DirHandle>> {
        let fd = sys::openat(sys::CWD, path, DIR_FLAGS, Mode::empty())?;
        Ok(Arc::new(RealDir(fd)))
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }
}

impl DirHandle for RealDir {
    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn DirHandle>> {
        let fd = sys::openat(&self.0, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Arc::new(RealDir(fd)))
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(sys::mkdirat(&self.0, name, Mode::from_raw_mode(0o777))?)
    }

    fn open_file(&self, name: &OsStr, how: Open) -> io::Result<Arc<dyn FileHandle>> {
        // NONBLOCK: a fifo that takes a file's place must not hang the open.
        let common = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = match how {
            Open::Read => OFlags::RDONLY,
            Open::Write => OFlags::RDWR,
            Open::New => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            Open::Ensure => OFlags::RDWR | OFlags::CREATE,
        };
        let fd = sys::openat(&self.0, name, flags | common, Mode::from_raw_mode(0o666))?;
        Ok(Arc::new(RealFile(fd)))
    }

    fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(reduce(&sys::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn stat_self(&self) -> io::Result<Stat> {
        Ok(reduce(&sys::fstat(&self.0)?))
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        // A handle of its own: the read position belongs to the open directory, not to the call.
        let fd = sys::openat(&self.0, c".", DIR_FLAGS, Mode::empty())?;
        let mut buffer = [MaybeUninit::uninit(); LIST_BUFFER];
        let mut raw = RawDir::new(fd, &mut buffer);
        let mut entries = Vec::new();
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems leave the type to stat.
                FileType::Unknown => match sys::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => reduce(&stat).kind,
                    Err(Errno::NOENT) => continue,
                    Err(e) => return Err(e.into()),
                },
                known => kind_of(known),
            };
            entries.push(Entry { name: OsStr::from_bytes(name.to_bytes()).to_owned(), kind });
        }
        Ok(entries)
    }

    fn link(&self, name: &OsStr, to: &dyn DirHandle, new: &OsStr) -> io::Result<()> {
        Ok(sys::linkat(&self.0, name, real_dir(to)?, new, AtFlags::empty())?)
    }

    fn rename(&self, name: &OsStr, to: &dyn DirHandle, new: &OsStr, how: Rename) -> io::Result<()> {
        let to = real_dir(to)?;
        let flags = match how {
            Rename::Replace => return Ok(sys::renameat(&self.0, name, to, new)?),
            Rename::NoReplace => RenameFlags::NOREPLACE,
            Rename::Exchange => RenameFlags::EXCHANGE,
        };
        Ok(sys::renameat_with(&self.0, name, to, new, flags)?)
    }

    fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(sys::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(sys::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    fn make_symlink(&self, target: &Path, name: &OsStr) -> io::Result<()> {
        Ok(sys::symlinkat(target, &self.0, name)?)
    }

    fn read_symlink(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = sys::readlinkat(&self.0, name, Vec::new())?;
        Ok(std::ffi::OsString::from_vec(target.into_bytes()).into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(sys::fsync(&self.0)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(sys::syncfs(&self.0)?)
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        try_flock(&self.0, kind)
    }

    fn room(&self) -> io::Result<Room> {
        let stat = sys::fstatvfs(&self.0)?;
        Ok(Room {
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn disk(&self) -> io::Result<Disk> {
        // statfs(2)
        const BTRFS: u64 = 0x9123_683e;
        let block = sys::fstatvfs(&self.0)?.f_frsize.max(512);
        let whole_extents = sys::fstatfs(&self.0)?.f_type as u64 == BTRFS;
        Ok(Disk { block, whole_extents })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FileHandle for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::pread(&self.0, &mut *buf, offset))?)
    }

    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.0, bytes, offset))?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(n..).unwrap_or_default();
            offset += n as u64;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(sys::ftruncate(&self.0, len)?)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match sys::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            // No way to reserve here: the writes will tell.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(sys::fsync(&self.0)?)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(reduce(&sys::fstat(&self.0)?))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(sys::fchmod(&self.0, Mode::from_raw_mode(mode))?)
    }

    fn set_mtime(&self, mtime_ns: Option<i64>) -> io::Result<()> {
        let last_modification = match mtime_ns {
            Some(ns) => Timespec {
                tv_sec: ns.div_euclid(1_000_000_000),
                tv_nsec: ns.rem_euclid(1_000_000_000),
            },
            None => Timespec { tv_sec: 0, tv_nsec: sys::UTIME_NOW },
        };
        let last_access = Timespec { tv_sec: 0, tv_nsec: sys::UTIME_OMIT };
        Ok(sys::futimens(&self.0, &Timestamps { last_access, last_modification })?)
    }

    fn reflink_from(&self, source: &dyn FileHandle) -> io::Result<()> {
        let source = source.as_any().downcast_ref::<Self>().ok_or_else(foreign)?;
        Ok(sys::ioctl_ficlone(&self.0, &source.0)?)
    }

    fn share_from(
        &self,
        source: &dyn FileHandle,
        offset: u64,
        len: u64,
        at: u64,
    ) -> io::Result<u64> {
        let source = source.as_any().downcast_ref::<Self>().ok_or_else(foreign)?;
        extents::share(&source.0, offset, len, &self.0, at)
    }

    fn clone_range(
        &self,
        source: &dyn FileHandle,
        offset: u64,
        len: u64,
        at: u64,
    ) -> io::Result<()> {
        let source = source.as_any().downcast_ref::<Self>().ok_or_else(foreign)?;
        extents::clone(&source.0, offset, len, &self.0, at)
    }

    fn extents(&self) -> io::Result<Vec<Extent>> {
        extents::extents(&self.0)
    }

    fn cut(&self, from: u64, to: u64) {
        // Of all calls that begin to write a range, this one is also a plain advice.
        let len = std::num::NonZeroU64::new(to.saturating_sub(from));
        if len.is_some() {
            let _ = sys::fadvise(&self.0, from, len, sys::Advice::DontNeed);
        }
    }

    fn read_ahead(&self, offset: u64, len: u64) {
        // Advice: that it is not taken is no error.
        let len = std::num::NonZeroU64::new(len);
        let _ = sys::fadvise(&self.0, offset, len, sys::Advice::WillNeed);
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        try_flock(&self.0, kind)
    }

    fn os_file(&self) -> io::Result<Option<std::fs::File>> {
        Ok(Some(self.0.try_clone()?.into()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn real_dir(dir: &dyn DirHandle) -> io::Result<&OwnedFd> {
    dir.as_any().downcast_ref::<RealDir>().map(|d| &d.0).ok_or_else(foreign)
}

fn foreign() -> io::Error {
    io::Error::from(io::ErrorKind::CrossesDevices)
}

fn try_flock(fd: impl AsFd, kind: LockKind) -> io::Result<bool> {
    let operation = match kind {
        LockKind::Shared => FlockOperation::NonBlockingLockShared,
        LockKind::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::io::retry_on_intr(|| sys::flock(fd.as_fd(), operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    }
}

fn reduce(stat: &sys::Stat) -> Stat {
    Stat {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns: stat
            .st_mtime
            .saturating_mul(1_000_000_000)
            .saturating_add(stat.st_mtime_nsec as i64),
        ctime_ns: stat
            .st_ctime
            .saturating_mul(1_000_000_000)
            .saturating_add(stat.st_ctime_nsec as i64),
        mode: stat.st_mode & 0o7777,
        dev: stat.st_dev,
        ino: stat.st_ino,
        nlink: stat.st_nlink,
        allotted: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
    }
}
