//! What takes space, and what gives it back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::deletion::{Stays, keep};
use super::limit::Limit;
use super::problem::Problem;
use super::work::{Answer, change, look};
use crate::error::StoreError;
use crate::serve::app::App;
use crate::space::{self, EvictGoal, EvictOptions, Evicted};
use crate::store::Store;
use crate::verify;

/// What takes how much.
#[derive(Serialize, ToSchema)]
pub struct Space {
    /// Bytes that the store takes on the disk.
    physical: u64,
    /// Bytes that one revision needs.
    exclusive: u64,
    /// Bytes that several need, counted once.
    shared: u64,
    /// Bytes that only what is in the trash needs.
    trashed: u64,
    /// What the models would take without the store.
    apparent: u64,
    /// Bytes that are saved by sharing below the file.
    shared_physical: u64,
    disk_total: u64,
    /// Bytes of the disk that may be written.
    disk_free: u64,
    limit: Limit,
    /// When the blob that was not read for the longest time was, in seconds since the epoch.
    oldest_verified: Option<i64>,
    /// Whether some were not since they came.
    never_verified: bool,
}

/// A goal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// Bytes that the store is to take at most.
    max_bytes: u64,
}

/// How to clear.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Clearing {
    /// Only say what would happen.
    dry_run: bool,
}

/// A revision that goes.
#[derive(Serialize, ToSchema)]
pub struct Going {
    model: String,
    revision: String,
    /// The sum of its files' sizes.
    size: u64,
}

/// What went, or would.
#[derive(Serialize, ToSchema)]
pub struct Outcome {
    /// In the order in which they go.
    evicted: Vec<Going>,
    /// Bytes that come back now.
    freed_bytes: u64,
    /// Bytes that come back when what went to the trash leaves it.
    later_bytes: u64,
    /// What was in the way, and why.
    kept: Vec<Stays>,
    /// Bytes that the store took.
    before: u64,
    /// Bytes that it takes then.
    after: u64,
    /// What failed while everything else was done.
    failures: Vec<String>,
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/space", operation_id = "space",
    responses((status = OK, body = Space)),
)]
pub async fn show(State(app): State<Arc<App>>) -> Answer<Space> {
    look(&app, |app| Ok(Space::measure(&app.store)?)).await.map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/space/plan", operation_id = "evict_plan",
    request_body = Goal,
    responses((status = OK, body = Outcome)),
)]
pub async fn plan(State(app): State<Arc<App>>, Asked(goal): Asked<Goal>) -> Answer<Outcome> {
    let goal = EvictGoal::MaxBytes(goal.max_bytes);
    look(&app, move |app| carry_out(app, goal, true)).await.map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/space/evict", operation_id = "evict",
    request_body = Goal,
    responses((status = OK, body = Outcome), (status = CONFLICT, body = Problem)),
)]
pub async fn evict(State(app): State<Arc<App>>, Asked(goal): Asked<Goal>) -> Answer<Outcome> {
    let goal = EvictGoal::MaxBytes(goal.max_bytes);
    change(&app, move |app| carry_out(app, goal, false)).await.map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/space/clear", operation_id = "clear",
    request_body = Clearing,
    responses((status = OK, body = Outcome), (status = CONFLICT, body = Problem)),
)]
pub async fn clear(
    State(app): State<Arc<App>>,
    Asked(Clearing { dry_run }): Asked<Clearing>,
) -> Answer<Outcome> {
    let clearing = move |app: &App| carry_out(app, EvictGoal::Everything, dry_run);
    let done = if dry_run { look(&app, clearing).await } else { change(&app, clearing).await };
    done.map(Json)
}

/// What is cleared goes to the trash; where a number of bytes is the goal, they are needed now.
fn carry_out(app: &App, goal: EvictGoal, dry_run: bool) -> Result<Outcome, Problem> {
    let store = &app.store;
    let sizes = store.list()?.into_iter().map(|one| ((one.model, one.revision), one.size));
    let sizes: HashMap<_, _> = sizes.collect();
    let keep = if goal == EvictGoal::Everything { keep(store) } else { Duration::ZERO };
    let Evicted { freed, before, after } =
        space::evict(store, goal, EvictOptions { dry_run, keep })?;
    let going = |one: space::Gone| Going {
        model: one.model.to_string(),
        revision: one.revision.to_string(),
        size: sizes.get(&(one.model, one.revision)).copied().unwrap_or(0),
    };
    Ok(Outcome {
        evicted: freed.gone.into_iter().map(going).collect(),
        freed_bytes: freed.freed_bytes,
        later_bytes: freed.trashed_bytes,
        kept: freed.kept.into_iter().map(Stays::from).collect(),
        before,
        after,
        failures: freed.failures,
    })
}

impl Space {
    fn measure(store: &Store) -> Result<Self, StoreError> {
        let usage = space::usage(store)?;
        let room = store.layout().root.room()?;
        let (oldest_verified, never_verified) = verify::oldest(store)?;
        Ok(Self {
            physical: usage.physical,
            exclusive: usage.exclusive,
            shared: usage.shared,
            trashed: usage.trashed,
            apparent: usage.apparent,
            shared_physical: usage.shared_physical,
            disk_total: room.total,
            disk_free: room.available,
            limit: store.limits().into(),
            oldest_verified,
            never_verified,
        })
    }
}
