//! What is to be fetched next.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

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

    /// The next task, as soon as there is one; `None` when all files are complete.
    pub async fn next(&self) -> Option<Task> {
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
                if let Some(task) = state.next(self.most_open) {
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

    /// There may be something to do.
    pub fn wake(&self) {
        self.changed.notify_waiters();
    }

    pub fn part(&self, index: usize) -> Option<Arc<Part>> {
        self.active(index).map(|active| active.digesting.part.clone())
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
    fn next(&mut self, most_open: usize) -> Option<Task> {
        // Small files come first: they are many requests and little else.
        if let Some(index) = self.waiting.front().copied().filter(|index| self.is_small(*index)) {
            self.waiting.pop_front();
            return Some(Task::Small(index));
        }
        for active in &self.open {
            if active.ranges.is_ignored() {
                if active.digesting.part.is_missing() && active.ranges.begin_whole() {
                    return Some(Task::Whole(active.clone()));
                }
            } else if let Some(range) = active.digesting.part.take() {
                return Some(Task::Segment(active.clone(), range));
            }
        }
        if self.open.len() < most_open {
            return self.waiting.pop_front().map(Task::Open);
        }
        None
    }

    fn is_small(&self, index: usize) -> bool {
        self.small.get(index).copied().unwrap_or(false)
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
