//! Fetching: the files that are missing come into a pull's directory, and are right when they are
//! said to be there.

mod queue;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::futures::Notified;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::digester::{Digesters, Event, Found};
use super::flusher::Flusher;
use super::limit::RateLimit;
use super::part::Part;
use super::progress::PullProgress;
use super::{Client, RemoteFile};
use crate::digest::segments::Segment;
use crate::digest::tree::Cv;
use crate::digest::{BlobHash, Upstream};
use crate::error::{PullError, StoreError};
use crate::fs::Dir;
use crate::model::{ModelId, Revision};
use crate::store::import::Import;
use queue::Queue;

/// What to fetch, and how.
#[derive(Debug)]
pub(super) struct Order {
    pub client: Client,
    pub model: ModelId,
    pub commit: Revision,
    /// Each upstream digest once, and how many files of the repository have it.
    pub files: Vec<(RemoteFile, u64)>,
    pub jobs: usize,
    pub limit: Option<Arc<RateLimit>>,
    pub threads: usize,
    /// All of the files, or only what readers want of them.
    pub whole: bool,
}

/// A file that came, and is right.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub upstream: Upstream,
    pub size: u64,
    pub blob: BlobHash,
    /// The chaining values of its groups; none when there is but one.
    pub groups: Vec<Cv>,
    /// Its segments; `None` when nobody looked for them.
    pub segments: Option<Vec<Segment>>,
}

/// Shared by the workers, and those who read what they bring.
#[derive(Debug)]
pub(super) struct Run {
    order: Order,
    dir: Dir,
    queue: Queue,
    digesters: Digesters,
    flusher: Flusher,
    progress: Arc<PullProgress>,
    /// Held by every task that may write: the directory's lock is given up when the last is gone.
    _import: Arc<Import>,
    /// Files whose bytes were wrong once.
    suspect: Vec<AtomicBool>,
    whole: AtomicBool,
    /// How often a file was begun anew, because what came of it was wrong.
    beginnings: AtomicU64,
}

/// A fetch that began.
#[derive(Debug)]
pub(super) struct Fetching {
    run: Arc<Run>,
    workers: JoinSet<Result<(), PullError>>,
    events: UnboundedReceiver<Event>,
}

/// Fetches the files of `order` into `import`'s directory.
///
/// When the future is dropped, or fails, what came is kept.
///
/// # Errors
/// [`PullError::ChecksumMismatch`], [`StoreError::Cancelled`], and what the hub, the network and the
/// file system do, when patience with them is over.
pub(super) async fn fetch(
    order: Order,
    import: &Arc<Import>,
    progress: &Arc<PullProgress>,
) -> Result<Vec<Fetched>, PullError> {
    if order.files.is_empty() {
        return Ok(Vec::new());
    }
    Fetching::start(order, import, progress)?.finish().await
}

impl Fetching {
    /// Starts threads and workers.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn start(
        order: Order,
        import: &Arc<Import>,
        progress: &Arc<PullProgress>,
    ) -> Result<Self, PullError> {
        let jobs = order.jobs.max(1);
        let (sender, events) = unbounded_channel();
        let no_thread = |e| PullError::Stopped { what: format!("a thread did not start: {e}") };
        let flusher = Flusher::start(import.clone(), sender.clone()).map_err(no_thread)?;
        // Who wants few connections wants to be left some of the processor, too.
        let digesters = Digesters::start(order.threads.min(jobs), sender).map_err(no_thread)?;
        let run = Arc::new(Run {
            dir: import.dir().clone(),
            queue: Queue::new(&order.files, jobs),
            suspect: order.files.iter().map(|_| AtomicBool::new(false)).collect(),
            whole: AtomicBool::new(order.whole),
            beginnings: AtomicU64::new(0),
            digesters,
            flusher,
            progress: progress.clone(),
            _import: import.clone(),
            order,
        });
        let mut workers = JoinSet::new();
        for _ in 0..jobs {
            workers.spawn(worker::work(run.clone()));
        }
        Ok(Self { run, workers, events })
    }

    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// As [`fetch`].
    pub async fn finish(self) -> Result<Vec<Fetched>, PullError> {
        let Self { run, mut workers, events } = self;
        let done = run.supervise(&mut workers, events).await;
        // Nobody works in the directory any more when this returns.
        workers.shutdown().await;
        run.flusher.finish().await;
        done
    }
}

impl Run {
    /// The part of a file that is on its way; `None` before it is opened, and for a file of one
    /// group or less.
    pub fn part(&self, index: usize) -> Option<Arc<Part>> {
        self.queue.part(index)
    }

