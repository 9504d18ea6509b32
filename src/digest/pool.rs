//! Hashing, and optionally copying, many files on several threads.
//!
//! Jobs come one at a time from a closure, and no more files are open at once
//! than there are threads. A thread keeps to the file that it opened, because
//! two threads in one file disturb the kernel's read-ahead and wait for each
//! other's writes. Only when the closure has no more jobs do idle threads take
//! pieces of the files that others opened; so a single large file still gets
//! every thread.

use super::active::{Active, PIECE_GROUPS, finish, lock};
use super::stream::{Buffer, Bytes, Sink, StreamError, fill, stream};
use super::tree::{Cv, GROUP, GroupHasher, TreeError, group_count};
use crate::digest::segments::{self, Cutting, Segment, SegmentHasher};
use crate::digest::{BlobHash, Sha256};
use sha2::Digest;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Opens a job's file; called once, on the thread that starts the job.
pub type Open<'a, E> = Box<dyn FnOnce() -> Result<Opened<'a, E>, E> + Send + 'a>;

/// Completes a job, given the digests of its file; called once, on the
/// thread that finished the last piece, after every write.
pub type Done<'a, E> = Box<dyn FnOnce(Digests) -> Result<(), E> + Send + 'a>;

/// A file to be hashed.
pub struct Job<'a, E> {
    /// The caller's number for the file, given back in a [`Failure`].
    pub id: u64,
    /// The length of the file in bytes.
    pub len: u64,
    /// Opens the file when its turn comes.
    pub open: Open<'a, E>,
}

/// What was learned of a file's bytes in one pass.
#[derive(Clone, Debug)]
pub struct Digests {
    /// Their BLAKE3 hash.
    pub blob: BlobHash,
    /// The chaining values of their groups; none when there is but one.
    pub groups: Vec<Cv>,
    /// Their SHA-256, when it was asked for.
    pub sha256: Option<Sha256>,
    /// The file's segments, in their order, when they were asked for.
    pub segments: Vec<Segment>,
}

/// An open file.
pub struct Opened<'a, E> {
    /// What is hashed.
    pub source: Arc<dyn Bytes + 'a>,
    /// Where it is copied to, if anywhere.
    pub sink: Option<Arc<dyn Sink + 'a>>,
    /// Whether SHA-256 is wanted too. It is a chain from the first byte to the last, so such a
    /// file keeps to one thread.
    pub sha256: bool,
    /// Where it is cut, when its segments are wanted too.
    pub cutting: Option<Arc<Cutting>>,
    /// Whether the bytes must be written in their order. Such a file keeps to one thread, too.
    pub in_order: bool,
    /// What to do at the end.
    pub done: Done<'a, E>,
}

impl<'a, E> Opened<'a, E> {
    /// A file that is hashed and nothing else.
    pub fn to_hash(source: Arc<dyn Bytes + 'a>, done: Done<'a, E>) -> Self {
        Self { source, sink: None, sha256: false, cutting: None, in_order: false, done }
    }
}

/// What a running pool shares with the rest of the program.
#[derive(Clone, Copy, Debug)]
pub struct Control<'c> {
    /// Set by anyone to stop the pool at the next group.
    pub cancelled: &'c AtomicBool,
    /// Advanced by the number of bytes hashed (and written).
    pub progress: &'c AtomicU64,
}

/// Why a pool stopped early.
#[derive(Debug)]
pub struct Failure<E> {
    /// The job that failed; `None` if it was the supply of jobs.
    pub id: Option<u64>,
    /// What went wrong.
    pub cause: Cause<E>,
}

/// What went wrong in a pool.
#[derive(Debug)]
pub enum Cause<E> {
    /// Reading or writing failed, or the file shrank.
    Stream(StreamError),
    /// One of the caller's own functions failed.
    Caller(E),
    /// The pool was cancelled.
    Cancelled,
    /// The hash tree of so long a file does not fit into memory.
    TooLong,
    /// The hash tree was misused: a defect of this program.
    Tree(TreeError),
}

