//! Where what the store does not know comes from: the hub, asked seldom, and what it said before.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::Value;

use super::fault::Fault;
use super::guard::Caller;
use super::memo::Memo;
use crate::digest::BlobHash;
use crate::error::HubError;
use crate::hub::{Client, Commit, Forwarded, RemoteFile, Token, inflow};
use crate::model::{FilePath, ModelId, ModelSpec, RefName, Revision};
use crate::store::{Resolved, Store, listings};

/// For how long a branch is taken to point where it did.
const BRANCH: Duration = Duration::from_secs(60);
/// For how long who may have a model's files is taken to be as it was.
const ACCESS: Duration = Duration::from_secs(5 * 60);
/// For how long the list of a commit's files, which never changes, is kept in memory.
const LIST: Duration = Duration::from_secs(60 * 60);
/// For how long what is known is given at once after the hub could not be reached.
const UNREACHED: Duration = Duration::from_secs(15);
/// Of how many models names are kept in memory.
const MODELS: usize = 4096;
/// Clients wait 10 seconds for the head of an answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// A revision that somebody asked for, and may know of.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub model: ModelId,
    /// The commit; of local content, the first 40 digits of its revision.
    pub commit: Revision,
    /// The branches and tags that stood for it when the hub said so last.
    pub references: Vec<RefName>,
    /// What the store has of it.
    pub here: Option<Resolved>,
    /// It was added here, and no hub knows it.
    pub is_local: bool,
    /// What the hub says of who may have its files.
    is_public: Option<bool>,
}

/// Whose question it is; tokens are not kept.
type Who = Option<BlobHash>;

/// The hub.
#[derive(Debug)]
pub(super) struct Origin {
    client: Client,
    /// The same, for questions that somebody waits for: soon it says what is wrong.
    asks: Client,
    commits: Memo<(ModelId, String, Who), Commit>,
    access: Memo<(ModelId, Who), ()>,
    noted: Memo<(ModelId, bool), ()>,
    lists: Memo<(ModelId, Revision), Arc<Vec<RemoteFile>>>,
    names: Names,
    /// When the hub could not be reached last, and why.
    unreached: Mutex<Option<(Instant, String)>>,
}

/// What the hub said last that branches and tags stand for. Clients ask for `main` once, and for files
/// by commit.
#[derive(Debug, Default)]
struct Names(Mutex<HashMap<ModelId, BTreeMap<RefName, Revision>>>);

impl Names {
    fn note(&self, model: &ModelId, name: &RefName, commit: &Revision) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MODELS && !known.contains_key(model) {
            known.clear();
        }
        known.entry(model.clone()).or_default().insert(name.clone(), commit.clone());
    }

    fn of(&self, model: &ModelId, commit: &Revision) -> Vec<RefName> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = known.get(model).into_iter().flatten();
        names.filter(|(_, at)| *at == commit).map(|(name, _)| name.clone()).collect()
    }
}

impl Origin {
    /// Asks with `asks` while somebody waits for the answer's head, and fetches with `client`; with
    /// nobody's token but the caller's.
    pub fn new(client: Client, asks: Client) -> Self {
        Self {
            client,
            asks,
            commits: Memo::new(BRANCH, 4096),
            access: Memo::new(ACCESS, 4096),
            noted: Memo::new(ACCESS, 4096),
            lists: Memo::new(LIST, 16),
            names: Names::default(),
            unreached: Mutex::default(),
        }
    }

    pub fn is_offline(&self) -> bool {
        self.client.is_offline()
    }

    /// The hub's address.
    pub fn endpoint(&self) -> &str {
        self.client.endpoint()
    }

    /// The hub, as the caller may use it.
    pub fn client(&self, caller: &Caller) -> Result<Client, Fault> {
        Ok(self.client.with_token(caller.token.clone())?)
    }

