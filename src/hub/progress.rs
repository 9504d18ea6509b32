//! How far a pull is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::FilePath;
use crate::progress::Progress;

/// What a pull is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Asking the hub what there is.
    #[default]
    Resolving,
    /// Looking for what is here already, which may mean to hash local files of equal size.
    Checking,
    /// Another process fetches the same: waiting for it.
    Waiting,
    /// Fetching.
    Fetching,
    /// All bytes are here and right, and are becoming durable.
    Publishing,
    /// Done.
    Done,
}

const STAGES: [Stage; 6] = [
    Stage::Resolving,
    Stage::Checking,
    Stage::Waiting,
    Stage::Fetching,
    Stage::Publishing,
    Stage::Done,
];

/// Shared by a pull, which counts, and its callers, who look and may cancel.
#[derive(Debug, Default)]
pub struct PullProgress {
    stage: AtomicU8,
    total_bytes: AtomicU64,
    done_bytes: AtomicU64,
    fetched_bytes: AtomicU64,
    total_files: AtomicU64,
    done_files: AtomicU64,
    files: Mutex<BTreeMap<usize, Arc<FileProgress>>>,
    local: Progress,
    wake: Notify,
    cancelled: AtomicBool,
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct FileProgress {
    path: FilePath,
    size: u64,
    bytes: AtomicU64,
}

/// How far a pull is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What it is doing.
    pub stage: Stage,
    /// Bytes of all selected files, those that are there twice counted once.
    pub total_bytes: u64,
    /// Bytes of them that are here. It can fall: what turns out to be wrong is fetched again.
    pub done_bytes: u64,
    /// Bytes that came over the network.
    pub fetched_bytes: u64,
    /// Selected files.
    pub total_files: u64,
    /// Selected files that are here whole.
    pub done_files: u64,
    /// Files on their way, in the repository's order.
    pub files: Vec<FileSnapshot>,
    /// Bytes of local files that were hashed to find what is here, and how many there are of
    /// them.
    pub hashed_bytes: (u64, u64),
}

/// How far a file is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSnapshot {
    /// Where it stands in the repository.
    pub path: FilePath,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes of it that are here.
    pub bytes: u64,
}

impl PullProgress {
    /// Nothing done of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the pull to stop. It ends with an error of the kind
    /// [`Cancelled`](crate::error::ErrorKind::Cancelled), and what was fetched is kept for the next.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.local.cancel();
        self.wake.notify_waiters();
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// How far it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let on_their_way = self.files();
        let files = on_their_way.values().map(|file| FileSnapshot {
            path: file.path.clone(),
            size: file.size,
            bytes: get(&file.bytes),
        });
        Snapshot {
            stage: self.stage(),
            total_bytes: get(&self.total_bytes),
            done_bytes: get(&self.done_bytes),
            fetched_bytes: get(&self.fetched_bytes),
            total_files: get(&self.total_files),
            done_files: get(&self.done_files),
            files: files.collect(),
            hashed_bytes: self.local.bytes(),
        }
    }

    /// What it is doing now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let stage = usize::from(self.stage.load(Ordering::Relaxed));
        STAGES.get(stage).copied().unwrap_or_default()
    }

    /// Returns when somebody asks to stop.
    pub(super) async fn cancelled(&self) {
        loop {
            let wake = self.wake.notified();
            tokio::pin!(wake);
            // From here on no call is missed.
            wake.as_mut().enable();
            if self.is_cancelled() {
                return;
            }
            wake.await;
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// The counter of local files that are hashed.
    pub(super) fn local(&self) -> &Progress {
        &self.local
    }

    /// Says what there is to do, and what of it is done.
    pub(super) fn set(&self, total: (u64, u64), done: (u64, u64)) {
        self.total_files.store(total.0, Ordering::Relaxed);
        self.total_bytes.store(total.1, Ordering::Relaxed);
        self.done_files.store(done.0, Ordering::Relaxed);
        self.done_bytes.store(done.1, Ordering::Relaxed);
    }

    /// A file begins, of which `bytes` are counted as done already.
    pub(super) fn begin(
        &self,
        index: usize,
        path: &FilePath,
        size: u64,
        bytes: u64,
    ) -> Arc<FileProgress> {
        let file = FileProgress { path: path.clone(), size, bytes: bytes.into() };
        let file = Arc::new(file);
        self.files().insert(index, file.clone());
        file
    }

    pub(super) fn fetched(&self, file: &FileProgress, bytes: u64) {
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        file.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `bytes` that were counted as done are not.
    pub(super) fn lost(&self, file: &FileProgress, bytes: u64) {
        for counter in [&self.done_bytes, &file.bytes] {
            let less = |now: u64| Some(now.saturating_sub(bytes));
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// A file is whole, which `files` of the repository have.
    pub(super) fn finished(&self, index: usize, files: u64) {
        self.done_files.fetch_add(files, Ordering::Relaxed);
        self.files().remove(&index);
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<FileProgress>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
