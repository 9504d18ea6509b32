//! What was added here, in a hub's words.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::app::App;
use super::fault::Fault;
use super::origin::blocking;
use crate::digest::{BlobHash, Upstream};
use crate::hub::RemoteFile;
use crate::model::{FilePath, ManifestFile, ModelId};
use crate::progress::Progress;
use crate::store::{Resolved, Store, listings};

/// A hub keeps files that are larger than this outside of git, in bytes.
const SMALL: u64 = 10 << 20;

/// All files of a revision that was added here, with the digests that a hub would give.
pub(super) async fn files(app: &Arc<App>, here: &Resolved) -> Result<Arc<Vec<RemoteFile>>, Fault> {
    let ask = async || {
        let manifest = app.manifest(here).await?;
        let store = app.store.clone();
        blocking(move || {
            let files: Vec<_> = manifest.files().iter().collect();
            let digests = digests(&store, &files)?;
            // Without a damaged file it would be taken for all: clients would have a model in part.
            let known =
                |file: &ManifestFile| remote(file, &digests).ok_or_else(|| damaged(&file.path));
            let files: Result<_, Fault> = manifest.files().iter().map(known).collect();
            Ok(Arc::new(files?))
        })
        .await
    };
    app.local_files.get(&here.manifest, ask).await
}

/// A file with the digest that a hub gives, or would give. `None` when its blob is damaged.
pub(super) async fn file(app: &Arc<App>, file: &ManifestFile) -> Result<Option<RemoteFile>, Fault> {
    if let Some(known) = remote(file, &Digests::new()) {
        return Ok(Some(known));
    }
    let (store, wanted) = (app.store.clone(), file.clone());
    let ask =
        async || blocking(move || Ok(digests(&store, &[&wanted])?.remove(&wanted.blob))).await;
    let digest = app.local_digests.get(&file.blob, ask).await?;
    Ok(digest.map(|upstream| RemoteFile { path: file.path.clone(), size: file.size, upstream }))
}

type Digests = std::collections::HashMap<BlobHash, Upstream>;

fn digests(store: &Store, files: &[&ManifestFile]) -> Result<Digests, Fault> {
    let unknown: Vec<_> = files
        .iter()
        .filter(|file| file.sha256.is_none() && file.git.is_none())
        .map(|file| (file.blob, file.size))
        .collect();
    Ok(store.upstreams_of(&unknown, SMALL, &Progress::new())?)
}

fn remote(file: &ManifestFile, digests: &Digests) -> Option<RemoteFile> {
    let known = file.sha256.map(Upstream::Sha256).or(file.git.map(Upstream::Git));
    let upstream = known.or_else(|| digests.get(&file.blob).copied())?;
    Some(RemoteFile { path: file.path.clone(), size: file.size, upstream })
}

/// Nobody else can be asked for a file that was added here.
pub(super) fn damaged(path: &FilePath) -> Fault {
    let message = format!("{path} is damaged in this store");
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// The refs that the store has of a model.
pub(super) struct Refs {
    /// Each with the commit that clients know.
    named: Vec<(String, String)>,
    /// None of its revisions is a hub's.
    pub are_local: bool,
    /// Anybody may know of them.
    pub are_public: bool,
}

impl Refs {
    /// A list without any would be taken for all there are.
    pub fn are_unknown(&self) -> bool {
        self.named.is_empty()
    }

    /// As the hub lists them; without it nobody knows of pull requests.
    pub fn to_json(&self, with_pull_requests: bool) -> Value {
        let branches = self.named.iter().map(|(name, commit)| {
            json!({"name": name, "ref": format!("refs/heads/{name}"), "targetCommit": commit})
        });
        let branches: Vec<_> = branches.collect();
        let mut refs = json!({"tags": [], "branches": branches, "converts": []});
        if with_pull_requests && let Value::Object(map) = &mut refs {
            map.insert("pullRequests".to_owned(), json!([]));
        }
        refs
    }
}

/// `None` when the store has nothing of the model.
pub(super) async fn refs(app: &Arc<App>, model: &ModelId) -> Result<Option<Refs>, Fault> {
    let (store, model) = (app.store.clone(), model.clone());
    blocking(move || {
        let listed: Vec<_> = store.list()?.into_iter().filter(|one| one.model == model).collect();
        if listed.is_empty() {
            return Ok(None);
        }
        let are_local = listed.iter().all(|one| one.revision.as_str().len() == 64);
        let mut named: Vec<_> = listed
            .iter()
            .flat_map(|one| {
                let digits = one.revision.as_str().get(..40).unwrap_or_default();
                one.refs.iter().map(|name| (name.to_string(), digits.to_owned()))
            })
            .collect();
        named.sort();
        Ok(Some(Refs { named, are_local, are_public: listings::is_public(&store, &model) }))
    })
    .await
}
