//! How far a long operation is, and the word to stop it.

use crate::digest::pool::Control;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by an operation, which counts, and its caller, who looks and may cancel.
#[derive(Debug, Default)]
pub struct Progress {
    total_bytes: AtomicU64,
    bytes: AtomicU64,
    total_files: AtomicU64,
    files: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Nothing done of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes done and bytes to do.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.total_bytes.load(Ordering::Relaxed))
    }

    /// Files done and files to do.
    #[must_use]
    pub fn files(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.total_files.load(Ordering::Relaxed))
    }

    /// Asks the operation to stop at the next safe place. It ends with an error of the kind
    /// [`Cancelled`](crate::error::ErrorKind::Cancelled) and leaves nothing half-published.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn control(&self) -> Control<'_> {
        Control { cancelled: &self.cancelled, progress: &self.bytes }
    }

    pub(crate) fn expect(&self, files: u64, bytes: u64) {
        self.total_files.fetch_add(files, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_file(&self) {
        self.add_files(1);
    }

    pub(crate) fn add_files(&self, files: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
    }
}
