//! A large file on its way through the pool: which of its pieces are taken, and
//! which of its groups are hashed.

use super::pool::{Cause, Digests, Done, Job, Opened};
use super::stream::{Bytes, Sink};
use super::tree::{Cv, GROUP, TreeError, group_count, root_from_groups};
use crate::digest::segments::{Cutting, Segment, join};
use crate::digest::{BlobHash, Sha256};
use sha2::Digest;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many groups a thread takes at a time: enough for long sequential reads,
/// few enough to share the end of the last file evenly.
pub(crate) const PIECE_GROUPS: usize = 4;

/// [`PIECE_GROUPS`] in bytes.
const PIECE: u64 = PIECE_GROUPS as u64 * GROUP;

/// A file of several groups that is being hashed.
pub(crate) struct Active<'a, E> {
    pub(crate) id: u64,
    len: u64,
    pub(crate) source: Arc<dyn Bytes + 'a>,
    pub(crate) sink: Option<Arc<dyn Sink + 'a>>,
    /// Where the next piece starts; `len` or more when all are claimed.
    unclaimed: AtomicU64,
    progress: Mutex<Progress<'a, E>>,
    pub(crate) cutting: Option<Arc<Cutting>>,
    /// Its pieces are for the thread that opened it.
    pub(crate) in_order: bool,
    /// Fed by the one thread that has a file whose bytes must come in order.
    pub(crate) sha256: Option<Mutex<sha2::Sha256>>,
}

/// What is known about an active file's hash.
struct Progress<'a, E> {
    groups: Vec<Cv>,
    /// How many groups are still to be hashed.
    missing: usize,
    /// Of the pieces that are hashed, in any order.
    found: Vec<Segment>,
    done: Option<Done<'a, E>>,
}

/// A file's digests and what is to be done with them.
type Completion<'a, E> = (Digests, Done<'a, E>);

impl<'a, E> Active<'a, E> {
    pub(crate) fn open(job: Job<'a, E>) -> Result<Arc<Self>, Cause<E>> {
        // Reserved, not filled: memory is used only as far as the work gets,
        // and the absurd length of some sparse file is an error, not an abort.
        let missing = usize::try_from(group_count(job.len)).map_err(|_| Cause::TooLong)?;
        let mut groups = Vec::new();
        groups.try_reserve_exact(missing).map_err(|_| Cause::TooLong)?;
        let Opened { source, sink, sha256, cutting, in_order, done } =
            (job.open)().map_err(Cause::Caller)?;
        let progress =
            Mutex::new(Progress { groups, missing, found: Vec::new(), done: Some(done) });
        let unclaimed = AtomicU64::new(0);
        Ok(Arc::new(Self {
            id: job.id,
            len: job.len,
            source,
            sink,
            unclaimed,
            progress,
            cutting,
            in_order: in_order || sha256,
            sha256: sha256.then(Mutex::default),
        }))
    }

    pub(crate) fn is_claimed(&self) -> bool {
        self.unclaimed.load(Ordering::Relaxed) >= self.len
    }

    /// Takes the next piece for the calling thread alone.
    pub(crate) fn claim(&self) -> Option<Range<u64>> {
        if self.is_claimed() {
            return None;
        }
        let start = self.unclaimed.fetch_add(PIECE, Ordering::Relaxed);
        if start >= self.len {
            return None;
        }
        let end = (start + PIECE).min(self.len);
        // The thread that takes the next piece should find it in memory.
        if end < self.len {
            self.source.will_need(end..(end + PIECE).min(self.len));
        }
        Some(start..end)
    }

    /// Records the groups of a finished piece. The thread that records the
    /// last one gets the file's hash and what is to be done with it.
    pub(crate) fn record(
        &self,
        start: u64,
        cvs: &[Cv],
        found: Vec<Segment>,
    ) -> Result<Option<Completion<'a, E>>, TreeError> {
        let mut progress = lock(&self.progress);
        let first = usize::try_from(start / GROUP).unwrap_or(usize::MAX);
        // Pieces finish out of order, so there may be a gap to be filled later.
        let filled = progress.groups.len().max(first.saturating_add(cvs.len()));
        progress.groups.resize(filled, [0; 32]);
        let slots = progress.groups.iter_mut().skip(first);
        slots.zip(cvs).for_each(|(slot, cv)| *slot = *cv);
        progress.found.extend(found);
        progress.missing = progress.missing.saturating_sub(cvs.len());
        if progress.missing > 0 {
            return Ok(None);
        }
        let Some(done) = progress.done.take() else {
            return Ok(None);
        };
        let blob = BlobHash::from_bytes(root_from_groups(self.len, &progress.groups)?);
        let groups = std::mem::take(&mut progress.groups);
        let sha256 = self.sha256.as_ref().map(|hasher| finish(lock(hasher).clone()));
        let found = std::mem::take(&mut progress.found);
        let cutting = self.cutting.as_ref();
        let segments = cutting.map(|cutting| join(cutting, found)).unwrap_or_default();
        Ok(Some((Digests { blob, groups, sha256, segments }, done)))
    }
}

/// The digest of what a SHA-256 hasher was fed.
pub(crate) fn finish(hasher: sha2::Sha256) -> Sha256 {
    Sha256::from_bytes(hasher.finalize().into())
}

/// Locks a mutex even if a thread panicked with it: that panic ends the whole
/// pool anyway, as soon as its threads are joined.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
