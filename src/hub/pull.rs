//! `pull`: a repository's files become a revision in the store.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::fetch::{Fetched, Order, fetch};
use super::inflow::remember;
use super::plan::{Here, Listing, PullRequest, list, look};
use super::progress::{PullProgress, Stage};
use super::stage::{Staged, full, point, publish, stage};
use super::turn::{Missing, Turn, turn};
use super::{Client, blocking};
use crate::error::{ErrorKind, PullError, StoreError};
use crate::model::RefName;
use crate::space::Gone;
use crate::store::import::Import;
use crate::store::{Lease, Resolved, Store, listings, partial};

/// How often another process's lock is asked for.
const ASK: Duration = Duration::from_millis(100);
/// How often a pull begins anew because what it found here was removed meanwhile.
const TRIES: u32 = 8;
/// After so many questions it looks again at what is missing.
const LOOK: u32 = 50;

/// What came of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulled {
    /// The revision in the store.
    pub revision: Resolved,
    /// The ref that points to it now; none when a commit was asked for.
    pub reference: Option<RefName>,
    /// How many files were asked for.
    pub files: u64,
    /// Bytes of them, those that are there twice counted once.
    pub bytes: u64,
    /// Bytes that came over the network.
    pub fetched_bytes: u64,
    /// Bytes that were in the store.
    pub reused_bytes: u64,
    /// Bytes that came and share their place on the disk with others, where the file system can do
    /// that.
    pub shared_bytes: u64,
    /// Revisions that were evicted to make room.
    pub evicted: Vec<Gone>,
}

/// One pull.
struct Pull<'p> {
    store: Arc<Store>,
    client: &'p Client,
    request: &'p PullRequest,
    progress: &'p Arc<PullProgress>,
    listing: Arc<Listing>,
}

/// Pulls a model: what is missing is fetched, checked against the digests that the hub gives, and
/// published as a revision, to which the branch or tag that was asked for points then. A revision
/// that is there with other files of the same commit gets these added.
///
/// What another pull fetches now is waited for, when it is of the same commit or has more than half
/// of the missing bytes. When the future is dropped, or fails, or the process is killed, what was
/// fetched is kept, and the next pull goes on with it. The future must run on a tokio runtime with
/// time and I/O; on one with several threads, bytes are written while others come.
///
/// # Errors
/// [`PullError::Hub`] when patience with the hub and the network is over,
/// [`PullError::InsufficientSpace`] before the first byte, or later when others fill the disk
/// meanwhile, [`PullError::ChecksumMismatch`], [`PullError::NothingSelected`],
/// [`PullError::UnknownQuant`], [`StoreError::Cancelled`], and what the store says.
pub async fn pull(
    store: Arc<Store>,
    client: &Client,
    request: &PullRequest,
    progress: &Arc<PullProgress>,
) -> Result<Pulled, PullError> {
    Ok(pull_and_hold(store, client, request, progress).await?.0)
}

/// As [`pull`], and the revision is leased from the instant it is there: under a limit that others
/// fill, it could be evicted before its first use.
///
/// # Errors
/// As [`pull`].
pub async fn pull_and_hold(
    store: Arc<Store>,
    client: &Client,
    request: &PullRequest,
    progress: &Arc<PullProgress>,
) -> Result<(Pulled, Lease), PullError> {
    store.check_writable()?;
    let listing = Arc::new(list(client, request, progress).await?);
    let pull = Pull { store, client, request, progress, listing };
    let mut tries = 0;
    loop {
        match pull.run().await {
            // What was all here was evicted before it could be held, or somebody else added files to
            // the revision: what was fetched for it is in the pull's directory.
            Err(PullError::Store(StoreError::NotFound { .. } | StoreError::Changed { .. }))
                if tries < TRIES =>
            {
                tries += 1;
            }
            done => return done,
        }
    }
}

