//! Whether the store's bytes are still what their names say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::ask::Asked;
use super::problem::Problem;
use super::verification::Verify;
use super::work::{Answer, look};
use crate::model::ModelSpec;
use crate::serve::app::App;
use crate::store::{Listed, Resolved, Store};
use crate::verify::Level;

/// What is to be verified.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// `org/name@revision` each; null: all.
    models: Option<Vec<String>>,
    /// Whether every byte is read; else only what looks changed.
    #[serde(default)]
    full: bool,
    /// Whether what is damaged is mended as far as it can be, from views or the hub. What cannot be
    /// goes into quarantine: nobody is served it until its bytes come again.
    #[serde(default)]
    repair: bool,
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/verify", operation_id = "verification",
    responses((status = OK, body = Verify)),
)]
pub async fn show(State(app): State<Arc<App>>) -> Json<Verify> {
    Json(app.verification.told())
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/verify", operation_id = "verify",
    request_body = Wanted,
    responses(
        (status = OK, body = Verify),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "one is running"),
    ),
)]
pub async fn begin(State(app): State<Arc<App>>, Asked(wanted): Asked<Wanted>) -> Answer<Verify> {
    let level = if wanted.full { Level::Full } else { Level::Quick };
    let models = wanted.models;
    let revisions = look(&app, move |app| match models {
        Some(specs) => find(&app.store, &specs),
        None => Ok(app.store.list()?.into_iter().map(resolved).collect()),
    });
    let begun = app.verification.begin(&app, revisions.await?, level, wanted.repair)?;
    app.news.verify();
    Ok(Json(begun))
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/verify/cancel", operation_id = "cancel_verification",
    responses((status = OK, body = Verify)),
)]
pub async fn cancel(State(app): State<Arc<App>>) -> Json<Verify> {
    app.verification.cancel();
    Json(app.verification.told())
}

/// The revisions that are meant.
pub fn find(store: &Store, specs: &[String]) -> Result<Vec<Resolved>, Problem> {
    let find = |text: &String| {
        let spec: ModelSpec = text.parse().map_err(|e| Problem::usage(format!("models: {e}")))?;
        Ok(store.resolve(&spec)?)
    };
    specs.iter().map(find).collect()
}

fn resolved(listed: Listed) -> Resolved {
    let Listed { model, revision, manifest, id, .. } = listed;
    Resolved { model, revision, manifest, id }
}
