//! redb's file through the crate's own file system, so that the simulation crashes index and blobs
//! together, and with a limit on every wait for a lock.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use rustix::io::Errno;

use super::{IndexError, PATIENCE};
use crate::error::FsError;
use crate::fs::{File, LockKind};

pub(super) struct IndexFile {
    file: Raw,
    health: Arc<Health>,
}

enum Raw {
    /// The operating system's file: redb's own backend knows its byte range locks.
    System(FileBackend),
    /// A simulated file, with range locks of its own.
    Simulated(File),
}

/// What became of the operations on a file. redb does nothing more with one after the first failure.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicU8);

const WELL: u8 = 0;
const FULL: u8 = 1;
const LOST: u8 = 2;

impl Health {
    /// Whether nothing failed but writes that the disk had no room for: what the file has is what was
    /// written and synced, so it can be opened anew. After a sync that failed nobody knows that.
    pub fn is_only_full(&self) -> bool {
        self.0.load(Ordering::Acquire) == FULL
    }

    fn note<T>(&self, done: io::Result<T>, can_be_full: bool) -> io::Result<T> {
        if let Err(error) = &done {
            let full = [Errno::NOSPC, Errno::DQUOT].map(|full| Some(full.raw_os_error()));
            let is_full = can_be_full && full.contains(&error.raw_os_error());
            self.0.fetch_max(if is_full { FULL } else { LOST }, Ordering::AcqRel);
        }
        done
    }
}

impl IndexFile {
    pub fn new(file: &File) -> Result<(Self, Arc<Health>), IndexError> {
        let file = match file.os_file().map_err(FsError::into_io)? {
            Some(file) => Raw::System(FileBackend::new(file)?),
            None => Raw::Simulated(file.clone()),
        };
        let health = Arc::new(Health(WELL.into()));
        Ok((Self { file, health: health.clone() }, health))
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
        let done = match &self.file {
            Raw::System(file) => file.len(),
            Raw::Simulated(file) => Ok(file.stat().map_err(FsError::into_io)?.size),
        };
        self.health.note(done, false)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let done = match &self.file {
            Raw::System(file) => file.read(offset, out),
            Raw::Simulated(file) => {
                let n = file.read_at(out, offset).map_err(FsError::into_io)?;
                if n == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        };
        self.health.note(done, false)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let done = match &self.file {
            Raw::System(file) => file.set_len(len),
            Raw::Simulated(file) => file.set_len(len).map_err(FsError::into_io),
        };
        self.health.note(done, true)
    }

    fn sync_data(&self) -> io::Result<()> {
        let done = match &self.file {
            Raw::System(file) => file.sync_data(),
            Raw::Simulated(file) => file.sync().map_err(FsError::into_io),
        };
        self.health.note(done, false)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let done = match &self.file {
            Raw::System(file) => file.write(offset, data),
            Raw::Simulated(file) => file.write_at(data, offset).map_err(FsError::into_io),
        };
        self.health.note(done, true)
    }

    fn close(&self) -> io::Result<()> {
        match &self.file {
            Raw::System(file) => file.close(),
            Raw::Simulated(file) => simulated::close(file),
        }
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match &self.file {
            Raw::System(file) => file.try_lock_range(start, end),
            Raw::Simulated(file) => simulated::lock(file, start, end, Some(LockKind::Exclusive)),
        }
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        match &self.file {
            Raw::System(file) => file.try_lock_shared_range(start, end),
            Raw::Simulated(file) => simulated::lock(file, start, end, Some(LockKind::Shared)),
        }
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        wait(|| self.try_lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        wait(|| self.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match &self.file {
            Raw::System(file) => file.unlock_range(start, end),
            Raw::Simulated(file) => simulated::lock(file, start, end, None).map(drop),
        }
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match &self.file {
            Raw::System(file) => file.query_lock_range(start, end),
            Raw::Simulated(file) => simulated::query(file, start, end),
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
