//! Downloads, asked for and steered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::ask::{Asked, Named};
use super::plan::Wanted;
use super::problem::Problem;
use super::queue::Download;
use super::work::Answer;
use crate::serve::app::App;

/// All downloads, the oldest first.
#[derive(Serialize, ToSchema)]
pub struct List {
    downloads: Vec<Download>,
}

impl List {
    pub fn of(app: &App) -> Self {
        Self { downloads: app.downloads.told() }
    }
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/downloads", operation_id = "downloads",
    responses((status = OK, body = List)),
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<List> {
    Json(List::of(&app))
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/downloads", operation_id = "download",
    request_body = Wanted,
    responses(
        (status = CREATED, body = Download),
        (status = OK, body = Download, description = "these files are on their way already"),
        (status = BAD_REQUEST, body = Problem),
    ),
)]
pub async fn begin(
    State(app): State<Arc<App>>,
    Asked(wanted): Asked<Wanted>,
) -> Result<(StatusCode, Json<Download>), Problem> {
    let (download, is_new) = app.downloads.begin(&app, wanted.request()?);
    app.news.downloads();
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(download)))
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/downloads/{id}/pause", operation_id = "pause",
    params(("id" = u64, Path)),
    responses(
        (status = OK, body = Download),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "it is over"),
    ),
)]
pub async fn pause(State(app): State<Arc<App>>, Named(id): Named<u64>) -> Answer<Download> {
    told(&app, app.downloads.pause(id)).map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/downloads/{id}/resume", operation_id = "resume",
    params(("id" = u64, Path)),
    responses(
        (status = OK, body = Download),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "it is over"),
    ),
)]
pub async fn resume(State(app): State<Arc<App>>, Named(id): Named<u64>) -> Answer<Download> {
    told(&app, app.downloads.resume(id)).map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/downloads/{id}/cancel", operation_id = "cancel",
    params(("id" = u64, Path)),
    responses(
        (status = OK, body = Download),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "it is over"),
    ),
)]
pub async fn cancel(State(app): State<Arc<App>>, Named(id): Named<u64>) -> Answer<Download> {
    told(&app, app.downloads.cancel(id)).map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/downloads/{id}/retry", operation_id = "retry",
    params(("id" = u64, Path)),
    responses(
        (status = OK, body = Download),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "it neither failed nor was cancelled"),
    ),
)]
pub async fn retry(State(app): State<Arc<App>>, Named(id): Named<u64>) -> Answer<Download> {
    told(&app, app.downloads.retry(&app, id)).map(Json)
}

#[utoipa::path(
    delete, path = "/api/tonnage/v1/downloads/{id}", operation_id = "forget",
    params(("id" = u64, Path)),
    responses(
        (status = NO_CONTENT),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "it is not over"),
    ),
)]
pub async fn forget(
    State(app): State<Arc<App>>,
    Named(id): Named<u64>,
) -> Result<StatusCode, Problem> {
    told(&app, app.downloads.forget(id))
}

/// All who listen hear of it.
fn told<T>(app: &App, done: Result<T, Problem>) -> Result<T, Problem> {
    app.news.downloads();
    done
}
