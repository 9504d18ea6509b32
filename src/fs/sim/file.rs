//! An opened file of a simulated disk.

use std::any::Any;
use std::io;

use rustix::io::Errno;

use super::super::{FileHandle, LockKind, Stat};
use super::content::Change;
use super::fault::Class;
use super::process::Handle;

/// Also what opening a directory to read gives, as on Linux; reading it fails.
#[derive(Debug)]
pub(crate) struct SimFile {
    pub(super) handle: Handle,
    pub(super) writable: bool,
}

impl SimFile {
    /// Does a change that needs a handle opened to write, or fails with `otherwise`.
    fn change(&self, class: Class, otherwise: Errno, change: Change) -> io::Result<()> {
        let mut state = self.handle.begin(class)?;
        if !self.writable {
            return Err(otherwise.into());
        }
        state.change(self.handle.ino, change);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.handle.enter()?;
        Ok(state.stat(self.handle.ino).size)
    }
}

impl FileHandle for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.handle.begin(Class::Read)?;
        Ok(state.file(self.handle.ino)?.live.bytes.read(buf, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.handle.enter()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let passed = state.pass(self.handle.process, Class::Allocate);
        let done = match &passed {
            Ok(()) => bytes,
            Err(stop) if stop.torn => &bytes[..bytes.len() / 2],
            Err(_) => &[],
        };
        if self.writable && !done.is_empty() {
            state.change(self.handle.ino, Change::Write { offset, data: done.into() });
        }
        passed?;
        if self.writable { Ok(()) } else { Err(Errno::BADF.into()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let class = if len > self.len()? { Class::Allocate } else { Class::Mutate };
        self.change(class, Errno::INVAL, Change::SetLen(len))
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return self.handle.enter().map(drop);
        }
        self.change(Class::Allocate, Errno::BADF, Change::Reserve(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync()
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(self.handle.begin(Class::Read)?.stat(self.handle.ino))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.handle.begin(Class::Mutate)?.change(self.handle.ino, Change::Mode(mode & 0o7777));
        Ok(())
    }

    fn set_mtime(&self, mtime_ns: Option<i64>) -> io::Result<()> {
        let mut state = self.handle.begin(Class::Mutate)?;
        let now = state.now();
        state.change_at(self.handle.ino, mtime_ns.unwrap_or(now), Change::Mtime);
        Ok(())
    }

    fn reflink_from(&self, source: &dyn FileHandle) -> io::Result<()> {
        let source = source.as_any().downcast_ref::<Self>();
        let source = source.filter(|s| self.handle.same_disk(&s.handle));
        let source = source.ok_or(io::ErrorKind::CrossesDevices)?;
        let mut state = self.handle.begin(Class::Allocate)?;
        if !state.reflinks {
            return Err(Errno::OPNOTSUPP.into());
        }
        if !self.writable {
            return Err(Errno::BADF.into());
        }
        let bytes = state.file(source.handle.ino)?.live.bytes.clone();
        let empty = state.file(self.handle.ino)?.live.bytes.len() == 0;
        assert!(empty, "the seam clones only into empty files");
        state.change(self.handle.ino, Change::Clone(bytes));
        Ok(())
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.handle.try_lock(kind)
    }

    fn os_file(&self) -> io::Result<Option<std::fs::File>> {
        self.handle.enter().map(|_| None)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
