//! Threads that digest files while they come.
//!
//! An upstream's digest is a chain from a file's first byte to its last, and the bytes come in any
//! order. So each file is read again, from the page cache, behind the point up to which it is
//! whole; what an earlier process says it fetched is proven in the same pass, while what is missing
//! is being fetched.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::part::{Next, Part};
use crate::digest::Upstream;
use crate::digest::stream::{Buffer, StreamError, stream};
use crate::digest::tree::GroupHasher;
use crate::error::FsError;

/// A file that is being digested.
#[derive(Debug)]
pub(super) struct Digesting {
    /// Its number among the files that are fetched.
    pub index: usize,
    pub part: Arc<Part>,
}

/// What a thread found.
#[derive(Debug)]
pub(super) enum Found {
    /// All bytes were read, and this is their digest.
    Digest(Upstream),
    /// So many bytes that were said to be there are not, and are to be fetched.
    Lost(u64),
    /// Bytes that were said to be there are not, and the part cannot be written.
    Useless,
    /// The disk failed to keep it: what it has of it is not known.
    NotDurable(FsError),
    /// It cannot be read.
    Failed(FsError),
}

/// The file with this number, and what was found of it.
pub(super) type Event = (usize, Found);

/// The threads. They stop when it is dropped.
#[derive(Debug)]
pub(super) struct Digesters(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<VecDeque<Arc<Digesting>>>,
    more: Condvar,
    stopped: AtomicBool,
    events: UnboundedSender<Event>,
}

impl Digesters {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn start(threads: usize, events: UnboundedSender<Event>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            more: Condvar::new(),
            stopped: AtomicBool::new(false),
            events,
        });
        let digesters = Self(shared.clone());
        for _ in 0..threads.max(1) {
            let shared = shared.clone();
            std::thread::Builder::new().name("digest".to_owned()).spawn(move || shared.run())?;
        }
        Ok(digesters)
    }

    /// Has a file digested as far as it is there. The caller was told to do so by its part.
    pub fn wake(&self, file: &Arc<Digesting>) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(file.clone());
        self.0.more.notify_one();
    }
}

impl Drop for Digesters {
    fn drop(&mut self) {
        // Under the lock, so that no thread misses it between its look and its wait.
        let _queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.stopped.store(true, Ordering::SeqCst);
        self.0.more.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        let mut buffer = Buffer::one_of(1);
        while let Some(file) = self.next() {
            if let Some(found) = self.digest(&file, &mut buffer) {
                // Nobody listens any more: then the pull is over.
                let _ = self.events.send((file.index, found));
            }
        }
    }

    fn next(&self) -> Option<Arc<Digesting>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(file) = queue.pop_front() {
                return Some(file);
            }
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Digests what is there of a file.
    fn digest(&self, file: &Digesting, buffer: &mut Buffer) -> Option<Found> {
        let mut hasher = file.part.hasher();
        loop {
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
            let (range, prove) = match file.part.next_to_digest() {
                Next::Group { range, prove } => (range, prove),
                Next::Wait => return None,
                Next::End => return Some(Found::Digest(hasher.clone().finish())),
            };
            let len = range.end - range.start;
            // Only a group that is not proven yet can turn out wrong, and must be undone.
            let before = prove.is_some().then(|| hasher.clone());
            let mut group = prove.and_then(|_| GroupHasher::new(range.start).ok());
            let read = stream(file.part.file(), None, range, buffer, |bytes| {
                hasher.update(bytes);
                // It cannot grow beyond a group: the range is one.
                let _ = group.as_mut().map(|group| group.update(bytes));
                Ok::<_, StreamError>(())
            });
            let right = match read {
                Ok(()) => group.is_none_or(|group| group.finish().ok() == prove),
                Err(StreamError::Shrunk { .. }) if prove.is_some() => false,
                Err(e) => return Some(Found::Failed(unreadable(&file.part, e))),
            };
            if right {
                file.part.keep_segments(&mut hasher);
                file.part.digested();
                if file.part.is_note_due() {
                    file.part.note(&hasher);
                }
                continue;
            }
            *hasher = before?;
            let writable = file.part.refuted();
            return Some(if writable { Found::Lost(len) } else { Found::Useless });
        }
    }
}

fn unreadable(part: &Part, error: StreamError) -> FsError {
    let source = match error {
        StreamError::Read(e) | StreamError::Write(e) => e,
        shrunk @ StreamError::Shrunk { .. } => std::io::Error::other(shrunk.to_string()),
    };
    FsError::new("read", part.file().path(), source)
}
