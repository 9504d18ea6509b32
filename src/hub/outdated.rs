//! Which refs have moved at the hub, and what following them would fetch.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::plan::{Listing, Plan, compare};
use super::progress::{PullProgress, Stage};
use super::{Client, RemoteFile, blocking};
use crate::error::{HubError, PullError, StoreError};
use crate::model::{ModelId, RefName, Revision};
use crate::store::{Listed, Resolved, Store};

/// How many refs are asked for at once: a question is no reason to strain a hub.
const AT_ONCE: usize = 4;

/// What became of a ref that the store has.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checked {
    /// The model.
    pub model: ModelId,
    /// The ref; none of a revision to which no ref points.
    pub reference: Option<RefName>,
    /// The revision that is here.
    pub here: Revision,
    /// What the hub says.
    pub state: RefState,
}

/// What the hub says of a ref.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefState {
    /// It was added here, and no hub was asked.
    Local,
    /// A commit never moves, and no hub was asked.
    Fixed,
    /// The hub has it where the store has it.
    Current,
    /// The hub has it elsewhere.
    Moved {
        /// Where.
        commit: Revision,
        /// What a pull would do, or why that is not known.
        update: Result<Update, PullError>,
    },
    /// The hub has the repository or the ref no more, or does not show it to this token.
    Gone(HubError),
    /// The hub refuses to answer.
    Refused(HubError),
    /// There was no answer that makes sense.
    Unreachable(HubError),
}

/// What following a ref that moved would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// What would be fetched. Of a revision that is here with some of its files only, the plan is
    /// for the files of these names.
    pub plan: Plan,
    /// Whether the revision that is here has some of its commit's files only. When the hub has its
    /// commit no more, nobody can tell, and it is taken to be whole.
    pub is_partial: bool,
}

/// What was learned of a ref that was asked for.
enum Answer {
    Current,
    Moved { commit: Revision, trees: Result<Trees, HubError> },
}

/// The files of a commit that is new, and of the one that is here if the hub still has it.
struct Trees {
    new: Vec<RemoteFile>,
    old: Option<Vec<RemoteFile>>,
}

/// Asks the hub where each ref of `listed` is now, and for those that moved what a pull would fetch.
/// Nothing is fetched. One ref's failure is its own: the others are answered. Each ref of each
/// revision gives one result, in the order of `listed`, and so does a revision without a ref.
///
/// # Errors
/// [`HubError::Offline`] when no request may be made, [`StoreError::Cancelled`], and what the store
/// says.
pub async fn outdated(
    store: &Arc<Store>,
    client: &Client,
    listed: &[Listed],
    progress: &Arc<PullProgress>,
) -> Result<Vec<Checked>, PullError> {
    if client.is_offline() {
        return Err(HubError::Offline { url: client.endpoint().to_owned() }.into());
    }
    progress.set_stage(Stage::Resolving);
    let mut checked = Vec::new();
    let mut asking = JoinSet::new();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for one in listed {
        let names = one.refs.iter().map(|name| Some(name.clone()));
        let without = one.refs.is_empty().then_some(None);
        for reference in names.chain(without) {
            let asked =
                reference.as_ref().filter(|name| name.as_str().parse::<Revision>().is_err());
            // A revision of local content is its manifest's hash.
            let state = if one.revision.as_str() == one.manifest.to_string() {
                RefState::Local
            } else if let Some(name) = asked {
                let (places, index) = (places.clone(), checked.len());
                let question = ask(client.clone(), one.clone(), name.clone());
                asking.spawn(async move {
                    let _place = places.acquire_owned().await;
                    (index, question.await)
                });
                RefState::Current
            } else {
                RefState::Fixed
            };
            let (model, here) = (one.model.clone(), one.revision.clone());
            checked.push((one, Checked { model, reference, here, state }));
        }
    }
    while let Some(answered) = tokio::select! {
        answered = asking.join_next() => answered,
        () = progress.cancelled() => return Err(StoreError::Cancelled.into()),
    } {
        let (index, answer) = answered.map_err(|e| PullError::Stopped { what: e.to_string() })?;
        let Some((one, checked)) = checked.get_mut(index) else { continue };
        checked.state = match answer {
            Ok(Answer::Current) => RefState::Current,
            Ok(Answer::Moved { commit, trees }) => {
                let update = match trees {
                    Ok(trees) => update(store, one, &commit, trees, progress).await,
                    Err(e) => Err(e.into()),
                };
                match update {
                    Err(PullError::Store(e)) => return Err(e.into()),
                    update => RefState::Moved { commit, update },
                }
            }
            Err(e) => failed(e),
        };
    }
    Ok(checked.into_iter().map(|(_, checked)| checked).collect())
}

async fn ask(client: Client, held: Listed, name: RefName) -> Result<Answer, HubError> {
    let model = &held.model;
    let commit = client.commit(model, name.as_str()).await?.sha;
    if commit == held.revision {
        return Ok(Answer::Current);
    }
    let trees = async {
        let new = client.tree(model, &commit).await?;
        let old = match client.tree(model, &held.revision).await {
            Ok(files) => Some(files),
            Err(HubError::RevisionNotFound { .. }) => None,
            Err(e) => return Err(e),
        };
        Ok(Trees { new, old })
    };
    let trees = trees.await;
    Ok(Answer::Moved { commit, trees })
}

async fn update(
    store: &Arc<Store>,
    held: &Listed,
    commit: &Revision,
    trees: Trees,
    progress: &Arc<PullProgress>,
) -> Result<Update, PullError> {
    let resolved = Resolved {
        model: held.model.clone(),
        revision: held.revision.clone(),
        manifest: held.manifest,
        id: held.id,
    };
    let read = store.clone();
    let manifest = blocking(move || Ok(read.manifest(&resolved)?)).await?;
    let is_here = |file: &RemoteFile| manifest.file(&file.path).is_some();
    let is_partial = trees.old.is_some_and(|old| !old.iter().all(is_here));
    let tree = Arc::new(trees.new);
    let selected = if is_partial {
        Arc::new(tree.iter().filter(|file| is_here(file)).cloned().collect())
    } else {
        tree.clone()
    };
    let listing =
        Listing { commit: commit.clone(), is_public: None, reference: None, tree, selected };
    let plan = compare(store.clone(), held.model.clone(), listing, progress).await?;
    Ok(Update { plan, is_partial })
}

fn failed(error: HubError) -> RefState {
    match error {
        HubError::NotFound { .. } | HubError::RevisionNotFound { .. } => RefState::Gone(error),
        HubError::Gated { .. }
        | HubError::Unauthorized { .. }
        | HubError::BadToken { .. }
        | HubError::Disabled { .. }
        | HubError::Refused { .. } => RefState::Refused(error),
        error => RefState::Unreachable(error),
    }
}
