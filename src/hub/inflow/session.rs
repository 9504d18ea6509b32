//! The files of one commit that are on their way, for as long as anybody reads any of them.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::item::{Item, is_whole, needed};
use super::{Inner, Span, Wanted, remember};
use crate::digest::Upstream;
use crate::error::{PullError, StoreError};
use crate::hub::RemoteFile;
use crate::hub::fetch::{Fetched, Fetching, Order};
use crate::hub::plan::{Listing, look};
use crate::hub::progress::PullProgress;
use crate::hub::stage::{publish, reserve, stage, write_list};
use crate::model::{ModelId, RefName, Revision};
use crate::store::import::Import;

/// How long a session waits for the next reader: clients ask for one file after the other.
const LINGER: Duration = Duration::from_secs(2);

/// How often another process's lock is asked for, and how often in all.
const ASK: Duration = Duration::from_millis(100);
const ASKED: u32 = 80;

/// How often it publishes anew because somebody else added files to the revision meanwhile.
const TRIES: u32 = 8;

/// A commit some of whose files are read.
#[derive(Debug)]
pub(super) struct Session {
    name: String,
    model: ModelId,
    commit: Revision,
    tree: Arc<Vec<RemoteFile>>,
    inner: Arc<Inner>,
    state: Mutex<State>,
    /// The directory, once something is fetched. One file begins at a time.
    import: tokio::sync::Mutex<Option<Arc<Import>>>,
    over: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    visits: usize,
    /// Nothing begins any more.
    closing: bool,
    /// By what names it was asked for.
    references: BTreeSet<RefName>,
    items: HashMap<Upstream, Arc<Item>>,
    /// Files whose bytes the store has: they belong to the revision.
    here: Vec<RemoteFile>,
}

/// Somebody's interest in a session.
#[derive(Debug)]
pub(super) struct Visit(Arc<Session>);

impl Deref for Visit {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.visits -= 1;
        if state.visits == 0 && !state.closing {
            drop(state);
            let session = self.0.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    tokio::time::sleep(LINGER).await;
                    session.close(false).await;
                });
            }
        }
    }
}

impl Session {
    pub fn new(name: String, wanted: &Wanted, inner: Arc<Inner>) -> Arc<Self> {
        Arc::new(Self {
            name,
            model: wanted.model.clone(),
            commit: wanted.commit.clone(),
            tree: wanted.tree.clone(),
            inner,
            state: Mutex::default(),
            import: tokio::sync::Mutex::default(),
            over: watch::Sender::new(false),
        })
    }

    pub fn visit(self: &Arc<Self>, wanted: &Wanted) -> Visit {
        let mut state = self.state();
        state.visits += 1;
        state.references.extend(wanted.references.iter().cloned());
        Visit(self.clone())
    }

    /// A file that is on its way, or complete.
    pub fn item(&self, upstream: &Upstream) -> Option<Arc<Item>> {
        let state = self.state();
        let item = state.items.get(upstream).filter(|_| !state.closing)?;
        // What failed is begun again, with what came.
        (!matches!(item.outcome(), Some(Err(_)))).then(|| item.clone())
    }

    /// Whether wrong bytes of a file came, that is on its way.
    pub fn was_wrong(&self, upstream: &Upstream) -> bool {
        self.state().items.get(upstream).is_some_and(|item| item.run.beginnings() > 0)
    }

    /// The store has this file: the revision is to have it, too.
    pub fn add_here(&self, file: &RemoteFile) {
        let mut state = self.state();
        if !state.here.iter().any(|known| known.path == file.path) {
            state.here.push(file.clone());
        }
    }

    /// Bytes that came over the network.
    pub fn fetched(&self) -> u64 {
        let state = self.state();
        state.items.values().map(|item| item.progress.snapshot().fetched_bytes).sum()
    }

    pub async fn import(&self) -> Option<Arc<Import>> {
        self.import.lock().await.clone()
    }