impl Pull<'_> {
    async fn run(&self) -> Result<(Pulled, Lease), PullError> {
        let here = self.look().await?;
        if here.is_complete(&self.listing) {
            return self.point(here).await;
        }
        let name = partial::dir_name(&self.request.model, &self.listing.commit);
        let mut missing = self.missing(&here);
        match self.fetch(&name, &mut missing).await {
            Err(e @ PullError::InsufficientSpace { .. }) => Err(e),
            Err(e) if e.kind() == ErrorKind::NoSpace => {
                let store = self.store.clone();
                blocking(move || Err(full(&store, &name, &missing, e))).await
            }
            done => done,
        }
    }

    async fn fetch(&self, name: &str, missing: &mut Missing) -> Result<(Pulled, Lease), PullError> {
        let import = Arc::new(self.begin(name, missing).await?);
        // What another process did while this one waited.
        let here = self.look().await?;
        if here.is_complete(&self.listing) {
            drop(import);
            return self.point(here).await;
        }
        let mut staged = self.stage(&import, here).await?;
        let evicted = std::mem::take(&mut staged.evicted);
        self.progress.set_stage(Stage::Fetching);
        let order = Order {
            // A link opens a file to anybody: one from before says nothing about who may have it now.
            client: self.client.asking_anew(),
            model: self.request.model.clone(),
            commit: self.listing.commit.clone(),
            files: staged.missing().cloned().collect(),
            jobs: self.request.jobs,
            limit: self.request.limit.clone(),
            threads: self.store.threads(),
            whole: true,
        };
        let fetched = fetch(order, &import, self.progress).await?;
        self.progress.set_stage(Stage::Publishing);
        let (pulled, lease) = self.publish(import, staged, fetched).await?;
        Ok((Pulled { evicted, ..pulled }, lease))
    }

    async fn look(&self) -> Result<Here, PullError> {
        let (store, listing) = (self.store.clone(), self.listing.clone());
        let (model, progress) = (self.request.model.clone(), self.progress.clone());
        progress.set_stage(Stage::Checking);
        blocking(move || look(&store, &model, &listing, &progress)).await
    }

    /// All is here: only the ref is to be set.
    async fn point(&self, here: Here) -> Result<(Pulled, Lease), PullError> {
        let Some((revision, _)) = here.base else {
            return Err(PullError::Stopped { what: "a revision went away".to_owned() });
        };
        let (store, listing) = (self.store.clone(), self.listing.clone());
        let set = revision.clone();
        let lease = blocking(move || point(&store, &listing, &set)).await?;
        Ok((self.pulled(revision), lease))
    }

    fn pulled(&self, revision: Resolved) -> Pulled {
        let mut seen = HashSet::new();
        let distinct = self.listing.selected.iter().filter(|file| seen.insert(file.upstream));
        let bytes = distinct.map(|file| file.size).fold(0, u64::saturating_add);
        let files = self.listing.selected.len() as u64;
        self.progress.set((files, bytes), (files, bytes));
        self.progress.set_stage(Stage::Done);
        let fetched_bytes = self.progress.snapshot().fetched_bytes;
        Pulled {
            revision,
            reference: self.listing.reference.clone(),
            files,
            bytes,
            fetched_bytes,
            reused_bytes: bytes.saturating_sub(fetched_bytes),
            shared_bytes: 0,
            evicted: Vec::new(),
        }
    }

    /// The selected files that are not here.
    fn missing(&self, here: &Here) -> Missing {
        let files = self.listing.selected.iter();
        let missing = files.filter(|file| !here.blobs.contains_key(&file.upstream));
        missing.map(|file| (file.upstream, file.size)).collect()
    }

    /// Gets the pull's directory, when it is this pull's turn. What others fetch meanwhile is not
    /// missing any more.
    async fn begin(&self, name: &str, missing: &mut Missing) -> Result<Import, PullError> {
        let sizes = self.listing.selected.iter().map(|file| file.size);
        let total = sizes.fold(0, u64::saturating_add);
        let files = self.listing.selected.len() as u64;
        let mut waited = 0_u32;
        loop {
            let (store, listing) = (self.store.clone(), self.listing.clone());
            let (model, own, wanted) =
                (self.request.model.clone(), name.to_owned(), missing.clone());
            let turn = blocking(move || turn(&store, &model, &listing, &own, &wanted));
            let other = match turn.await? {
                Turn::Ours(import) => return Ok(import),
                Turn::Theirs(other) => other,
            };
            if let Some(other) = other {
                if waited > 0 && waited.is_multiple_of(LOOK) {
                    *missing = self.missing(&self.look().await?);
                }
                self.progress.set_stage(Stage::Waiting);
                if waited.is_multiple_of(5) {
                    let (store, missing) = (self.store.clone(), missing.clone());
                    let left = blocking(move || {
                        let Some(dir) = store.pull_dir(&other)? else { return Ok(0) };
                        let left =
                            missing.iter().map(|(u, size)| size - partial::have(&dir, u, *size));
                        Ok(left.fold(0, u64::saturating_add))
                    })
                    .await?;
                    self.progress.set((files, total), (0, total.saturating_sub(left)));
                }
                waited += 1;
            }
            tokio::select! {
                () = tokio::time::sleep(ASK) => {}
                () = self.progress.cancelled() => return Err(StoreError::Cancelled.into()),
            }
        }
    }

    /// Brings into the directory what is here.
    async fn stage(&self, import: &Arc<Import>, here: Here) -> Result<Staged, PullError> {
        let (store, listing) = (self.store.clone(), self.listing.clone());
        let (model, progress) = (self.request.model.clone(), self.progress.clone());
        let import = import.clone();
        blocking(move || stage(&store, &model, &listing, here, &import, &progress)).await
    }

    async fn publish(
        &self,
        import: Arc<Import>,
        staged: Staged,
        fetched: Vec<Fetched>,
    ) -> Result<(Pulled, Lease), PullError> {
        let (store, listing) = (self.store.clone(), self.listing.clone());
        let model = self.request.model.clone();
        let anybody = !self.client.has_token();
        let publishing = move || {
            let done = publish(&store, &model, &listing, import, staged, fetched)?;
            // Should, not must: what a mirror says of it when the hub cannot be asked.
            let _ = remember(&store, &model, &listing.commit, &listing.tree);
            if let Some(is_public) = listing.is_public.or(anybody.then_some(true)) {
                let _ = listings::set_public(&store, &model, is_public);
            }
            Ok(done)
        };
        let (revision, lease, shared_bytes) = blocking(publishing).await?;
        Ok((Pulled { shared_bytes, ..self.pulled(revision) }, lease))
    }
}