    /// Ends when a file is opened, complete or begun anew, or was [woken](Self::wake), after this call.
    pub fn changed(&self) -> Notified<'_> {
        self.queue.changed()
    }

    /// How often a file was begun anew, because what came of it was wrong.
    pub fn beginnings(&self) -> u64 {
        self.beginnings.load(Ordering::SeqCst)
    }

    /// Readers want something that nobody fetches yet.
    pub fn wake(&self) {
        self.queue.wake();
    }

    /// All of the files is wanted now.
    ///
    /// # Errors
    /// What the file system says, of a full disk too.
    pub fn want_all(&self) -> Result<(), StoreError> {
        // Whoever opens a part from now on knows.
        self.whole.store(true, Ordering::SeqCst);
        for part in self.queue.parts() {
            part.want_all()?;
        }
        self.wake();
        Ok(())
    }

    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::SeqCst)
    }

    /// Waits until all files are there, or one cannot be had.
    async fn supervise(
        &self,
        workers: &mut JoinSet<Result<(), PullError>>,
        mut events: UnboundedReceiver<Event>,
    ) -> Result<Vec<Fetched>, PullError> {
        loop {
            tokio::select! {
                biased;
                () = self.progress.cancelled() => return Err(StoreError::Cancelled.into()),
                event = events.recv() => match event {
                    Some((index, found)) => self.found(index, found)?,
                    None => return Err(PullError::Stopped { what: "digesting".to_owned() }),
                },
                ended = workers.join_next() => match ended {
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(e))) => return Err(e),
                    Some(Err(e)) => return Err(PullError::Stopped { what: e.to_string() }),
                    None => {
                        // What came late: a disk that failed must not go unheard.
                        self.flusher.finish().await;
                        while let Ok((index, found)) = events.try_recv() {
                            self.found(index, found)?;
                        }
                        return Ok(self.queue.results());
                    }
                },
            }
        }
    }

    /// Does what the thread that digests a file found makes necessary.
    fn found(&self, index: usize, found: Found) -> Result<(), PullError> {
        match found {
            Found::Digest(digest) => self.digested(index, digest),
            Found::Lost(bytes) => {
                if let Some(progress) = self.queue.progress(index) {
                    self.progress.lost(&progress, bytes);
                }
                self.queue.wake();
                Ok(())
            }
            Found::Useless => self.again(index),
            Found::NotDurable(e) | Found::Failed(e) => Err(e.into()),
        }
    }

    fn digested(&self, index: usize, digest: Upstream) -> Result<(), PullError> {
        let Some((file, copies)) = self.order.files.get(index) else { return Ok(()) };
        if digest != file.upstream {
            self.refuse(index, &digest)?;
            return self.again(index);
        }
        let Some(part) = self.queue.part(index) else { return Ok(()) };
        let root = part.root().map_err(|e| PullError::Stopped { what: e.to_string() })?;
        let (root, groups) = root;
        let fetched = Fetched {
            upstream: file.upstream,
            size: file.size,
            blob: BlobHash::from_bytes(root),
            groups,
            segments: part.segments(),
        };
        if let Some(file) = self.queue.file(index) {
            self.flusher.look(&file, 1);
        }
        self.progress.finished(index, *copies);
        self.queue.finish(index, fetched);
        Ok(())
    }

    /// An error when the bytes of a file are wrong for the second time.
    fn refuse(&self, index: usize, found: &Upstream) -> Result<(), PullError> {
        let Some((file, _)) = self.order.files.get(index) else { return Ok(()) };
        let again = self.suspect.get(index).is_some_and(|s| s.swap(true, Ordering::Relaxed));
        if !again {
            return Ok(());
        }
        // What is wrong is not worth keeping.
        Part::discard(&self.dir, &file.upstream)?;
        Err(PullError::ChecksumMismatch {
            model: self.order.model.clone(),
            path: file.path.clone(),
            expected: file.upstream.to_string(),
            found: found.to_string(),
        })
    }

    /// Drops a part, and begins the file anew.
    fn again(&self, index: usize) -> Result<(), PullError> {
        let Some((file, _)) = self.order.files.get(index) else { return Ok(()) };
        if let (Some(progress), Some(part)) = (self.queue.progress(index), self.queue.part(index)) {
            self.progress.lost(&progress, part.have());
        }
        Part::discard(&self.dir, &file.upstream)?;
        self.beginnings.fetch_add(1, Ordering::SeqCst);
        self.queue.again(index);
        Ok(())
    }
}
