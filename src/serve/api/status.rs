//! What this server is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::serve::app::App;

/// What this server is.
#[derive(Serialize, ToSchema)]
pub struct Status {
    version: &'static str,
    /// The store's directory.
    store: String,
    /// The hub.
    endpoint: String,
    /// Whether nothing is fetched from the hub.
    offline: bool,
    /// Whether the store can be changed.
    writable: bool,
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/status", operation_id = "status",
    responses((status = OK, body = Status)),
)]
pub async fn show(State(app): State<Arc<App>>) -> Json<Status> {
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        store: app.store.path().to_string_lossy().into_owned(),
        endpoint: app.origin.endpoint().to_owned(),
        offline: app.origin.is_offline(),
        writable: app.store.check_writable().is_ok(),
    })
}
