//! What is to be fetched next.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::Fetched;
use crate::digest::tree::group_count;
use crate::hub::RemoteFile;
use crate::hub::digester::Digesting;
use crate::hub::part::Part;
use crate::hub::progress::FileProgress;

/// How many files may be open beyond one for each worker: those whose last bytes are still to be
/// digested.
const SPARE: usize = 8;

/// Small files first, then the large ones, each in the repository's order.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    most_open: usize,
}

#[derive(Debug)]
struct State {
    /// Files that nobody began, by number.
    waiting: VecDeque<usize>,
    /// Large files that were begun and are not complete, in their order.
    open: Vec<Active>,
    /// Files that are not complete.
    unfinished: usize,
    results: Vec<Fetched>,
    small: Vec<bool>,
}

/// A large file on its way.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub digesting: Arc<Digesting>,
    pub progress: Arc<FileProgress>,
    /// How the server answers requests for a part of it.
    pub ranges: Arc<Ranges>,
    /// How many workers fetch it.
    pub workers: Arc<AtomicUsize>,
}

/// Whether a server gives ranges of a file.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// How often it gave the whole file instead.
    ignored: AtomicU32,
    /// A worker reads the whole file.
    whole: AtomicBool,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Task {
    /// Fetch a file of one group or less.
    Small(usize),
    /// Open a large file, and say so with [`Queue::opened`].
    Open(usize),
    /// Fetch these bytes.
    Segment(Active, Range<u64>),
    /// Fetch all that is missing from one answer that begins at the file's first byte.
    Whole(Active),
}

impl Queue {
    pub fn new(files: &[(RemoteFile, u64)], jobs: usize) -> Self {
        let small: Vec<_> = files.iter().map(|(file, _)| group_count(file.size) == 0).collect();
        let of = |want: bool| {
            small.iter().enumerate().filter(move |(_, small)| **small == want).map(|(i, _)| i)
        };
        let state = State {
            waiting: of(true).chain(of(false)).collect(),
            open: Vec::new(),
            unfinished: files.len(),
            results: Vec::new(),
            small: small.clone(),
        };
        Self { state: Mutex::new(state), changed: Notify::new(), most_open: jobs + SPARE }
    }

    /// The next task, as soon as there is one; `None` when all files are complete. A worker goes on
    /// with the file it had last while there is something left of it to fetch.
    pub async fn next(&self, last: Option<usize>) -> Option<Task> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.unfinished == 0 {
                    return None;
                }
                if let Some(task) = state.next(self.most_open, last) {
                    return Some(task);
                }
            }
            changed.await;
        }
    }

    /// A large file can be fetched.
    pub fn opened(&self, active: Active) {
        let mut state = self.state();
        let at = state.open.partition_point(|a| a.digesting.index < active.digesting.index);
        state.open.insert(at, active);
        drop(state);
        self.wake();
    }

    /// A worker ends its task for a file.
    pub fn left(&self, active: &Active) {
        active.workers.fetch_sub(1, Ordering::Relaxed);
    }

    /// A file is complete.
    pub fn finish(&self, index: usize, fetched: Fetched) {
        let mut state = self.state();
        state.open.retain(|active| active.digesting.index != index);
        state.results.push(fetched);
        state.unfinished -= 1;
        drop(state);
        self.wake();
    }

    /// A file is to be fetched from its beginning.
    pub fn again(&self, index: usize) {
        let mut state = self.state();
        state.open.retain(|active| active.digesting.index != index);
        state.waiting.push_front(index);
        drop(state);
        self.wake();
    }

    /// Ends when there may be something to do, or to see, after this call.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// There may be something to do.
    pub fn wake(&self) {
        self.changed.notify_waiters();
    }

    pub fn part(&self, index: usize) -> Option<Arc<Part>> {
        self.active(index).map(|active| active.digesting.part.clone())
    }

    /// All parts that are not complete.
    pub fn parts(&self) -> Vec<Arc<Part>> {
        self.state().open.iter().map(|active| active.digesting.part.clone()).collect()
    }

    pub fn file(&self, index: usize) -> Option<Arc<Digesting>> {
        self.active(index).map(|active| active.digesting)
    }

    pub fn progress(&self, index: usize) -> Option<Arc<FileProgress>> {
        self.active(index).map(|active| active.progress)
    }

    pub fn results(&self) -> Vec<Fetched> {
        std::mem::take(&mut self.state().results)
    }

    fn active(&self, index: usize) -> Option<Active> {
        self.state().open.iter().find(|active| active.digesting.index == index).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self, most_open: usize, last: Option<usize>) -> Option<Task> {
        // Small files come first: they are many requests and little else.
        if let Some(index) = self.waiting.front().copied().filter(|index| self.is_small(*index)) {
            self.waiting.pop_front();
            return Some(Task::Small(index));
        }
        let of = |index| self.open.iter().find(|active| active.digesting.index == index);
        if let Some(task) = last.and_then(of).and_then(Active::take) {
            return Some(task);
        }
        let free = |active: &&Active| active.workers.load(Ordering::Relaxed) == 0;
        if let Some(task) = self.open.iter().filter(free).find_map(Active::take) {
            return Some(task);
        }
        if self.open.len() < most_open
            && let Some(index) = self.waiting.pop_front()
        {
            return Some(Task::Open(index));
        }
        let mut shared: Vec<_> = self.open.iter().collect();
        shared.sort_by_key(|active| active.workers.load(Ordering::Relaxed));
        shared.into_iter().find_map(Active::take)
    }

    fn is_small(&self, index: usize) -> bool {
        self.small.get(index).copied().unwrap_or(false)
    }
}

impl Active {
    /// Something to fetch of it.
    fn take(&self) -> Option<Task> {
        if self.ranges.is_ignored() {
            let whole = self.digesting.part.is_missing() && self.ranges.begin_whole();
            return whole.then(|| Task::Whole(self.clone()));
        }
        let range = self.digesting.part.take()?;
        self.workers.fetch_add(1, Ordering::Relaxed);
        Some(Task::Segment(self.clone(), range))
    }
}

impl Task {
    /// The number of the large file it is about.
    pub fn file(&self) -> Option<usize> {
        match self {
            Self::Small(_) => None,
            Self::Open(index) => Some(*index),
            Self::Segment(active, _) | Self::Whole(active) => Some(active.digesting.index),
        }
    }
}

impl Ranges {
    /// How often a server may give a whole file for a range of it before it is taken at its word.
    const TOLERATED: u32 = 2;

    pub fn is_ignored(&self) -> bool {
        self.ignored.load(Ordering::Relaxed) > Self::TOLERATED
    }

    /// Notes that the server gave the whole file.
    pub fn ignore(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    fn begin_whole(&self) -> bool {
        !self.whole.swap(true, Ordering::SeqCst)
    }

    /// Nobody reads the whole file any more.
    pub fn end_whole(&self) {
        self.whole.store(false, Ordering::SeqCst);
    }
}