impl<E: fmt::Display> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Caller(error) => error.fmt(f),
            Self::Cancelled => f.write_str("cancelled"),
            Self::TooLong => f.write_str("the file is too long to be hashed"),
            Self::Tree(error) => write!(f, "internal error: {error}"),
        }
    }
}

impl<E> From<StreamError> for Cause<E> {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl<E> From<TreeError> for Cause<E> {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// Runs every job that `next` yields, on `threads` threads including the
/// calling one, until it yields `None`.
///
/// With one thread nothing is spawned, and the jobs and the bytes in them are
/// taken strictly in order.
///
/// # Errors
///
/// The first failure. The other threads then start no more jobs and stop at
/// their next group; jobs that were done by then stay done.
pub fn run<'a, E, N>(threads: usize, control: Control<'_>, next: N) -> Result<(), Failure<E>>
where
    E: Send + 'a,
    N: FnMut() -> Result<Option<Job<'a, E>>, E> + Send,
{
    let pool = Pool {
        threads,
        control,
        stopped: AtomicBool::new(false),
        failure: Mutex::new(None),
        queue: Mutex::new(Queue { next: Some(next), active: Vec::new() }),
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that cannot be had only makes the work slower.
            if thread::Builder::new().spawn_scoped(scope, || pool.work()).is_err() {
                break;
            }
        }
        pool.work();
    });
    match pool.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// The jobs to come and the files under way.
struct Queue<'a, E, N> {
    /// `None` once it has yielded its last job.
    next: Option<N>,
    /// The files that may have unclaimed pieces, oldest first.
    active: Vec<Arc<Active<'a, E>>>,
}

