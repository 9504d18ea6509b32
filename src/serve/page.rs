//! The page to look after the store with: files that are part of the program.
//!
//! They have nobody's data, and the page asks for the token by itself; so they are given without one,
//! but only by a name of this server.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::Response;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;

use super::app::App;
use super::fault::Fault;

/// Nothing comes from elsewhere, and nobody else shows the page as a part of theirs.
const POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A file's name, and its bytes.
type Asset = (&'static str, &'static [u8]);

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("page/", $name)).as_slice())),*]
    };
}

const ASSETS: &[Asset] = &assets![
    "api.js",
    "app.js",
    "ask.js",
    "dom.js",
    "download.js",
    "downloads.js",
    "events.js",
    "files.js",
    "format.js",
    "icon.svg",
    "index.html",
    "limit.js",
    "models.js",
    "parts.js",
    "sharing.js",
    "state.js",
    "storage.js",
    "style.css",
    "trash.js",
    "upkeep.js",
    "verify.js",
];

pub(super) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|| async { asset("index.html") }))
        .route("/page/{name}", get(|Path(name): Path<String>| async move { asset(&name) }))
        .layer(from_fn_with_state(app.clone(), admit))
}

/// Refuses names that are not this server's.
async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    match app.guard.admit_page(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.answer(false),
    }
}

fn asset(name: &str) -> Response<Body> {
    let Some((_, bytes)) = ASSETS.iter().find(|(known, _)| *known == name) else {
        return Fault::not_found("Not found").answer(false);
    };
    let mut response = Response::new(Body::from(Bytes::from_static(bytes)));
    let headers = response.headers_mut();
    for (header, value) in [
        (CONTENT_TYPE, kind(name)),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(header, HeaderValue::from_static(value));
    }
    response
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_part_of_the_program() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/page");
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        let mut known: Vec<_> = ASSETS.iter().map(|(name, _)| *name).collect();
        known.sort_unstable();
        assert_eq!(known, names);
        assert!(names.iter().all(|name| kind(name) != "application/octet-stream"));
    }
}