    /// What `revision` of a model stands for. Who gets an answer may know that it is there.
    pub async fn place(
        &self,
        store: &Arc<Store>,
        model: &ModelId,
        revision: &str,
        caller: &Caller,
    ) -> Result<Place, Fault> {
        let Ok(name) = revision.parse::<RefName>() else {
            return Err(Fault::no_revision(revision));
        };
        let (known, is_public) = known(store, model, &name).await?;
        if let Some(here) = known.as_ref().filter(|here| here.is_local()) {
            return Ok(Place::local(here));
        }
        let is_known = known.is_some() && is_public;
        if self.is_offline() {
            return match known {
                Some(here) if is_known => Ok(Place::known(here, &name)),
                Some(_) => Err(Fault::new(
                    StatusCode::FORBIDDEN,
                    format!("{model} is not known to be public, and this mirror is offline"),
                )),
                None => Err(Fault::offline(&format!("{model} at {revision}"))),
            };
        }
        // What the hub said last is better than nothing, where it is nobody's secret.
        let last = known.clone().filter(|_| is_known);
        if let Some(here) = last.clone().filter(|_| self.trouble().is_some()) {
            return Ok(Place::known(here, &name));
        }
        let client = self.asks.with_token(caller.token.clone())?;
        let key = (model.clone(), revision.to_owned(), who(caller));
        let ask = async || client.commit(model, revision).await;
        let commit = match (self.heard(patiently(self.commits.get(&key, ask)).await), last) {
            (Ok(commit), _) => commit,
            (Err(e), Some(here)) if e.is_retryable() => return Ok(Place::known(here, &name)),
            (Err(e), _) => return Err(e.into()),
        };
        let is_name = !(revision.len() >= 4 && commit.sha.as_str().starts_with(revision));
        if is_name {
            self.names.note(model, &name, &commit.sha);
        }
        let (of, at) = (store.clone(), (model.clone(), commit.sha.clone()));
        let named = known.filter(|_| is_name).map(|known| known.revision);
        let here = blocking(move || {
            let spec = ModelSpec { model: at.0, at: at.1.as_str().parse().ok() };
            let here = find(&of, &spec)?.filter(|here| here.revision == at.1);
            if let Some(here) =
                here.as_ref().filter(|here| is_name && named != Some(here.revision.clone()))
            {
                of.point(here, Some(&name))?;
            }
            Ok(here)
        })
        .await?;
        Ok(Place {
            model: model.clone(),
            here,
            references: self.names.of(model, &commit.sha),
            commit: commit.sha,
            is_local: false,
            is_public: commit.is_public,
        })
    }

    /// What the hub's API says about a repository. An error that is retryable comes soon.
    pub async fn about(
        &self,
        caller: &Caller,
        model: &ModelId,
        path: &[&str],
        query: Option<&str>,
    ) -> Result<Forwarded, HubError> {
        if let Some(trouble) = self.trouble() {
            return Err(trouble);
        }
        let client = self.asks.with_token(caller.token.clone())?;
        self.heard(patiently(client.about(model, path, query)).await)
    }

    /// What the hub's API says about some paths of a commit, with all that it knows.
    pub async fn about_paths(
        &self,
        caller: &Caller,
        place: &Place,
        paths: &[String],
    ) -> Result<Vec<Value>, HubError> {
        if let Some(trouble) = self.trouble() {
            return Err(trouble);
        }
        let client = self.asks.with_token(caller.token.clone())?;
        self.heard(patiently(client.about_paths(&place.model, &place.commit, paths)).await)
    }

    /// Notes when the hub cannot be reached.
    fn heard<T>(&self, answer: Result<T, HubError>) -> Result<T, HubError> {
        if let Err(
            error @ (HubError::Network { .. } | HubError::Stalled { .. } | HubError::Server { .. }),
        ) = &answer
        {
            *self.unreached() = Some((Instant::now(), error.to_string()));
        }
        answer
    }

    /// Why the hub could not be asked a moment ago.
    fn trouble(&self) -> Option<HubError> {
        let unreached = self.unreached();
        let (_, error) = unreached.as_ref().filter(|(when, _)| when.elapsed() < UNREACHED)?;
        let reason = format!("it is left alone for a moment, after this: {error}");
        Some(HubError::Network { url: self.endpoint().to_owned(), reason })
    }

