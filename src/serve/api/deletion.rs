//! Revisions leave, by way of the trash.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ask::{Named, Params};
use super::problem::Problem;
use super::work::{Answer, change, look};
use crate::config::Settings;
use crate::model::ModelSpec;
use crate::serve::app::App;
use crate::space::{self, Freed, Kept, RemoveOptions};
use crate::store::{Store, now};

/// How long what is removed can be brought back, where config.toml says nothing.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What goes, or would.
#[derive(Serialize, ToSchema)]
pub struct Deletion {
    /// `org/name@revision`
    removed: Vec<String>,
    kept: Vec<Stays>,
    /// Bytes that come back now.
    freed_bytes: u64,
    /// Bytes that come back when it leaves the trash.
    later_bytes: u64,
    /// Until when it can be restored, in seconds since the epoch; null when it is gone, or stays.
    until: Option<i64>,
    /// What failed while everything else was done.
    failures: Vec<String>,
}

/// A revision that stays.
#[derive(Serialize, ToSchema)]
pub struct Stays {
    model: String,
    revision: String,
    /// What keeps it, in words.
    why: String,
}

/// How to delete.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
}

#[utoipa::path(
    delete, path = "/api/tonnage/v1/models/{spec}", operation_id = "delete",
    params(("spec" = String, Path, description = "org/name@revision, as one segment"), How),
    responses(
        (status = OK, body = Deletion),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem),
    ),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Named(spec): Named<ModelSpec>,
    Params(How { dry_run }): Params<How>,
) -> Answer<Deletion> {
    if spec.at.is_none() {
        let message = "say which revision is to be deleted: org/name@revision";
        return Err(Problem::usage(message));
    }
    let deleting = move |app: &App| carry_out(app, &spec, dry_run);
    let done = if dry_run { look(&app, deleting).await } else { change(&app, deleting).await };
    done.map(Json)
}

fn carry_out(app: &App, spec: &ModelSpec, dry_run: bool) -> Result<Deletion, Problem> {
    let store = &app.store;
    let revision = store.resolve(spec)?;
    let keep = keep(store);
    let options = RemoveOptions { dry_run, force: false, keep };
    let freed = space::remove(store, std::slice::from_ref(&revision), options)?;
    let failed = freed.failures.first().filter(|_| freed.gone.is_empty());
    if let Some(failure) = failed {
        return Err(Problem::failure(failure));
    }
    let goes = !freed.gone.is_empty() && !keep.is_zero();
    let planned = now().saturating_add(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
    let trashed = store.trashed()?.into_iter().find(|one| one.id == revision.id);
    let until = goes.then(|| trashed.map_or(planned, |one| one.until));
    Ok(Deletion::new(freed, until))
}

/// How long what is removed can be restored. A file that cannot be read keeps nobody from removing.
pub fn keep(store: &Store) -> Duration {
    Settings::read(store.path()).ok().and_then(|settings| settings.trash).unwrap_or(KEEP)
}

impl Deletion {
    fn new(freed: Freed, until: Option<i64>) -> Self {
        let name = |one: &space::Gone| format!("{}@{}", one.model, one.revision);
        Self {
            removed: freed.gone.iter().map(name).collect(),
            kept: freed.kept.into_iter().map(Stays::from).collect(),
            freed_bytes: freed.freed_bytes,
            later_bytes: freed.trashed_bytes,
            until,
            failures: freed.failures,
        }
    }
}

impl From<Kept> for Stays {
    fn from(kept: Kept) -> Self {
        let (model, revision) = (kept.model.to_string(), kept.revision.to_string());
        Self { model, revision, why: kept.why }
    }
}