/// What a thread does next.
enum Turn<'a, E> {
    /// Hash a file of at most one group.
    Small(Job<'a, E>),
    /// Hash pieces of this file until all are claimed.
    Large(Arc<Active<'a, E>>),
}

struct Pool<'c, 'a, E, N> {
    threads: usize,
    control: Control<'c>,
    stopped: AtomicBool,
    failure: Mutex<Option<Failure<E>>>,
    queue: Mutex<Queue<'a, E, N>>,
}

impl<'a, E, N> Pool<'_, 'a, E, N>
where
    N: FnMut() -> Result<Option<Job<'a, E>>, E>,
{
    /// The life of one thread.
    fn work(&self) {
        let mut buffer = Buffer::one_of(self.threads);
        while !self.stopped.load(Ordering::Relaxed) {
            let (id, result) = match self.turn() {
                Ok(Some(Turn::Small(job))) => (Some(job.id), self.small(job, &mut buffer)),
                Ok(Some(Turn::Large(file))) => (Some(file.id), self.large(&file, &mut buffer)),
                Ok(None) => return,
                Err(failure) => return self.fail(failure),
            };
            if let Err(cause) = result {
                return self.fail(Failure { id, cause });
            }
        }
    }

    /// Keeps the first failure and stops all threads.
    fn fail(&self, failure: Failure<E>) {
        lock(&self.failure).get_or_insert(failure);
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Finds the calling thread's next turn; `None` if nothing is left.
    fn turn(&self) -> Result<Option<Turn<'a, E>>, Failure<E>> {
        let fail = |id, cause| Failure { id, cause };
        let mut queue = lock(&self.queue);
        queue.active.retain(|file| !file.is_claimed());
        if let Some(next) = queue.next.as_mut() {
            self.must_stop().map_err(|cause| fail(None, cause))?;
            if let Some(job) = next().map_err(|error| fail(None, Cause::Caller(error)))? {
                if group_count(job.len) == 0 {
                    return Ok(Some(Turn::Small(job)));
                }
                // Opened under the lock, so that no other thread can find the
                // queue empty and leave just before this file could be shared.
                let id = job.id;
                let file = Active::open(job).map_err(|cause| fail(Some(id), cause))?;
                if !file.in_order {
                    queue.active.push(Arc::clone(&file));
                }
                return Ok(Some(Turn::Large(file)));
            }
            queue.next = None;
        }
        Ok(queue.active.first().map(|file| Turn::Large(Arc::clone(file))))
    }

    /// Hashes a file of at most one group, from opening to completion.
    fn small(&self, job: Job<'a, E>, buffer: &mut Buffer) -> Result<(), Cause<E>> {
        let Opened { source, sink, sha256, cutting, in_order: _, done } =
            (job.open)().map_err(Cause::Caller)?;
        let mut segments = cutting.clone().map(|cutting| SegmentHasher::new(cutting, 0));
        let mut hasher = blake3::Hasher::new();
        let mut sha256 = sha256.then(sha2::Sha256::new);
        stream(&*source, sink.as_deref(), 0..job.len, buffer, |slice| {
            hasher.update(slice);
            if let Some(sha256) = &mut sha256 {
                sha256.update(slice);
            }
            if let Some(segments) = &mut segments {
                segments.update(slice);
            }
            Ok::<_, Cause<E>>(())
        })?;
        self.control.progress.fetch_add(job.len, Ordering::Relaxed);
        let blob = BlobHash::from_bytes(*hasher.finalize().as_bytes());
        let found = segments.map(SegmentHasher::found).unwrap_or_default();
        let segments = cutting.map(|cutting| segments::join(&cutting, found)).unwrap_or_default();
        let sha256 = sha256.map(finish);
        let digests = Digests { blob, groups: Vec::new(), sha256, segments };
        done(digests).map_err(Cause::Caller)
    }

    /// Hashes pieces of a large file until all are claimed.
    fn large(&self, file: &Active<'a, E>, buffer: &mut Buffer) -> Result<(), Cause<E>> {
        while let Some(piece) = file.claim() {
            let mut cvs = [[0; 32]; PIECE_GROUPS];
            let mut count = 0;
            let cutting = file.cutting.clone();
            let mut segments = cutting.map(|cutting| SegmentHasher::new(cutting, piece.start));
            for (slot, range) in cvs.iter_mut().zip(groups_of(&piece)) {
                if self.must_stop()? {
                    return Ok(());
                }
                *slot = self.group(file, range, segments.as_mut(), buffer)?;
                count += 1;
            }
            let cvs = cvs.get(..count).unwrap_or_default();
            let read =
                |rest: &mut [u8], at| fill(&*file.source, rest, at).map_err(std::io::Error::other);
            let found = segments.map(|segments| segments.finish(read)).transpose();
            let found = found.map_err(StreamError::Read)?.unwrap_or_default();
            if let Some((digests, done)) = file.record(piece.start, cvs, found)? {
                done(digests).map_err(Cause::Caller)?;
            }
        }
        Ok(())
    }

    /// Hashes, and copies, one group.
    fn group(
        &self,
        file: &Active<'a, E>,
        range: Range<u64>,
        mut segments: Option<&mut SegmentHasher>,
        buffer: &mut Buffer,
    ) -> Result<Cv, Cause<E>> {
        let mut hasher = GroupHasher::new(range.start)?;
        let len = range.end - range.start;
        stream(&*file.source, file.sink.as_deref(), range, buffer, |slice| {
            if let Some(sha256) = &file.sha256 {
                lock(sha256).update(slice);
            }
            if let Some(segments) = &mut segments {
                segments.update(slice);
            }
            hasher.update(slice).map_err(Cause::from)
        })?;
        self.control.progress.fetch_add(len, Ordering::Relaxed);
        Ok(hasher.finish()?)
    }

    /// Whether another thread failed; an error if the pool was cancelled.
    fn must_stop(&self) -> Result<bool, Cause<E>> {
        if self.control.cancelled.load(Ordering::Relaxed) {
            return Err(Cause::Cancelled);
        }
        Ok(self.stopped.load(Ordering::Relaxed))
    }
}

/// The groups that a piece consists of.
fn groups_of(piece: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = piece.end;
    let starts = std::iter::successors(Some(piece.start), |start| Some(start + GROUP));
    starts.take_while(move |start| *start < end).map(move |start| start..(start + GROUP).min(end))
}

#[cfg(test)]
mod tests;
