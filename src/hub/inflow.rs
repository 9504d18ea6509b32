//! Files that come into the store while they are read: what a mirror does when it does not have them.
//!
//! Whoever asks for a file of a commit reads the one part that workers write, so it crosses the
//! network once. Bytes are given on as they come; the last ones only when all of the file was digested
//! and found right, so nobody has a whole file that is wrong. While anybody reads files of a
//! commit these stay in its staging directory, which is as good as a pull's: a later process
//! goes on with it. When nobody does, what is complete is published as a pull would.

mod item;
mod passing;
mod reader;
mod session;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Client, RemoteFile};
use crate::digest::{BlobHash, Upstream};
use crate::error::{ErrorKind, PullError};
use crate::model::{ModelId, RefName, Revision};
use crate::progress::Progress;
use crate::store::partial::ListedFile;
use crate::store::{Store, listings};

pub use passing::Passing;
pub use reader::Reader;

use session::Session;

/// An error that all who wait get.
pub type Shared<E> = Arc<E>;

/// For how long nobody may go on where an answer with wrong bytes ended.
const WARY: Duration = Duration::from_secs(60 * 60);

/// A commit whose files are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The hub, with the token of who wants them.
    pub client: Client,
    /// The model, dataset or space.
    pub model: ModelId,
    /// The commit.
    pub commit: Revision,
    /// Branches and tags that stand for it: they point to the revision then.
    pub references: Vec<RefName>,
    /// All files of the commit.
    pub tree: Arc<Vec<RemoteFile>>,
}

/// Which bytes of a file are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// These.
    pub bytes: std::ops::Range<u64>,
    /// Whether the rest of the file is likely to be wanted, too: then all of it is fetched.
    pub whole: bool,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Found {
    /// In the store.
    Here(BlobHash),
    /// On their way.
    Coming(Reader),
    /// The store has no room for them: they come for this reader only.
    Passing(Box<Passing>),
}

/// What is on its way into a store. Clones share it.
#[derive(Clone, Debug)]
pub struct Inflow {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    /// By the names of their directories.
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    /// How many connections fetch one file.
    jobs: usize,
    /// Files of which wrong bytes may have been given on, and since when.
    wrong: Mutex<HashMap<Upstream, Instant>>,
    fetched: AtomicU64,
}

/// Notes all files of a commit, for when the hub cannot be asked. They are forgotten when the store has
/// none of them any more.
///
/// # Errors
/// What the file system says.
pub(super) fn remember(
    store: &Store,
    model: &ModelId,
    commit: &Revision,
    tree: &[RemoteFile],
) -> Result<(), PullError> {
    let files: Vec<_> = tree
        .iter()
        .map(|RemoteFile { path, size, upstream }| ListedFile {
            path: path.clone(),
            size: *size,
            upstream: *upstream,
        })
        .collect();
    Ok(listings::save(store, model, commit, &files)?)
}

/// All files of a commit as the hub listed them before, in the order of their paths; `None` when
/// that was not noted.
#[must_use]
pub fn remembered(store: &Store, model: &ModelId, commit: &Revision) -> Option<Vec<RemoteFile>> {
    let files = listings::load(store, model, commit)?.into_iter();
    Some(
        files
            .map(|ListedFile { path, size, upstream }| RemoteFile { path, size, upstream })
            .collect(),
    )
}

