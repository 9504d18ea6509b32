//! The index: which revisions there are, what they need, what refs name them.
//!
//! The only room that knows redb. It is derived data: blobs and manifests are enough to rebuild it.

#[cfg(feature = "hub")]
mod alias;
mod backend;
mod needs;
mod read;
mod segments;
mod tables;
mod trash;
mod write;

pub(crate) use needs::Needs;
pub(crate) use read::Reader;
pub(crate) use segments::Holder;
pub(crate) use tables::{BlobRow, BlobState, RevisionId, RevisionRow, Stamp};
pub(crate) use trash::TrashedRow;
pub(crate) use write::Writer;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::backends::InMemoryBackend;
use redb::{ConcurrencyMode, Database, ReadOnlyDatabase, ReadableDatabase, StorageBackend};

use super::layout::INDEX;
use crate::error::{FsError, StoreError};
use crate::fs::{Dir, File, Open};
use backend::{Health, IndexFile};

/// redb's page cache. Its own default, 1 GiB, would break the promise of a small process.
const CACHE: usize = 16 << 20;

/// How long a process waits for another one's write before it says busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An opened index.
pub(crate) struct Index {
    opened: RwLock<Arc<Opened>>,
    /// An operation failed: whoever comes next opens it anew, if that can help.
    failed: AtomicBool,
    /// Where its file is, when it can be opened anew.
    dir: Option<Dir>,
    path: PathBuf,
}

struct Opened {
    db: Db,
    health: Arc<Health>,
}

enum Db {
    Write(Database),
    Read(ReadOnlyDatabase),
    /// In memory: what is written to it goes nowhere.
    Copy(Database),
}

/// What went wrong, before the path is known.
#[derive(Debug)]
pub(crate) struct IndexError(redb::Error);

impl<E: Into<redb::Error>> From<E> for IndexError {
    fn from(e: E) -> Self {
        Self(e.into())
    }
}

type Result<T> = std::result::Result<T, IndexError>;

impl Index {
    /// Makes an index in `file`, which must be empty, or opens the one that is there.
    pub fn create(file: &File) -> std::result::Result<Self, StoreError> {
        let make = || {
            let (file, health) = IndexFile::new(file)?;
            let db = builder().create_with_backend(file)?;
            let mut writer = Writer::new(db.begin_write()?);
            writer.make_tables()?;
            writer.commit()?;
            Ok(Opened { db: Db::Write(db), health })
        };
        Ok(Self::new(make().map_err(|e| store_error(file.path().into(), e))?, None, file))
    }

    /// Opens for reading and writing, repairing what a killed writer left. With the directory in which
    /// the file is, an index that met a full disk is opened anew when it is used again.
    pub fn open_write(file: &File, dir: Option<Dir>) -> std::result::Result<Self, StoreError> {
        Ok(Self::new(open_write(file)?, dir, file))
    }

    fn new(opened: Opened, dir: Option<Dir>, file: &File) -> Self {
        let opened = RwLock::new(Arc::new(opened));
        Self { opened, failed: AtomicBool::new(false), dir, path: file.path().into() }
    }

    /// Opens for reading. `None` when a killed writer's traces must be repaired by a writable
    /// open first.
    pub fn open_read(file: &File) -> std::result::Result<Option<Self>, StoreError> {
        refuse_empty(file)?;
        let open = || {
            let (file, health) = IndexFile::new(file)?;
            let db = Db::Read(builder().open_read_only_with_backend(file)?);
            Ok(Opened { db, health })
        };
        match open() {
            Ok(opened) => Ok(Some(Self::new(opened, None, file))),
            Err(IndexError(redb::Error::RepairAborted)) => Ok(None),
            Err(e) => Err(store_error(file.path().into(), e)),
        }
    }

