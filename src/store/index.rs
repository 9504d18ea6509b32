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
use std::time::{Duration, Instant};

use redb::backends::InMemoryBackend;
use redb::{ConcurrencyMode, Database, ReadOnlyDatabase, ReadableDatabase, StorageBackend};

use crate::error::{FsError, StoreError};
use crate::fs::File;
use backend::IndexFile;

/// redb's page cache. Its own default, 1 GiB, would break the promise of a small process.
const CACHE: usize = 16 << 20;

/// How long a process waits for another one's write before it says busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An opened index.
pub(crate) struct Index {
    db: Db,
    path: PathBuf,
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
        let made = Self::open_write_db(file)
            .and_then(|db| {
                let mut writer = Writer::new(db.begin_write()?);
                writer.make_tables()?;
                writer.commit()?;
                Ok(db)
            })
            .map_err(|e| store_error(file.path().into(), e))?;
        Ok(Self { db: Db::Write(made), path: file.path().into() })
    }

    /// Opens for reading and writing, repairing what a killed writer left.
    pub fn open_write(file: &File) -> std::result::Result<Self, StoreError> {
        refuse_empty(file)?;
        let db = Self::open_write_db(file).map_err(|e| store_error(file.path().into(), e))?;
        Ok(Self { db: Db::Write(db), path: file.path().into() })
    }

    fn open_write_db(file: &File) -> Result<Database> {
        Ok(builder().create_with_backend(IndexFile::new(file)?)?)
    }

    /// Opens for reading. `None` when a killed writer's traces must be repaired by a writable
    /// open first.
    pub fn open_read(file: &File) -> std::result::Result<Option<Self>, StoreError> {
        refuse_empty(file)?;
        let open = || Ok(builder().open_read_only_with_backend(IndexFile::new(file)?)?);
        match open() {
            Ok(db) => Ok(Some(Self { db: Db::Read(db), path: file.path().into() })),
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
        let db = open().map_err(|e| store_error(file.path().into(), e))?;
        Ok(Self { db: Db::Copy(db), path: file.path().into() })
    }

    pub fn is_writable(&self) -> bool {
        matches!(self.db, Db::Write(_))
    }

    /// Runs `read` on one snapshot.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        let begin = || {
            Ok(Reader::new(match &self.db {
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
        let Db::Write(db) = &self.db else {
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

    pub fn error(&self, error: IndexError) -> StoreError {
        store_error(self.path.clone(), error)
    }
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