impl Inflow {
    /// Nothing comes yet. Each file will be fetched by `jobs` connections.
    #[must_use]
    pub fn new(store: Arc<Store>, jobs: usize) -> Self {
        let inner = Inner {
            store,
            sessions: Mutex::default(),
            jobs: jobs.max(1),
            wrong: Mutex::default(),
            fetched: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Bytes of `file`: in the store, or coming. A fetch that is under way is joined.
    ///
    /// # Errors
    /// What the store and its file system say. What the hub and the network do, the reader tells.
    pub async fn open(
        &self,
        wanted: &Wanted,
        file: &RemoteFile,
        span: Span,
    ) -> Result<Found, Shared<PullError>> {
        loop {
            let session = self.inner.enter(wanted);
            if let Some(item) = session.item(&file.upstream) {
                match item.want(&span) {
                    Err(e) if e.kind() == ErrorKind::NoSpace => {
                        return Ok(Found::Passing(Passing::new(&self.inner, wanted, file, span)));
                    }
                    done => done.map_err(Arc::new)?,
                }
                return Ok(Found::Coming(Reader::new(session, item, span.bytes)));
            }
            if let Some(blob) = self.find(file).await.map_err(Arc::new)? {
                session.add_here(file);
                return Ok(Found::Here(blob));
            }
            match session.begin(wanted, file, &span).await {
                Ok(Some(item)) => {
                    return Ok(Found::Coming(Reader::new(session, item, span.bytes)));
                }
                // It is being closed: what it had is in the store soon.
                Ok(None) => session.closed().await,
                Err(e) if e.kind() == ErrorKind::NoSpace => {
                    return Ok(Found::Passing(Passing::new(&self.inner, wanted, file, span)));
                }
                Err(e) => return Err(Arc::new(e)),
            }
        }
    }

    /// Whether some client may have wrong bytes of this file, and must begin it anew; also of those that
    /// another process on this store gave.
    pub async fn was_wrong(&self, upstream: &Upstream) -> bool {
        let past = self.inner.wrong().get(upstream).is_some_and(|since| since.elapsed() < WARY);
        if past || self.inner.sessions().values().any(|session| session.was_wrong(upstream)) {
            return true;
        }
        let (store, digest) = (self.inner.store.clone(), upstream.to_string());
        let noted = super::blocking(move || Ok(listings::was_wrong(&store, &digest)));
        noted.await.unwrap_or(false)
    }

    /// Bytes that came over the network.
    #[must_use]
    pub fn fetched_bytes(&self) -> u64 {
        let running: u64 = self.inner.sessions().values().map(|session| session.fetched()).sum();
        self.inner.fetched.load(Ordering::Relaxed) + running
    }

    /// Publishes what is complete, and ends what is not: what came is kept. Whoever still reads gets
    /// [`StoreError::Cancelled`](crate::error::StoreError::Cancelled).
    pub async fn finish(&self) {
        let sessions: Vec<_> = self.inner.sessions().values().cloned().collect();
        for session in sessions {
            session.close(true).await;
        }
    }

    async fn find(&self, file: &RemoteFile) -> Result<Option<BlobHash>, PullError> {
        let (store, wanted) = (self.inner.store.clone(), (file.upstream, file.size));
        super::blocking(move || {
            let found = store.find_upstream(&[wanted], &Progress::new())?;
            Ok(found.get(&wanted.0).copied())
        })
        .await
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("store", &self.store.path()).finish_non_exhaustive()
    }
}

impl Inner {
    /// The session of a commit, which does not end while what is returned lives.
    fn enter(self: &Arc<Self>, wanted: &Wanted) -> session::Visit {
        let name = crate::store::partial::inflow_name(&wanted.model, &wanted.commit);
        let mut sessions = self.sessions();
        let session = sessions
            .entry(name)
            .or_insert_with_key(|name| Session::new(name.clone(), wanted, self.clone()));
        session.visit(wanted)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<Upstream, Instant>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wrong bytes of a file came. It is noted in the store, too, for clients live longer than servers.
    async fn was_wrong(&self, upstream: Upstream) {
        {
            let mut wrong = self.wrong();
            wrong.retain(|_, since| since.elapsed() < WARY);
            wrong.insert(upstream, Instant::now());
        }
        let (store, digest) = (self.store.clone(), upstream.to_string());
        let noting = super::blocking(move || Ok(listings::set_wrong(&store, &digest)?));
        if let Err(e) = noting.await {
            log::warn!("that wrong bytes came could not be noted: {e}");
        }
    }
}
