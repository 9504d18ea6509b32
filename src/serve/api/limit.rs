//! How much of the disk the store may take.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::problem::Problem;
use super::work::{Answer, change};
use crate::config::{self, Settings};
use crate::error::ConfigError;
use crate::serve::app::App;
use crate::store::Limits;

const KEY: &str = "space.max";
const GB: u64 = 1_000_000_000;

/// The limits that hold.
#[derive(Serialize, ToSchema)]
pub struct Limit {
    /// Bytes that the store may take; null: no limit.
    max_bytes: Option<u64>,
    /// Bytes of the disk that stay free.
    min_free_bytes: u64,
    /// When the store is full it is emptied to this percentage of the limit, if it can be.
    low_percent: u8,
}

/// A new limit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLimit {
    /// Bytes that the store may take; null: no limit.
    // Its absence is a mistake, and not the wish for no limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    max_bytes: Option<u64>,
}

#[utoipa::path(
    put, path = "/api/tonnage/v1/space/limit", operation_id = "set_limit",
    request_body = NewLimit,
    responses((status = OK, body = Limit), (status = CONFLICT, body = Problem)),
)]
pub async fn set(
    State(app): State<Arc<App>>,
    Asked(NewLimit { max_bytes }): Asked<NewLimit>,
) -> Answer<Limit> {
    let setting = change(&app, move |app| {
        match max_bytes {
            Some(bytes) => config::set(&app.store, KEY, &written(bytes))?,
            None => match config::unset(&app.store, KEY) {
                Ok(()) | Err(ConfigError::NotSet { .. }) => {}
                Err(e) => return Err(e.into()),
            },
        }
        let limits = Settings::read(app.store.path())?.limits;
        app.store.set_limits(limits);
        Ok(limits.into())
    });
    setting.await.map(Json)
}

/// As a person would write it into the file, where that is as exact.
fn written(bytes: u64) -> String {
    if bytes > 0 && bytes.is_multiple_of(GB) {
        format!("{}GB", bytes / GB)
    } else {
        format!("{bytes}B")
    }
}

impl From<Limits> for Limit {
    fn from(limits: Limits) -> Self {
        let Limits { max_bytes, low_percent, min_free_bytes } = limits;
        Self { max_bytes, min_free_bytes, low_percent }
    }
}
