//! What was removed by way of one handle, counted for who watches over it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the store was opened, of this handle only.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    evicted: AtomicU64,
    freed: AtomicU64,
}

impl Tally {
    /// Revisions were evicted.
    pub fn evicted(&self, revisions: usize) {
        self.evicted.fetch_add(revisions as u64, Ordering::Relaxed);
    }

    /// Bytes came back to the file system.
    pub fn freed(&self, bytes: u64) {
        self.freed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Revisions that were evicted.
    #[cfg(feature = "serve")]
    pub fn evicted_revisions(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Bytes that evictions and removals brought back.
    #[cfg(feature = "serve")]
    pub fn freed_bytes(&self) -> u64 {
        self.freed.load(Ordering::Relaxed)
    }
}
