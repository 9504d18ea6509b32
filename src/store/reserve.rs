//! Reservations: who brings new bytes says how many before the first one is written.
//!
//! A reservation is the file `.reserved` in an import's directory: the bytes that the import may
//! have there in all. It counts while the import's lock is held (I6). What is there already is on
//! the disk, and counted with it; the rest is what others must leave free. One decides at a time,
//! under the lock of `staging/`, so two processes never both take the last gigabyte.

use super::import::{Import, LOCK};
use super::index::PATIENCE;
use super::layout::STAGING;
use super::partial::is_held;
use super::{Result, Store};
use crate::error::{FsError, StoreError};
use crate::fs::{Dir, LockKind, Open, Rename, lock};

const RESERVED: &str = ".reserved";

/// No number is longer.
const MAX_RESERVED: u64 = 64;

/// What is allotted to a file comes in blocks of so many bytes.
const BLOCK: u64 = 4096;

/// For what comes along with new blobs: a manifest, a ref, pages of the index.
const ALONG: u64 = 64 << 10;

/// How much of the disk the store may take. The default is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the store may take on the disk.
    pub max_bytes: Option<u64>,
    /// When revisions are evicted to make room, then until this percentage of `max_bytes` would be
    /// taken, if that can be reached; so that not every import has to evict.
    pub low_percent: u8,
    /// Bytes of the disk that stay free.
    pub min_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: None, low_percent: 90, min_free_bytes: 0 }
    }
}

impl Limits {
    fn are_none(&self) -> bool {
        self.max_bytes.is_none() && self.min_free_bytes == 0
    }

    /// Bytes between the two marks.
    #[must_use]
    pub fn between(&self) -> u64 {
        let max = u128::from(self.max_bytes.unwrap_or(0));
        let percent = u128::from(100_u8.saturating_sub(self.low_percent));
        u64::try_from(max * percent / 100).unwrap_or(u64::MAX)
    }
}

impl Store {
    /// Has this handle's imports and pulls keep within `limits`.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = limits;
    }

    /// The limits that were set.
    #[must_use]
    pub fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether `bytes` more would keep within the limits now.
    pub(crate) fn check_limits(&self, bytes: u64) -> Result<()> {
        let mut need = Need::default();
        need.add(bytes);
        check(self, self.limits(), need, self.reserved_by_others("")?)
    }

    /// Bytes that may be written now within the limits, or the disk.
    #[cfg(feature = "serve")]
    pub(crate) fn left(&self) -> Result<u64> {
        match self.check_limits(u64::MAX) {
            Err(
                StoreError::OverLimit { available, .. } | StoreError::NoSpace { available, .. },
            ) => Ok(available),
            other => other.map(|()| u64::MAX),
        }
    }

    /// Bytes that running imports, but for `own`, may yet write.
    fn reserved_by_others(&self, own: &str) -> Result<u64> {
        let mut bytes = 0_u64;
        for entry in self.layout.staging.list()? {
            if entry.name == own {
                continue;
            }
            match self.layout.staging.open_dir(&entry.name) {
                Ok(dir) if is_held(&dir)? => {
                    bytes = bytes.saturating_add(reserved(&dir).saturating_sub(written(&dir)?));
                }
                // It came to its end.
                _ => {}
            }
        }
        Ok(bytes)
    }
}

impl Import {
    /// Reserves room for `files` more bytes each, all that this import will write from now on.
    ///
    /// # Errors
    /// [`StoreError::OverLimit`] when that would be more than the store's limits allow,
    /// [`StoreError::NoSpace`] when the disk has less.
    pub fn reserve(&self, store: &Store, files: impl Iterator<Item = u64>) -> Result<()> {
        let mut need = Need::default();
        files.for_each(|size| need.add(size));
        if need.bytes == 0 {
            return self.release();
        }
        let limits = store.limits();
        // A handle of its own: handles that are shared share their lock.
        let staging = store.layout.root.open_dir(STAGING)?;
        if !lock::wait_for(|| staging.try_lock(LockKind::Exclusive), PATIENCE)? {
            return Err(StoreError::Busy { path: staging.path().into(), waited: PATIENCE });
        }
        let others = store.reserved_by_others(self.name())?;
        check(store, limits, need, others)?;
        let all = need.allotted.saturating_add(written(self.dir())?).to_string();
        // Beside, then renamed: whoever looks sees the old number or the new one.
        let aside = format!("{RESERVED}.new");
        let file = self.dir().open_file(&aside, Open::Ensure)?;
        file.set_len(0)?;
        file.write_at(all.as_bytes(), 0)?;
        Ok(self.dir().rename(&aside, self.dir(), RESERVED, Rename::Replace)?)
    }

    /// All that was reserved is written, or will not be.
    pub fn release(&self) -> Result<()> {
        self.discard(RESERVED)
    }
}

/// What files need of the disk.
#[derive(Clone, Copy, Default)]
struct Need {
    bytes: u64,
    /// The same in whole blocks.
    allotted: u64,
}

impl Need {
    fn add(&mut self, size: u64) {
        let blocks = size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(size);
        self.allotted = self.allotted.saturating_add(blocks);
    }
}

/// Whether `need` fits beside what `others` may yet write.
fn check(store: &Store, limits: Limits, need: Need, others: u64) -> Result<()> {
    let path = store.path();
    let mut short = 0;
    let mut available = u64::MAX;
    if let Some(max) = limits.max_bytes {
        let taken = store.physical()?.saturating_add(others).saturating_add(ALONG);
        available = max.saturating_sub(taken);
        short = taken.saturating_add(need.allotted).saturating_sub(max);
    }
    let room = store.layout.root.room()?;
    if room.total == 0 {
        if limits.min_free_bytes > 0 {
            let why = std::io::Error::other("the file system does not tell how much is free");
            return Err(FsError::new("measure", path, why).into());
        }
    } else {
        let free = room.available.saturating_sub(others).saturating_sub(limits.min_free_bytes);
        if limits.are_none() && need.bytes > free {
            let (path, required) = (path.into(), need.bytes);
            return Err(StoreError::NoSpace { path, required, available: free });
        }
        if !limits.are_none() {
            let all = need.allotted.saturating_add(others).saturating_add(limits.min_free_bytes);
            short = short.max(all.saturating_sub(room.available));
        }
        available = available.min(free);
    }
    if short == 0 {
        return Ok(());
    }
    Err(StoreError::OverLimit {
        path: path.into(),
        required: need.bytes,
        available,
        short,
        in_the_way: Vec::new(),
    })
}

/// What an import may have in its directory.
fn reserved(dir: &Dir) -> u64 {
    let read = dir.open_file(RESERVED, Open::Read).and_then(|file| file.read_all(MAX_RESERVED));
    let number = read.ok().and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok());
    number.unwrap_or(0)
}

/// What it has there. Blobs that are pinned by a link are on the disk anyway.
fn written(dir: &Dir) -> Result<u64> {
    let mut bytes = 0;
    let entries = match dir.list() {
        // Its owner came to its end just now: what it has is in `blobs/`, or nowhere.
        Err(e) if e.is_not_found() => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        match dir.stat(&entry.name) {
            Ok(stat) if stat.nlink == 1 && entry.name != LOCK => bytes += stat.allotted,
            Err(e) if !e.is_not_found() => return Err(e.into()),
            _ => {}
        }
    }
    Ok(bytes)
}
