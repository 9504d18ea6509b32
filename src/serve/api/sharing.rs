//! What models have in common.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::families::{self, Families, MOST};
use super::problem::Problem;
use super::verify::find;
use super::work::{Answer, look};
use crate::dedup;
use crate::progress::Progress;
use crate::serve::app::App;

/// What is to be compared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// `org/name@revision` each.
    models: Vec<String>,
}

/// A model that was compared.
#[derive(Serialize, ToSchema)]
pub struct Member {
    name: String,
    /// Its bytes, each content once.
    bytes: u64,
    /// Those that no other member has.
    exclusive: u64,
}

/// How much of each member is in each other one.
#[derive(Serialize, ToSchema)]
pub struct Matrix {
    /// In the order in which they were asked for.
    members: Vec<Member>,
    /// For each member a row: how many of its bytes each member has, itself too.
    equal: Vec<Vec<u64>>,
    /// The sum of all members' bytes.
    bytes: u64,
    /// Their bytes with nothing counted twice.
    unique: u64,
    /// Bytes of the disk that they take together.
    physical: u64,
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/sharing", operation_id = "families",
    responses((status = OK, body = Families)),
)]
pub async fn families(State(app): State<Arc<App>>) -> Answer<Families> {
    look(&app, |app| Ok(families::of(&app.store)?)).await.map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/sharing/matrix", operation_id = "matrix",
    request_body = Wanted,
    responses(
        (status = OK, body = Matrix),
        (status = BAD_REQUEST, body = Problem),
        (status = NOT_FOUND, body = Problem),
    ),
)]
pub async fn matrix(State(app): State<Arc<App>>, Asked(wanted): Asked<Wanted>) -> Answer<Matrix> {
    if wanted.models.is_empty() || wanted.models.len() > MOST {
        return Err(Problem::usage(format!("name 1 to {MOST} models")));
    }
    let progress = Arc::new(Progress::new());
    // This future is dropped when the client goes away.
    let _cancel = CancelOnDrop(progress.clone());
    let comparing = look(&app, move |app| {
        let revisions = find(&app.store, &wanted.models)?;
        Ok(dedup::matrix(&app.store, &revisions, &progress)?)
    });
    comparing.await.map(|found| Json(found.into()))
}

struct CancelOnDrop(Arc<Progress>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl From<dedup::Matrix> for Matrix {
    fn from(found: dedup::Matrix) -> Self {
        let dedup::Matrix { members, equal, bytes, unique, physical } = found;
        let member = |one: dedup::Member| Member {
            name: one.name,
            bytes: one.bytes,
            exclusive: one.exclusive,
        };
        let members = members.into_iter().map(member).collect();
        Self { members, equal, bytes, unique, physical }
    }
}
