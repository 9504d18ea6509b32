//! What was removed and can be brought back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::ask::Named;
use super::problem::Problem;
use super::work::{Answer, change, look};
use crate::error::StoreError;
use crate::model::{ModelSpec, RefName};
use crate::serve::app::App;
use crate::store::{Store, Trashed};

/// A revision in the trash.
#[derive(Serialize, ToSchema)]
pub struct InTrash {
    model: String,
    revision: String,
    /// The branches and tags that pointed to it.
    refs: Vec<String>,
    files: u64,
    /// The sum of its files' sizes.
    size: u64,
    /// When it may go for good, in seconds since the epoch.
    until: i64,
}

/// All of it, what goes next first.
#[derive(Serialize, ToSchema)]
pub struct Trash {
    trashed: Vec<InTrash>,
}

/// What came back.
#[derive(Serialize, ToSchema)]
pub struct Restored {
    /// The branches and tags that point to it again.
    refs: Vec<String>,
}

#[utoipa::path(
    get, path = "/api/tonnage/v1/trash", operation_id = "trash",
    responses((status = OK, body = Trash)),
)]
pub async fn list(State(app): State<Arc<App>>) -> Answer<Trash> {
    let looking = look(&app, |app| {
        let trashed = app.store.trashed()?.into_iter().map(InTrash::from).collect();
        Ok(Trash { trashed })
    });
    looking.await.map(Json)
}

#[utoipa::path(
    post, path = "/api/tonnage/v1/trash/{spec}/restore", operation_id = "restore",
    params(("spec" = String, Path, description = "org/name@revision, as one segment")),
    responses((status = OK, body = Restored), (status = NOT_FOUND, body = Problem)),
)]
pub async fn restore(
    State(app): State<Arc<App>>,
    Named(spec): Named<ModelSpec>,
) -> Answer<Restored> {
    let restoring = change(&app, move |app| {
        let one = find(&app.store, &spec)?;
        Ok(Restored { refs: texts(&app.store.restore(&one)?) })
    });
    restoring.await.map(Json)
}

/// The one revision in the trash that is meant.
fn find(store: &Store, spec: &ModelSpec) -> Result<Trashed, Problem> {
    let is_meant = |one: &Trashed| {
        one.model == spec.model
            && spec.at.as_ref().is_none_or(|at| {
                let digits = at.as_str();
                one.refs.contains(at)
                    || (digits.len() >= 4 && one.revision.as_str().starts_with(digits))
            })
    };
    let mut meant = store.trashed()?.into_iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(meant);
            let candidates = all.map(|one| format!("@{}", one.revision.short())).collect();
            Err(StoreError::Ambiguous { spec: spec.clone(), candidates }.into())
        }
        (None, _) => Err(Problem::not_found(format!("{spec} is not in the trash"))),
    }
}

fn texts(refs: &[RefName]) -> Vec<String> {
    refs.iter().map(ToString::to_string).collect()
}

impl From<Trashed> for InTrash {
    fn from(one: Trashed) -> Self {
        Self {
            model: one.model.to_string(),
            revision: one.revision.to_string(),
            refs: texts(&one.refs),
            files: one.files,
            size: one.size,
            until: one.until,
        }
    }
}
