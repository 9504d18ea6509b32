//! The models of an app: what is here, and what is to come.
//!
//! A [`ModelManager`] is a store and a hub. It has threads of its own for the network, so that any
//! executor, or none, may run the app: what is `async` here may be awaited anywhere, and what is not
//! waits for the disk only.
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use tonnage::manager::ModelManager;
//! use tonnage::model::ModelId;
//!
//! let manager = ModelManager::open("/var/lib/app/models", Default::default())?;
//! let model: ModelId = "org/name".parse()?;
//! if !manager.is_cached(&model)? {
//!     let mut task = manager.download(&model);
//!     while let Some(progress) = task.next_progress().await {
//!         println!("{} of {}", progress.bytes_downloaded, progress.total_bytes);
//!     }
//!     task.result().await?;
//! }
//! let weights = manager.path(&model)?.join("model.safetensors");
//! # Ok(())
//! # }
//! ```

mod group;
mod job;
mod progress;
mod registry;
mod request;
mod state;
mod task;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::{ManagerError, PullError, StoreError};
use crate::hub::{self, Client, Config, Plan, PullProgress, PullRequest, Pulled};
use crate::model::ModelSpec;
use crate::open::{OpenModel, Trust};
use crate::progress::Progress;
use crate::space::{self, EvictGoal, EvictOptions, Evicted, Freed, RemoveOptions};
use crate::store::{Access, Limits, Listed, Store, now};
use crate::views::{self, ViewOptions};

pub use group::DownloadGroup;
pub use progress::DownloadProgress;
pub use task::{DownloadControl, DownloadTask};

use registry::Registry;

type Result<T> = std::result::Result<T, ManagerError>;

/// A store, a hub, and the downloads between them. Clones share all three.
#[derive(Clone)]
pub struct ModelManager {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    client: Client,
    registry: Arc<Registry>,
    /// Taken when dropped, only.
    runtime: Option<Runtime>,
}

impl ModelManager {
    /// Opens the store at `path`, which is made if it is not there. The hub is not asked anything.
    ///
    /// # Errors
    /// What [`Store::open`] says, [`HubError::Setting`](crate::error::HubError::Setting) in
    /// [`ManagerError::DownloadFailed`] when `hub` cannot be used.
    pub fn open(path: impl AsRef<Path>, hub: Config) -> Result<Self> {
        Self::with_store(Arc::new(Store::open(path, Access::Write)?), hub)
    }

    /// Uses a store that is open.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_store(store: Arc<Store>, hub: Config) -> Result<Self> {
        // First, because a runtime that is dropped where others run panics.
        let client = Client::new(hub)?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("tonnage-hub")
            .enable_all()
            .build()
            .map_err(|e| PullError::Stopped { what: format!("no thread can be made: {e}") })?;
        let registry = Arc::new(Registry::new());
        Ok(Self { inner: Arc::new(Inner { store, client, registry, runtime: Some(runtime) }) })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// Keeps the store within `limits` from now on: downloads evict what has not been used for the
    /// longest time when they need its room, and fail with [`ManagerError::InsufficientSpace`] when
    /// that is not enough.
    pub fn set_limits(&self, limits: Limits) {
        self.inner.store.set_limits(limits);
    }

