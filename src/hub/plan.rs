//! What a pull would fetch, and what is here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::limit::RateLimit;
use super::progress::{PullProgress, Stage};
use super::select::Selection;
use super::{Client, Commit, RemoteFile};
use crate::digest::{BlobHash, Upstream};
use crate::error::{PullError, StoreError};
use crate::fs::Dir;
use crate::model::{FilePath, Manifest, ManifestFile, ModelId, RefName, Revision};
use crate::store::{Resolved, Store, partial};

/// What to pull, and how.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// The model, dataset or space.
    pub model: ModelId,
    /// A branch, a tag, `refs/pr/N`, or a commit, whole or its first digits; `main` when none.
    pub revision: Option<RefName>,
    /// Which of its files.
    pub selection: Selection,
    /// How many connections fetch at once, at least 1, and how many threads at most digest what
    /// comes. With 1 there is one request at a time, and one file after the other.
    pub jobs: usize,
    /// How fast bytes may come.
    pub limit: Option<Arc<RateLimit>>,
}

impl PullRequest {
    /// All files of a model's `main`, with eight connections.
    #[must_use]
    pub fn new(model: ModelId) -> Self {
        Self { model, revision: None, selection: Selection::default(), jobs: 8, limit: None }
    }
}

/// What there is of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// The store has its bytes.
    Here,
    /// An earlier pull fetched so many bytes of it.
    Partial(u64),
    /// Nothing is here.
    Missing,
}

/// A file that is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedFile {
    /// Where it stands in the repository.
    pub path: FilePath,
    /// Its length in bytes.
    pub size: u64,
    /// The digest that the hub gives.
    pub upstream: Upstream,
    /// What there is of it.
    pub state: FileState,
}

/// What a pull would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The model.
    pub model: ModelId,
    /// The commit that what was asked for stands for now.
    pub commit: Revision,
    /// The selected files, in the repository's order.
    pub files: Vec<PlannedFile>,
    /// Whether the store has this commit, with all of these files.
    pub is_here: bool,
}

impl Plan {
    /// Bytes that would be fetched: what two files share is fetched once.
    #[must_use]
    pub fn new_bytes(&self) -> u64 {
        self.distinct().map(|file| file.size - file.have()).sum()
    }

    /// Bytes of the selected files, those that are there twice counted once.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.distinct().map(|file| file.size).sum()
    }

    /// Bytes of the selected files that need not be fetched.
    #[must_use]
    pub fn have_bytes(&self) -> u64 {
        self.distinct().map(PlannedFile::have).sum()
    }

    fn distinct(&self) -> impl Iterator<Item = &PlannedFile> {
        let mut seen = HashSet::new();
        self.files.iter().filter(move |file| seen.insert(file.upstream))
    }
}

impl PlannedFile {
    fn have(&self) -> u64 {
        match self.state {
            FileState::Here => self.size,
            FileState::Partial(have) => have.min(self.size),
            FileState::Missing => 0,
        }
    }
}

/// What the hub says there is.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub commit: Revision,
    /// Whether anybody may have the files, if the hub says.
    pub is_public: Option<bool>,
    /// The ref that is to point to it; none when a commit was asked for.
    pub reference: Option<RefName>,
    /// All files.
    pub tree: Arc<Vec<RemoteFile>>,
    /// Those that were asked for: when these are all, the same list, because it may be long.
    pub selected: Arc<Vec<RemoteFile>>,
}

/// What the store has of it.
#[derive(Debug)]
pub(super) struct Here {
    /// The revision, when it is there, with some files or all.
    pub base: Option<(Resolved, Manifest)>,
    /// The blobs of selected files.
    pub blobs: HashMap<Upstream, BlobHash>,
}

/// Asks what a pull would fetch. Nothing is fetched, and nothing is written but digests that were
/// computed to find what is here.
///
/// # Errors
/// As [`pull`](super::pull), but for what only fetching meets.
pub async fn plan(
    store: Arc<Store>,
    client: &Client,
    request: &PullRequest,
    progress: &Arc<PullProgress>,
) -> Result<Plan, PullError> {
    let listing = list(client, request, progress).await?;
    compare(store, request.model.clone(), listing, progress).await
}