    fn unreached(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.unreached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller may have the files of `place`: asked of the hub with `file`, unless the hub
    /// says that anybody may.
    pub async fn check_access(
        &self,
        store: &Arc<Store>,
        place: &Place,
        file: &FilePath,
        caller: &Caller,
    ) -> Result<(), Fault> {
        if place.is_local {
            return Ok(());
        }
        if let Some(is_public) = place.is_public {
            self.note_public(store, &place.model, is_public).await?;
            if is_public {
                return Ok(());
            }
        }
        let client = self.asks.with_token(caller.token.clone())?;
        let key = (place.model.clone(), who(caller));
        let ask = async || client.check_access(&place.model, &place.commit, file).await;
        match patiently(self.access.get(&key, ask)).await {
            // Only of this file.
            Err(HubError::FileNotFound { .. }) => Err(Fault::no_entry(place.commit.as_str())),
            Err(e) => Err(e.into()),
            // It was given to nobody in particular.
            Ok(()) if place.is_public.is_none() && !client.has_token() => {
                self.note_public(store, &place.model, true).await
            }
            Ok(()) => Ok(()),
        }
    }

    /// Should, not must: it is for when the hub cannot be asked.
    async fn note_public(
        &self,
        store: &Arc<Store>,
        model: &ModelId,
        is_public: bool,
    ) -> Result<(), Fault> {
        let note = async || {
            let (store, model) = (store.clone(), model.clone());
            blocking(move || {
                let _ = listings::set_public(&store, &model, is_public);
                Ok(())
            })
            .await
        };
        self.noted.get(&(model.clone(), is_public), note).await
    }

    /// All files of a commit. `None` when the hub cannot be asked and nobody noted them.
    pub async fn files(
        self: &Arc<Self>,
        store: &Arc<Store>,
        place: &Place,
        caller: &Caller,
    ) -> Result<Option<Arc<Vec<RemoteFile>>>, Fault> {
        let client = self.client(caller)?;
        let (origin, store) = (self.clone(), store.clone());
        let (model, commit) = (place.model.clone(), place.commit.clone());
        // A long list comes although who asked first is told to come again.
        let asking = tokio::spawn(async move {
            let ask = async || {
                let (of, at) = (model.clone(), commit.clone());
                let noted = move || Ok(inflow::remembered(&store, &of, &at));
                match blocking(noted).await? {
                    Some(files) => Ok(Arc::new(files)),
                    None => Ok::<_, Fault>(Arc::new(client.tree(&model, &commit).await?)),
                }
            };
            origin.lists.get(&(model.clone(), commit.clone()), ask).await
        });
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(Err(fault))) if fault.is_offline() => Ok(None),
            Ok(Ok(done)) => done.map(Some),
            Ok(Err(e)) => Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())),
            Err(_) => Err(slow().into()),
        }
    }
}

impl Place {
    fn local(here: &Resolved) -> Self {
        let digits = here.revision.as_str().get(..40).and_then(|digits| digits.parse().ok());
        Self {
            model: here.model.clone(),
            commit: digits.unwrap_or_else(|| here.revision.clone()),
            references: Vec::new(),
            here: Some(here.clone()),
            is_local: true,
            is_public: None,
        }
    }

    /// As the hub said last.
    fn known(here: Resolved, name: &RefName) -> Self {
        let by_name = !here.revision.as_str().starts_with(name.as_str());
        Self {
            model: here.model.clone(),
            commit: here.revision.clone(),
            references: by_name.then(|| name.clone()).into_iter().collect(),
            here: Some(here),
            is_local: false,
            is_public: Some(true),
        }
    }
}

impl Resolved {
    /// Whether it was added here: then its revision is its manifest's hash, and no hub knows it.
    fn is_local(&self) -> bool {
        self.revision.as_str().len() == 64
    }
}

fn who(caller: &Caller) -> Who {
    caller.token.as_ref().map(Token::fingerprint)
}

/// What the store has of it, and whether anybody may know.
async fn known(
    store: &Arc<Store>,
    model: &ModelId,
    name: &RefName,
) -> Result<(Option<Resolved>, bool), Fault> {
    let spec = ModelSpec { model: model.clone(), at: Some(name.clone()) };
    let store = store.clone();
    blocking(move || Ok((find(&store, &spec)?, listings::is_public(&store, &spec.model)))).await
}

/// `None` also for what could be several.
fn find(store: &Store, spec: &ModelSpec) -> Result<Option<Resolved>, Fault> {
    use crate::error::StoreError;
    match store.resolve(spec) {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn slow() -> HubError {
    HubError::Stalled { url: "the hub".to_owned(), waited: PATIENCE }
}

async fn patiently<T>(asking: impl Future<Output = Result<T, HubError>>) -> Result<T, HubError> {
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(slow()))
}

/// Runs what waits for the disk where it holds up no other task.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())),
    }
}
