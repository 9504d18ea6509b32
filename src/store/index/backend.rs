//! redb's file through the crate's own file system, so that the simulation crashes index and blobs
//! together, and with a limit on every wait for a lock.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::{IndexError, PATIENCE};
use crate::error::FsError;
use crate::fs::{File, LockKind};

pub(super) enum IndexFile {
    /// The operating system's file: redb's own backend knows its byte range locks.
    System(FileBackend),
    /// A simulated file, with range locks of its own.
    Simulated(File),
}

impl IndexFile {
    pub fn new(file: &File) -> Result<Self, IndexError> {
        match file.os_file().map_err(FsError::into_io)? {
            Some(file) => Ok(Self::System(FileBackend::new(file)?)),
            None => Ok(Self::Simulated(file.clone())),
        }
    }
}

impl fmt::Debug for IndexFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexFile")
    }
}

/// Asks for a lock until it is had or [`PATIENCE`] is over.
fn wait(mut ask: impl FnMut() -> Result<bool, BackendError>) -> Result<(), BackendError> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(50);
    while !ask()? {
        if began.elapsed() > PATIENCE {
            return Err(BackendError::Io(io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
}

impl StorageBackend for IndexFile {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::System(file) => file.len(),
            Self::Simulated(file) => Ok(file.stat().map_err(FsError::into_io)?.size),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::System(file) => file.read(offset, out),
            Self::Simulated(file) => {
                let n = file.read_at(out, offset).map_err(FsError::into_io)?;
                if n == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self {
            Self::System(file) => file.set_len(len),
            Self::Simulated(file) => file.set_len(len).map_err(FsError::into_io),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::System(file) => file.sync_data(),
            Self::Simulated(file) => file.sync().map_err(FsError::into_io),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self {
            Self::System(file) => file.write(offset, data),
            Self::Simulated(file) => file.write_at(data, offset).map_err(FsError::into_io),
        }
    }

    fn close(&self) -> io::Result<()> {
        match self {
            Self::System(file) => file.close(),
            Self::Simulated(file) => simulated::close(file),
        }
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match self {
            Self::System(file) => file.try_lock_range(start, end),
            Self::Simulated(file) => simulated::lock(file, start, end, Some(LockKind::Exclusive)),
        }
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        match self {
            Self::System(file) => file.try_lock_shared_range(start, end),
            Self::Simulated(file) => simulated::lock(file, start, end, Some(LockKind::Shared)),
        }
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        wait(|| self.try_lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        wait(|| self.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match self {
            Self::System(file) => file.unlock_range(start, end),
            Self::Simulated(file) => simulated::lock(file, start, end, None).map(drop),
        }
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match self {
            Self::System(file) => file.query_lock_range(start, end),
            Self::Simulated(file) => simulated::query(file, start, end),
        }
    }
}

#[cfg(test)]
mod simulated {
    use super::{BackendError, Bound, File, LockKind, io};

    type Result<T> = std::result::Result<T, BackendError>;

    fn range(start: Bound<u64>, end: Bound<u64>) -> std::ops::RangeInclusive<u64> {
        let start = match start {
            Bound::Included(start) => start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match end {
            Bound::Included(end) => end,
            Bound::Excluded(end) => end - 1,
            Bound::Unbounded => u64::MAX,
        };
        start..=end
    }

    pub(super) fn lock(
        file: &File,
        start: Bound<u64>,
        end: Bound<u64>,
        kind: Option<LockKind>,
    ) -> Result<bool> {
        let Some(file) = file.simulated() else { return Ok(true) };
        file.lock_range(range(start, end), kind).map_err(BackendError::Io)
    }

    pub(super) fn query(file: &File, start: Bound<u64>, end: Bound<u64>) -> Result<bool> {
        let Some(file) = file.simulated() else { return Ok(false) };
        file.is_range_locked(range(start, end)).map_err(BackendError::Io)
    }

    pub(super) fn close(file: &File) -> io::Result<()> {
        let Some(file) = file.simulated() else { return Ok(()) };
        file.lock_range(0..=u64::MAX, None).map(drop)
    }
}

/// Only tests simulate.
#[cfg(not(test))]
mod simulated {
    use super::{BackendError, Bound, File, LockKind, io};

    type Result<T> = std::result::Result<T, BackendError>;

    pub(super) fn lock(
        _: &File,
        _: Bound<u64>,
        _: Bound<u64>,
        _: Option<LockKind>,
    ) -> Result<bool> {
        Ok(true)
    }

    pub(super) fn query(_: &File, _: Bound<u64>, _: Bound<u64>) -> Result<bool> {
        Ok(false)
    }

    pub(super) fn close(_: &File) -> io::Result<()> {
        Ok(())
    }
}