    /// Returns when the session is over.
    pub async fn closed(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Begins to fetch a file, unless it is being fetched. `None` when the session is being closed.
    pub async fn begin(
        &self,
        wanted: &Wanted,
        file: &RemoteFile,
        span: &Span,
    ) -> Result<Option<Arc<Item>>, PullError> {
        let mut import = self.import.lock().await;
        if self.state().closing {
            return Ok(None);
        }
        if let Some(item) = self.item(&file.upstream) {
            item.want(span)?;
            return Ok(Some(item));
        }
        let import = match &*import {
            Some(import) => import.clone(),
            None => import.insert(Arc::new(self.hold().await?)).clone(),
        };
        let needed = needed(file, span);
        self.make_room(&import, file, needed).await?;
        let store = &self.inner.store;
        let order = Order {
            client: wanted.client.asking_anew(),
            model: self.model.clone(),
            commit: self.commit.clone(),
            files: vec![(file.clone(), 1)],
            jobs: self.inner.jobs,
            limit: None,
            threads: store.threads(),
            whole: is_whole(file, span),
        };
        let progress = Arc::new(PullProgress::new());
        let fetching = Fetching::start(order, &import, &progress)?;
        let item = Item::new(self.inner.clone(), file.clone(), fetching, progress, needed);
        let before = self.state().items.insert(file.upstream, item.clone());
        self.count(before.as_deref());
        Ok(Some(item))
    }

    /// What an earlier fetch of a file brought goes into the sum.
    fn count(&self, item: Option<&Item>) {
        let fetched = item.map_or(0, |item| item.progress.snapshot().fetched_bytes);
        self.inner.fetched.fetch_add(fetched, Ordering::Relaxed);
    }

    /// The session's directory.
    async fn hold(&self) -> Result<Import, PullError> {
        for _ in 0..ASKED {
            let (store, name) = (self.inner.store.clone(), self.name.clone());
            let held = move || Ok(Import::resume(store.layout_arc(), &name)?);
            if let Some(import) = crate::hub::blocking(held).await? {
                return Ok(import);
            }
            tokio::time::sleep(ASK).await;
        }
        let path = self.inner.store.path().join(crate::store::STAGING).join(&self.name);
        Err(StoreError::Busy { path, waited: ASK * ASKED }.into())
    }

    /// Sees to it that what is to come fits, beside what is on its way.
    async fn make_room(
        &self,
        import: &Arc<Import>,
        file: &RemoteFile,
        needed: u64,
    ) -> Result<(), PullError> {
        let mut missing = vec![(file.upstream, needed)];
        for (upstream, item) in &self.state().items {
            if item.outcome().is_none() {
                missing.push((*upstream, item.needed()));
            }
        }
        let listing = self.listing(vec![file.clone()]);
        let (store, import, file) = (self.inner.store.clone(), import.clone(), file.clone());
        let model = self.model.clone();
        let room = move || {
            store.adopt_parts(import.dir(), &[file.upstream])?;
            reserve(&store, &import, || missing.iter().copied())?;
            write_list(import.dir(), &model, &listing, std::iter::once(&file))
        };
        crate::hub::blocking(room).await
    }

    fn listing(&self, selected: Vec<RemoteFile>) -> Listing {
        Listing {
            commit: self.commit.clone(),
            is_public: None,
            reference: None,
            tree: self.tree.clone(),
            selected: Arc::new(selected),
        }
    }

    /// Ends the session: at once when `now`, else only if nobody visits it. What is complete is
    /// published, and what is not is kept for the next.
    pub async fn close(self: &Arc<Self>, now: bool) {
        let mut import = self.import.lock().await;
        let (items, here) = {
            let mut state = self.state();
            if state.closing || (state.visits > 0 && !now) {
                return;
            }
            state.closing = true;
            (std::mem::take(&mut state.items), std::mem::take(&mut state.here))
        };
        let mut fetched = Vec::new();
        let mut selected = here;
        for item in items.into_values() {
            if let Some(Ok(one)) = item.stop().await {
                selected.push(item.file.clone());
                fetched.push(one);
            }
            self.count(Some(&item));
        }
        if !selected.is_empty() {
            let import = import.take();
            // What fails is kept, and fetched again only as far as it is missing.
            if let Err(e) = self.publish(import, selected, fetched).await {
                let (model, commit) = (&self.model, self.commit.short());
                log::error!("{model}@{commit}: what came is not in the store yet: {e}");
            }
        }
        drop(import.take());
        self.inner.sessions().remove(&self.name);
        self.over.send_replace(true);
    }

    async fn publish(
        &self,
        import: Option<Arc<Import>>,
        selected: Vec<RemoteFile>,
        fetched: Vec<Fetched>,
    ) -> Result<(), PullError> {
        let import = match import {
            Some(import) => import,
            None => Arc::new(self.hold().await?),
        };
        let (store, model) = (self.inner.store.clone(), self.model.clone());
        // Two paths may have one digest.
        let mut selected = selected;
        let also =
            self.tree.iter().filter(|file| fetched.iter().any(|one| one.upstream == file.upstream));
        selected.extend(also.cloned());
        selected.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        selected.dedup_by(|a, b| a.path == b.path);
        let listing = self.listing(selected);
        let references = self.state().references.clone();
        let publishing = move || {
            let mut tries = 0;
            loop {
                let progress = PullProgress::new();
                let here = look(&store, &model, &listing, &progress)?;
                let staged = stage(&store, &model, &listing, here, &import, &progress)?;
                let (import, fetched) = (import.clone(), fetched.clone());
                match publish(&store, &model, &listing, import, staged, fetched) {
                    Err(PullError::Store(StoreError::Changed { .. })) if tries < TRIES => {
                        tries += 1;
                    }
                    done => {
                        let (revision, _lease, _) = done?;
                        for name in &references {
                            store.point(&revision, Some(name))?;
                        }
                        return remember(&store, &model, &listing.commit, &listing.tree);
                    }
                }
            }
        };
        crate::hub::blocking(publishing).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