    /// Whether the store has this model, or this revision of it. It may have been pulled with some
    /// of its files only; [`plan`](Self::plan) tells.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_cached(&self, model: impl Into<ModelSpec>) -> Result<bool> {
        match self.inner.store.resolve(&model.into()) {
            Ok(_) | Err(StoreError::Ambiguous { .. }) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Every revision in the store, newest use first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn cached_models(&self) -> Result<Vec<Listed>> {
        let mut models = self.inner.store.list()?;
        models.sort_by_key(|model| std::cmp::Reverse(model.last_used));
        Ok(models)
    }

    /// Asks what a download would fetch.
    ///
    /// # Errors
    /// As [`DownloadTask::result`], but for what only fetching meets.
    pub async fn plan(&self, request: impl Into<PullRequest>) -> Result<Plan> {
        let (inner, request) = (self.inner.clone(), request.into());
        let progress = Arc::new(PullProgress::new());
        // Who drops this future wants no plan any more, and the task would not notice.
        let _cancel = CancelOnDrop(progress.clone());
        let planning =
            async move { hub::plan(inner.store.clone(), &inner.client, &request, &progress).await };
        let planned = match self.inner.spawn(planning) {
            Some(task) => task.await.map_err(|e| PullError::Stopped { what: e.to_string() })?,
            None => return Err(ManagerError::Cancelled),
        };
        Ok(planned?)
    }

    /// Downloads a model: a [`ModelId`](crate::model::ModelId), a [`ModelSpec`], or a [`PullRequest`] that says which files
    /// and how fast. It begins now, or joins the download of the same files that is under way, which
    /// keeps its number of connections and its limit. At most four downloads fetch at a time, and
    /// others wait.
    ///
    /// What is here is not fetched: for a model that is here whole, the hub is asked whether it has
    /// changed, and that is all.
    pub fn download(&self, request: impl Into<PullRequest>) -> DownloadTask {
        let (job, member, is_new) = self.inner.registry.join(request.into());
        if is_new {
            let (inner, request) = (self.inner.clone(), job.request.clone());
            let run = move |progress| inner.clone().run(request.clone(), progress);
            // A driver that cannot be spawned ends the download when it is dropped.
            drop(self.inner.spawn(job.clone().drive(run)));
        }
        DownloadTask::new(job, member)
    }

    /// Downloads several models, with one progress for all of them.
    pub fn download_all<R: Into<PullRequest>>(
        &self,
        requests: impl IntoIterator<Item = R>,
    ) -> DownloadGroup {
        let tasks = requests.into_iter().map(|request| self.download(request)).collect();
        DownloadGroup::new(tasks, self.inner.registry.clone())
    }

    /// The hub, with the manager's own token.
    #[cfg(feature = "serve")]
    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    /// How many downloads are not over, those that are paused among them.
    #[must_use]
    pub fn active_downloads(&self) -> usize {
        self.inner.registry.len()
    }

    /// Bytes that the store takes on the disk.
    ///
    /// # Errors
    /// When the index or a directory cannot be read.
    pub fn cache_size(&self) -> Result<u64> {
        Ok(space::usage(&self.inner.store)?.physical)
    }

    /// Removes a model for good, all of its revisions unless one is named, and what is there of a
    /// download that was cancelled. What a running process or a view outside the store needs stays, and the
    /// result says so.
    ///
    /// # Errors
    /// [`ManagerError::NotFound`], [`ManagerError::Busy`], and what the store says.
    pub fn remove(&self, model: impl Into<ModelSpec>) -> Result<Freed> {
        let (store, spec) = (&self.inner.store, model.into());
        let revisions = match &spec.at {
            Some(_) => vec![store.resolve(&spec)?],
            None => store.revisions_of(&spec.model)?,
        };
        if !revisions.is_empty() {
            return Ok(space::remove(store, &revisions, RemoveOptions::default())?);
        }
        let freed_bytes = store.remove_partials(Some(&spec.model))?;
        if freed_bytes == 0 {
            return Err(StoreError::NotFound { spec: spec.to_string() }.into());
        }
        Ok(Freed { freed_bytes, ..Freed::default() })
    }

    /// Removes every model that is neither pinned, nor used by a running process, nor presented by a
    /// view outside the store, and every download that was cancelled or cut off.
    ///
    /// # Errors
    /// [`ManagerError::Busy`], and what the store says.
    pub fn clear_cache(&self) -> Result<Evicted> {
        self.evict(EvictGoal::Everything)
    }

    /// Removes revisions, the least recently used first, until the store takes at most `max` bytes
    /// of the disk. [`Evicted::after`] says how many it takes then; more than `max` when what is
    /// pinned or in use needs more.
    ///
    /// # Errors
    /// As [`clear_cache`](Self::clear_cache).
    pub fn evict_to_fit(&self, max: u64) -> Result<Evicted> {
        self.evict(EvictGoal::MaxBytes(max))
    }

    /// Removes the revisions that were not used for `age`.
    ///
    /// # Errors
    /// As [`clear_cache`](Self::clear_cache).
    pub fn evict_older_than(&self, age: Duration) -> Result<Evicted> {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.evict(EvictGoal::UsedSince(now().saturating_sub(age)))
    }

    fn evict(&self, goal: EvictGoal) -> Result<Evicted> {
        Ok(space::evict(&self.inner.store, goal, EvictOptions::default())?)
    }

    /// A directory with the model's files, which the store keeps: made if it is not there. Its files
    /// must not be changed.
    ///
    /// # Errors
    /// [`ManagerError::NotFound`] when the store does not have the model, [`ManagerError::View`] when
    /// somebody changed the directory, and what the store says.
    pub fn path(&self, model: impl Into<ModelSpec>) -> Result<PathBuf> {
        let store = &self.inner.store;
        let revision = store.resolve(&model.into())?;
        Ok(views::managed(store, &revision, ViewOptions::default(), &Progress::new())?.path)
    }
}

impl ModelManager {
    /// Opens a model's files, verified as `trust` says: mapped, and with their tensors. It is not
    /// removed as long as it is open. [`Trust::Full`] reads and hashes everything before it returns.
    ///
    /// # Errors
    /// [`ManagerError::NotFound`], [`ManagerError::Damaged`], and what the store says.
    pub fn open_model(&self, model: impl Into<ModelSpec>, trust: Trust) -> Result<OpenModel> {
        let store = &self.inner.store;
        let revision = store.resolve(&model.into())?;
        Ok(crate::open::open(store, &revision, trust, &Progress::new())?)
    }
}

impl std::fmt::Debug for ModelManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelManager")
            .field("store", &self.inner.store.path())
            .field("client", &self.inner.client)
            .field("downloads", &self.inner.registry.len())
            .finish()
    }
}

impl Inner {
    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        Some(self.runtime.as_ref()?.spawn(future))
    }

    /// One run of the engine.
    async fn run(
        self: Arc<Self>,
        request: PullRequest,
        progress: Arc<PullProgress>,
    ) -> Result<Pulled> {
        let pulled = hub::pull(self.store.clone(), &self.client, &request, &progress).await;
        let mut failed = match pulled {
            Ok(pulled) => return Ok(pulled),
            Err(e) => ManagerError::from(e),
        };
        if let ManagerError::InsufficientSpace { evictable: bytes, .. } = &mut failed {
            let store = self.store.clone();
            let asked = tokio::task::spawn_blocking(move || evictable(&store));
            // It only adds to what is wrong already.
            *bytes = asked.await.ok().and_then(Result::ok).unwrap_or(0);
        }
        Err(failed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last owner may be a task, in which nothing may wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct CancelOnDrop(Arc<PullProgress>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Bytes that would come back if all revisions went that are neither pinned nor in use.
fn evictable(store: &Store) -> Result<u64> {
    let options = EvictOptions { dry_run: true, ..EvictOptions::default() };
    Ok(space::evict(store, EvictGoal::MaxBytes(0), options)?.freed.freed_bytes)
}
