//! The JSON API that the page, and whoever likes, looks after the store with.
//!
//! Who may: [`Guard::check_change`](super::guard::Guard::check_change), for every route. What there is
//! to ask is in the OpenAPI document, which is made from the code that answers.

mod ask;
mod deletion;
mod document;
mod downloads;
mod events;
mod families;
mod limit;
mod models;
mod news;
mod plan;
mod problem;
mod queue;
mod sharing;
mod space;
mod status;
mod trash;
mod verification;
mod verify;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, post, put};

use super::app::App;
use super::fault::Fault;
use super::guard::Caller;

pub(super) use news::News;
pub(super) use problem::Problem;
pub(super) use queue::Downloads;
pub(super) use verification::Verification;

/// Where it is.
pub(super) const PREFIX: &str = "/api/tonnage";
/// The largest body of a request, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Whether a path is one of this API.
pub(super) fn is_for(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All routes, below [`PREFIX`].
pub(super) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = Router::new();
    for (path, methods) in table() {
        router = router.route(path, methods);
    }
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(app.clone(), guard))
}

fn table() -> [(&'static str, MethodRouter<Arc<App>>); 24] {
    [
        ("/openapi.json", get(document::show)),
        ("/v1/status", get(status::show)),
        ("/v1/models", get(models::list)),
        ("/v1/models/{spec}", get(models::show).delete(deletion::delete)),
        ("/v1/models/{spec}/pin", post(models::pin)),
        ("/v1/trash", get(trash::list)),
        ("/v1/trash/{spec}/restore", post(trash::restore)),
        ("/v1/plan", post(plan::plan)),
        ("/v1/downloads", get(downloads::list).post(downloads::begin)),
        ("/v1/downloads/{id}", delete(downloads::forget)),
        ("/v1/downloads/{id}/pause", post(downloads::pause)),
        ("/v1/downloads/{id}/resume", post(downloads::resume)),
        ("/v1/downloads/{id}/cancel", post(downloads::cancel)),
        ("/v1/downloads/{id}/retry", post(downloads::retry)),
        ("/v1/space", get(space::show)),
        ("/v1/space/plan", post(space::plan)),
        ("/v1/space/evict", post(space::evict)),
        ("/v1/space/clear", post(space::clear)),
        ("/v1/space/limit", put(limit::set)),
        ("/v1/verify", get(verify::show).post(verify::begin)),
        ("/v1/verify/cancel", post(verify::cancel)),
        ("/v1/sharing", get(sharing::families)),
        ("/v1/sharing/matrix", post(sharing::matrix)),
        ("/v1/events", get(events::listen)),
    ]
}

/// Lets nobody in who may only read models, nor another site's page.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let checked = match request.extensions().get::<Caller>() {
        Some(caller) => app.guard.check_change(request.method(), request.headers(), caller),
        None => Err(Fault::bad_token()),
    };
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(fault) => Problem::from(fault).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(super) async fn nowhere() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

async fn wrong_method() -> Problem {
    let message = "this path has other methods than this one";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "usage", message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_in_the_document() {
        let routes: BTreeSet<_> =
            super::table().iter().map(|(path, _)| format!("{}{path}", super::PREFIX)).collect();
        let document = super::document::document();
        assert_eq!(routes, document.paths.paths.into_keys().collect());
    }
}
