//! The models that are here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Asked, Named};
use super::problem::Problem;
use super::work::{Answer, change, look};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::model::{Manifest, ModelSpec};
use crate::serve::app::App;
use crate::store::{Listed, Store};

/// A revision of a model.
#[derive(Serialize, ToSchema)]
pub struct Model {
    /// `org/name`
    model: String,
    /// 40 or 64 digits.
    revision: String,
    /// The branches and tags that point to it.
    refs: Vec<String>,
    files: u64,
    /// The sum of its files' sizes.
    size: u64,
    /// Bytes that only this revision needs.
    exclusive: u64,
    /// Bytes that others need, too.
    shared: u64,
    /// Seconds since the epoch.
    last_used: i64,
    pinned: bool,
    /// Whether a file of it is damaged and in quarantine.
    degraded: bool,
}

/// All of them.
#[derive(Serialize, ToSchema)]
pub struct Models {
    models: Vec<Model>,
    /// Bytes that the store takes on the disk.
    physical: u64,
}

/// A file of a revision.
#[derive(Serialize, ToSchema)]
pub struct File {
    path: String,
    size: u64,
    /// The BLAKE3 hash of its bytes.
    blob: String,
    sha256: Option<String>,
    /// Other revisions that have a file of these bytes: `org/name@1a2b3c4d5e6f`.
    shared_with: Vec<String>,
}

/// A revision and its files.
#[derive(Serialize, ToSchema)]
pub struct Details {
    #[serde(flatten)]
    model: Model,
    file_list: Vec<File>,
}

/// Whether a revision is pinned: then it is not evicted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pinned: bool,
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/models", operation_id = "models",
    responses((status = OK, body = Models)),
)]
pub async fn list(State(app): State<Arc<App>>) -> Answer<Models> {
    let looking = look(&app, |app| {
        let physical = app.store.physical()?;
        let models = app.store.list()?.into_iter().map(Model::from).collect();
        Ok(Models { models, physical })
    });
    looking.await.map(Json)
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/models/{spec}", operation_id = "model",
    params(("spec" = String, Path, description = "org/name@revision, as one segment")),
    responses((status = OK, body = Details), (status = NOT_FOUND, body = Problem)),
)]
pub async fn show(State(app): State<Arc<App>>, Named(spec): Named<ModelSpec>) -> Answer<Details> {
    look(&app, move |app| Ok(details(&app.store, &spec)?)).await.map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/models/{spec}/pin", operation_id = "pin",
    params(("spec" = String, Path, description = "org/name@revision, as one segment")),
    request_body = Pin,
    responses((status = OK, body = Pin), (status = NOT_FOUND, body = Problem)),
)]
pub async fn pin(
    State(app): State<Arc<App>>,
    Named(spec): Named<ModelSpec>,
    Asked(Pin { pinned }): Asked<Pin>,
) -> Answer<Pin> {
    let pinning = change(&app, move |app| {
        let revision = app.store.resolve(&spec)?;
        app.store.set_pinned(&revision, pinned)?;
        Ok(Pin { pinned })
    });
    pinning.await.map(Json)
}

fn details(store: &Store, spec: &ModelSpec) -> Result<Details, StoreError> {
    let revision = store.resolve(spec)?;
    let gone = || StoreError::NotFound { spec: spec.to_string() };
    let listed = store.list()?.into_iter().find(|one| one.id == revision.id).ok_or_else(gone)?;
    let manifest = store.manifest(&revision)?;
    let sharers = sharers(store, &listed, &manifest)?;
    let file_list = manifest.files().iter().map(|file| File {
        path: file.path.to_string(),
        size: file.size,
        blob: file.blob.to_string(),
        sha256: file.sha256.map(|digest| digest.to_string()),
        shared_with: sharers.get(&file.blob).cloned().unwrap_or_default(),
    });
    let file_list = file_list.collect();
    Ok(Details { model: listed.into(), file_list })
}

/// By blob, the other revisions that need it.
fn sharers(
    store: &Store,
    of: &Listed,
    manifest: &Manifest,
) -> Result<HashMap<BlobHash, Vec<String>>, StoreError> {
    store.index().read(|reader| {
        let mut sharers = HashMap::new();
        let mut names = HashMap::new();
        for (blob, _) in manifest.blobs() {
            let mut with = Vec::new();
            for id in reader.edges(&blob)?.into_iter().filter(|id| *id != of.id) {
                let name = match names.entry(id) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        // None of one that is in the trash.
                        let row = reader.revision(id)?;
                        new.insert(row.map(|r| format!("{}@{}", r.model, r.revision.short())))
                    }
                };
                with.extend(name.clone());
            }
            with.sort_unstable();
            sharers.insert(blob, with);
        }
        Ok(sharers)
    })
}

impl From<Listed> for Model {
    fn from(listed: Listed) -> Self {
        Self {
            model: listed.model.to_string(),
            revision: listed.revision.to_string(),
            refs: listed.refs.iter().map(ToString::to_string).collect(),
            files: listed.files,
            size: listed.size,
            exclusive: listed.exclusive,
            shared: listed.shared,
            last_used: listed.last_used,
            pinned: listed.pinned,
            degraded: listed.degraded,
        }
    }
}