/// What of a listing is here, and what is not.
pub(super) async fn compare(
    store: Arc<Store>,
    model: ModelId,
    listing: Listing,
    progress: &Arc<PullProgress>,
) -> Result<Plan, PullError> {
    let progress = progress.clone();
    super::blocking(move || {
        progress.set_stage(Stage::Checking);
        let here = look(&store, &model, &listing, &progress)?;
        let dir = store.pull_dir(&partial::dir_name(&model, &listing.commit))?;
        let is_here = here.is_complete(&listing);
        // Nobody else has it: the names go from one list to the other.
        let Listing { commit, tree, selected, .. } = listing;
        drop(tree);
        let selected = Arc::unwrap_or_clone(selected).into_iter();
        let files = selected.map(|file| planned(file, &here, dir.as_ref())).collect();
        Ok(Plan { commit, model, files, is_here })
    })
    .await
}

/// Asks the hub.
pub(super) async fn list(
    client: &Client,
    request: &PullRequest,
    progress: &PullProgress,
) -> Result<Listing, PullError> {
    progress.set_stage(Stage::Resolving);
    let asked = request.revision.clone().unwrap_or_else(RefName::main);
    let asking = async {
        let commit = client.commit(&request.model, asked.as_str()).await?;
        let tree = client.tree(&request.model, &commit.sha).await?;
        Ok::<_, PullError>((commit, Arc::new(tree)))
    };
    let (commit, tree) = tokio::select! {
        asked = asking => asked?,
        () = progress.cancelled() => return Err(StoreError::Cancelled.into()),
    };
    let Commit { sha: commit, is_public } = commit;
    let is_commit = asked.as_str().len() >= 4 && commit.as_str().starts_with(asked.as_str());
    Ok(Listing {
        commit,
        is_public,
        reference: (!is_commit).then_some(asked),
        selected: if request.selection.is_everything() && !tree.is_empty() {
            tree.clone()
        } else {
            Arc::new(request.selection.apply(&request.model, tree.to_vec())?)
        },
        tree,
    })
}

/// Looks for what is here.
pub(super) fn look(
    store: &Store,
    model: &ModelId,
    listing: &Listing,
    progress: &PullProgress,
) -> Result<Here, PullError> {
    let mut wanted: Vec<_> = listing.selected.iter().map(|f| (f.upstream, f.size)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let blobs = store.find_upstream(&wanted, progress.local())?;
    let mut base = None;
    for revision in store.revisions_of(model)? {
        if revision.revision == listing.commit {
            let manifest = store.manifest(&revision)?;
            check_commit(model, listing, &manifest)?;
            base = Some((revision, manifest));
        }
    }
    Ok(Here { base, blobs })
}

/// A commit's files never change: what is here of it must be what the hub lists now.
fn check_commit(model: &ModelId, listing: &Listing, base: &Manifest) -> Result<(), PullError> {
    let listed: HashMap<_, _> = listing.tree.iter().map(|file| (&file.path, file)).collect();
    for file in base.files() {
        let same = listed.get(&file.path).is_some_and(|listed| {
            listed.size == file.size && names(file).is_none_or(|name| name == listed.upstream)
        });
        if !same {
            let (commit, path) = (listing.commit.clone(), file.path.clone());
            return Err(PullError::CommitChanged { model: model.clone(), commit, path });
        }
    }
    Ok(())
}

/// What the hub named a file's bytes by.
fn names(file: &ManifestFile) -> Option<Upstream> {
    file.sha256.map(Upstream::Sha256).or(file.git.map(Upstream::Git))
}

fn planned(file: RemoteFile, here: &Here, dir: Option<&Dir>) -> PlannedFile {
    let state = if here.blobs.contains_key(&file.upstream) {
        FileState::Here
    } else {
        match dir.map_or(0, |dir| partial::have(dir, &file.upstream, file.size)) {
            0 => FileState::Missing,
            have => FileState::Partial(have),
        }
    };
    PlannedFile { path: file.path, size: file.size, upstream: file.upstream, state }
}

impl Here {
    /// Whether the revision is there with all files that are asked for, each of them whole.
    pub fn is_complete(&self, listing: &Listing) -> bool {
        let Some((_, manifest)) = &self.base else { return false };
        listing.selected.iter().all(|file| {
            manifest.file(&file.path).is_some() && self.blobs.contains_key(&file.upstream)
        })
    }
}