    /// A repaired copy in memory, for a store that cannot be written.
    pub fn open_copy(file: &File) -> std::result::Result<Self, StoreError> {
        let open = || {
            let backend = InMemoryBackend::new();
            let bytes = file.read_all(u64::MAX).map_err(FsError::into_io)?;
            backend.set_len(bytes.len() as u64)?;
            backend.write(0, &bytes)?;
            Ok(redb::Builder::new().set_cache_size(CACHE).create_with_backend(backend)?)
        };
        let db = Db::Copy(open().map_err(|e| store_error(file.path().into(), e))?);
        Ok(Self::new(Opened { db, health: Arc::default() }, None, file))
    }

    pub fn is_writable(&self) -> bool {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        matches!(opened.db, Db::Write(_))
    }

    /// The index, opened anew after the disk was full: redb does nothing more after a write that
    /// failed, and a process that serves for weeks outlives that.
    fn usable(&self) -> std::result::Result<Arc<Opened>, StoreError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(self.opened.read().unwrap_or_else(PoisonError::into_inner).clone());
        }
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = &self.dir
            && self.failed.load(Ordering::Acquire)
            && opened.health.is_only_full()
        {
            *opened = Arc::new(open_write(&dir.open_file(INDEX, Open::Write)?)?);
        }
        self.failed.store(false, Ordering::Release);
        Ok(opened.clone())
    }

    /// Runs `read` on one snapshot.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        let opened = self.usable()?;
        let begin = || {
            Ok(Reader::new(match &opened.db {
                Db::Write(db) | Db::Copy(db) => db.begin_read()?,
                Db::Read(db) => db.begin_read()?,
            }))
        };
        begin().and_then(|reader| read(&reader)).map_err(|e| self.error(e))
    }

    /// Begins the one write transaction that may be open, waiting for other processes' up to
    /// [`PATIENCE`].
    ///
    /// redb's own wait has no limit, so this one asks again and again.
    pub fn begin_write(&self) -> std::result::Result<Writer, StoreError> {
        let opened = self.usable()?;
        let Db::Write(db) = &opened.db else {
            return Err(StoreError::ReadOnly { path: self.path.clone() });
        };
        let began = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            match db.try_begin_write() {
                Ok(transaction) => return Ok(Writer::new(transaction)),
                Err(redb::TransactionError::WouldBlock) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(redb::TransactionError::WouldBlock) => {
                    return Err(StoreError::Busy { path: self.path.clone(), waited: PATIENCE });
                }
                Err(e) => return Err(self.error(e.into())),
            }
        }
    }

    /// What an error of this index means to its user.
    pub fn error(&self, error: IndexError) -> StoreError {
        if let IndexError(redb::Error::Io(_) | redb::Error::PreviousIo) = &error {
            self.failed.store(true, Ordering::Release);
        }
        store_error(self.path.clone(), error)
    }
}

fn open_write(file: &File) -> std::result::Result<Opened, StoreError> {
    refuse_empty(file)?;
    let open = || {
        let (file, health) = IndexFile::new(file)?;
        let db = Db::Write(builder().create_with_backend(file)?);
        Ok(Opened { db, health })
    };
    open().map_err(|e| store_error(file.path().into(), e))
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE).set_concurrency_mode(ConcurrencyMode::MultiWriter);
    builder
}

/// redb takes an empty file for a database yet to be made. A store whose index was truncated must
/// not come up as an empty store: its next collection would take every blob.
fn refuse_empty(file: &File) -> std::result::Result<(), StoreError> {
    if file.stat()?.size == 0 {
        let reason = "the file is empty".to_owned();
        return Err(StoreError::IndexDamaged { path: file.path().into(), reason });
    }
    Ok(())
}

fn store_error(path: PathBuf, IndexError(error): IndexError) -> StoreError {
    match error {
        redb::Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => {
            StoreError::Busy { path, waited: PATIENCE }
        }
        redb::Error::Io(e)
            if !matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            StoreError::Fs(FsError::new("use", path, e))
        }
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            StoreError::Busy { path, waited: Duration::ZERO }
        }
        redb::Error::PreviousIo => StoreError::Fs(FsError::new(
            "use",
            path,
            io::Error::other("an earlier operation on it failed"),
        )),
        other => StoreError::IndexDamaged { path, reason: other.to_string() },
    }
}
