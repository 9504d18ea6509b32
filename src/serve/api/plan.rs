//! What a download would fetch, and whether there is room for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::problem::Problem;
use super::work::{Answer, look};
use crate::error::{ErrorKind, StoreError};
use crate::hub::{self, FileState, PlannedFile, PullRequest, Selection};
use crate::model::ModelSpec;
use crate::serve::app::App;
use crate::space::{self, EvictGoal, EvictOptions};
use crate::store::Store;

/// What is wanted of the hub.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// `org/name`, or `org/name@` and a branch, a tag or a commit.
    model: String,
    /// Patterns of which a file's path must match one; none: every path does.
    #[serde(default)]
    include: Vec<String>,
    /// Patterns of which a file's path must not match any.
    #[serde(default)]
    exclude: Vec<String>,
}

/// How much of a file is here.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Here,
    Partial,
    Missing,
}

/// A file that is wanted.
#[derive(Serialize, ToSchema)]
pub struct File {
    path: String,
    size: u64,
    /// Bytes of it that are here.
    have: u64,
    state: Presence,
}

/// Whether there is room for what is missing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fits {
    Yes,
    /// When models are evicted for it, and that is what a download does.
    Evicting,
    No,
}

/// What a download would do.
#[derive(Serialize, ToSchema)]
pub struct Plan {
    model: String,
    commit: String,
    files: Vec<File>,
    /// Bytes of the wanted files, those that are there twice counted once.
    total_bytes: u64,
    /// Those of them that are here.
    have_bytes: u64,
    /// Those that would be fetched.
    new_bytes: u64,
    /// Bytes that may be written now, within disk and limit.
    free_bytes: u64,
    /// Bytes that would come back if all went that may be evicted.
    evictable_bytes: u64,
    fits: Fits,
    /// Whether the revision is here, with all of these files.
    is_here: bool,
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/plan", operation_id = "plan",
    request_body = Wanted,
    responses(
        (status = OK, body = Plan),
        (status = NOT_FOUND, body = Problem),
        (status = BAD_GATEWAY, body = Problem),
    ),
)]
pub async fn plan(State(app): State<Arc<App>>, Asked(wanted): Asked<Wanted>) -> Answer<Plan> {
    let plan = app.manager.plan(wanted.request()?).await?;
    look(&app, move |app| Ok(Plan::new(&app.store, plan)?)).await.map(Json)
}

impl Wanted {
    /// The same as the hub's client understands it.
    pub fn request(self) -> Result<PullRequest, Problem> {
        let spec: ModelSpec =
            self.model.parse().map_err(|e| Problem::usage(format!("model: {e}")))?;
        let Self { include, exclude, .. } = self;
        let selection = Selection { include, exclude, ..Selection::default() };
        Ok(PullRequest { selection, ..spec.into() })
    }
}

impl Plan {
    fn new(store: &Store, plan: hub::Plan) -> Result<Self, StoreError> {
        let options = EvictOptions { dry_run: true, ..EvictOptions::default() };
        let all = space::evict(store, EvictGoal::MaxBytes(0), options)?;
        Ok(Self {
            total_bytes: plan.total_bytes(),
            have_bytes: plan.have_bytes(),
            new_bytes: plan.new_bytes(),
            free_bytes: store.left()?,
            evictable_bytes: all.freed.freed_bytes,
            fits: fits(store, plan.new_bytes())?,
            is_here: plan.is_here,
            model: plan.model.to_string(),
            commit: plan.commit.to_string(),
            files: plan.files.iter().map(File::from).collect(),
        })
    }
}

fn fits(store: &Store, bytes: u64) -> Result<Fits, StoreError> {
    if bytes == 0 {
        return Ok(Fits::Yes);
    }
    match space::room_for(store, bytes) {
        Ok(None) => Ok(Fits::Yes),
        Ok(Some(_)) => Ok(Fits::Evicting),
        Err(e) if e.kind() == ErrorKind::NoSpace => Ok(Fits::No),
        Err(e) => Err(e),
    }
}

impl From<&PlannedFile> for File {
    fn from(file: &PlannedFile) -> Self {
        let (state, have) = match file.state {
            FileState::Here => (Presence::Here, file.size),
            FileState::Partial(have) => (Presence::Partial, have.min(file.size)),
            FileState::Missing => (Presence::Missing, 0),
        };
        Self { path: file.path.to_string(), size: file.size, have, state }
    }
}
