//! A hub's answers, from what the store has and the hub says.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST, LINK};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use super::app::App;
use super::fault::{Fault, REPO_COMMIT};
use super::files::{self, Entry};
use super::guard::Caller;
use super::local;
use super::origin::Place;
use super::resolve;
use super::route::{NoRoute, Route};
use crate::error::HubError;
use crate::hub::{Forwarded, RemoteFile};
use crate::model::ModelId;

/// How many entries a page of a listing has.
const PAGE: usize = 1000;
/// What this server's own cursors begin with; behind it stands the last path of the page before.
const OURS: &str = "after:";
/// The longest list of paths that is asked for, in bytes.
const MAX_ASKED: usize = 1 << 20;

/// What somebody asks, and who.
pub(super) struct Question {
    pub app: Arc<App>,
    pub peer: IpAddr,
    pub caller: Caller,
    pub method: Method,
    pub headers: HeaderMap,
    /// As it was sent.
    pub path: String,
    pub query: String,
}

/// Answers what a hub's client asks.
pub(super) async fn answer(app: Arc<App>, caller: Caller, request: Request) -> Response<Body> {
    let peer = super::peer(&request);
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let is_api = path.starts_with("/api/");
    let (method, headers) = (parts.method, parts.headers);
    let question = Question { app, peer, caller, method, headers, path, query };
    let done = match Route::parse(&question.path) {
        Ok(route) => question.answer(route, body).await,
        Err(NoRoute::Unknown) => Err(Fault::not_found("Not found")),
        Err(NoRoute::Malformed) => {
            Err(Fault::new(StatusCode::BAD_REQUEST, "this is not the name of a repository or file"))
        }
    };
    done.unwrap_or_else(|fault| fault.answer(is_api))
}

impl Question {
    async fn answer(&self, route: Route, body: Body) -> Result<Response<Body>, Fault> {
        let is_post = matches!(route, Route::PathsInfo { .. });
        let reads = self.method == Method::GET || self.method == Method::HEAD;
        if (is_post && self.method != Method::POST) || (!is_post && !reads) {
            return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"));
        }
        match route {
            Route::Whoami => self.whoami().await,
            Route::Search => Err(Fault::not_found("this mirror does not search")),
            Route::Info { model, revision } => self.info(&model, revision.as_deref()).await,
            Route::Tree { model, revision, under } => self.tree(&model, &revision, &under).await,
            Route::PathsInfo { model, revision } => self.paths_info(&model, &revision, body).await,
            Route::Refs { model } => self.refs(&model).await,
            Route::Commits { model, revision } => self.commits(&model, &revision).await,
            Route::AuthCheck { model } => self.auth_check(&model).await,
            Route::File { model, revision, path, raw } => {
                let place = self.place(&model, &revision).await?;
                resolve::file(self, place, &path, raw).await
            }
        }
    }

    pub async fn place(&self, model: &ModelId, revision: &str) -> Result<Place, Fault> {
        self.app.origin.place(&self.app.store, model, revision, &self.caller).await
    }

    /// All files of a revision.
    pub async fn files(&self, place: &Place) -> Result<Arc<Vec<RemoteFile>>, Fault> {
        if let Some(here) = place.here.as_ref().filter(|_| place.is_local) {
            return local::files(&self.app, here).await;
        }
        let files = self.app.origin.files(&self.app.store, place, &self.caller).await?;
        // A part of a list must not be taken for all of it.
        files.ok_or_else(|| {
            Fault::offline(&format!("the list of files of {}@{}", place.model, place.commit))
        })
    }

    async fn whoami(&self) -> Result<Response<Body>, Fault> {
        if self.app.origin.is_offline() {
            return Err(Fault::offline("who a token belongs to"));
        }
        let who = self.app.origin.client(&self.caller)?.whoami_value().await?;
        Ok(json(&who, None))
    }

    async fn info(&self, model: &ModelId, revision: Option<&str>) -> Result<Response<Body>, Fault> {
        let place = self.place(model, revision.unwrap_or("main")).await?;
        if !place.is_local && !self.app.origin.is_offline() {
            let path = ["revision", place.commit.as_str()];
            match self.ask(model, &path).await {
                Ok(said) => return Ok(json(&stripped(said.value), Some(&place))),
                // What is known is better than nothing.
                Err(e) if e.is_retryable() => {}
                Err(e) => return Err(e.into()),
            }
        }
        let files = self.files(&place).await?;
        let blobs = self.is_set("blobs");
        let siblings: Vec<_> = files.iter().map(|file| files::sibling(file, blobs)).collect();
        let (_, name) = model.split_prefix();
        let author = name.split_once('/').map(|(author, _)| author);
        let info = json!({
            "_id": place.commit.as_str().get(..24), "id": name, "modelId": name, "author": author,
            "sha": place.commit.as_str(), "private": false, "gated": false, "disabled": false,
            "tags": [], "downloads": 0, "likes": 0, "siblings": siblings,
            "lastModified": "1970-01-01T00:00:00.000Z", "createdAt": "1970-01-01T00:00:00.000Z",
        });
        Ok(json(&info, Some(&place)))
    }

    async fn tree(
        &self,
        model: &ModelId,
        revision: &str,
        under: &str,
    ) -> Result<Response<Body>, Fault> {
        let place = self.place(model, revision).await?;
        // Who began with one list goes on with it: two would not be one whole.
        let cursor = self.value("cursor");
        let after = cursor.as_deref().map(|cursor| cursor.strip_prefix(OURS));
        let is_theirs = after == Some(None);
        let is_known = after.is_some_and(|after| after.is_some());
        let may_ask = !place.is_local && !self.app.origin.is_offline();
        if is_theirs && !may_ask {
            return Err(Fault::offline(&format!("the rest of the hub's list of files of {model}")));
        }
        if may_ask && !is_known && (is_theirs || self.is_set("expand")) {
            let path: Vec<_> = ["tree", place.commit.as_str()]
                .into_iter()
                .chain(under.split('/').filter(|segment| !segment.is_empty()))
                .collect();
            match self.ask(model, &path).await {
                Ok(said) => {
                    let next = said.next.map(|query| self.here(&query));
                    return Ok(paged(json(&stripped(said.value), Some(&place)), next));
                }
                Err(e) if e.is_retryable() && !is_theirs => {}
                Err(e) => return Err(e.into()),
            }
        }
        let files = self.files(&place).await?;
        let entries = files::below(&files, under, self.is_set("recursive"))
            .ok_or_else(|| Fault::no_entry(place.commit.as_str()))?;
        let after = after.flatten();
        let most = self.value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE);
        let most = most.clamp(1, PAGE);
        let from = after.map_or(0, |after| entries.partition_point(|entry| entry.path() <= after));
        let page: Vec<_> = entries.iter().skip(from).take(most).collect();
        let next = page.last().filter(|_| from + page.len() < entries.len()).map(|last| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
                if name != "cursor" {
                    query.append_pair(&name, &value);
                }
            }
            self.here(
                query.append_pair("cursor", &format!("{OURS}{}", last.path())).finish().as_str(),
            )
        });
        let page: Vec<Value> = page.into_iter().map(|entry| entry.to_json()).collect();
        Ok(paged(json(&Value::Array(page), Some(&place)), next))
    }

    async fn paths_info(
        &self,
        model: &ModelId,
        revision: &str,
        body: Body,
    ) -> Result<Response<Body>, Fault> {
        let bytes = axum::body::to_bytes(body, MAX_ASKED).await.map_err(|_| {
            Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "the list of paths is too long")
        })?;
        let is_json = self
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let Paths { paths, expand } = if is_json {
            let asked = serde_json::from_slice(&bytes);
            asked.map_err(|e| Fault::new(StatusCode::BAD_REQUEST, e.to_string()))?
        } else {
            Paths::of_form(&bytes)
        };
        let place = self.place(model, revision).await?;
        if expand && !place.is_local && !self.app.origin.is_offline() {
            match self.app.origin.about_paths(&self.caller, &place, &paths).await {
                Ok(lines) => return Ok(json(&stripped(Value::Array(lines)), Some(&place))),
                // What is known is better than nothing.
                Err(e) if e.is_retryable() => {}
                Err(e) => return Err(e.into()),
            }
        }
        let files = self.files(&place).await?;
        let found = paths.iter().filter_map(|path| files::at(&files, path)).map(Entry::to_json);
        Ok(json(&found.collect(), Some(&place)))
    }

    async fn refs(&self, model: &ModelId) -> Result<Response<Body>, Fault> {
        let local = local::refs(&self.app, model).await?;
        if let Some(only_here) = local.as_ref().filter(|refs| refs.are_local) {
            return Ok(json(&only_here.to_json(self.is_set("include_prs")), None));
        }
        let error = if self.app.origin.is_offline() {
            HubError::Offline { url: format!("the list of branches of {model}") }
        } else {
            match self.ask(model, &["refs"]).await {
                Ok(said) => return Ok(json(&said.value, None)),
                Err(error) => error,
            }
        };
        let known = local.filter(|refs| refs.are_public && !refs.are_unknown());
        match known {
            Some(refs) if error.is_retryable() || self.app.origin.is_offline() => {
                Ok(json(&refs.to_json(self.is_set("include_prs")), None))
            }
            _ => Err(error.into()),
        }
    }

    async fn commits(&self, model: &ModelId, revision: &str) -> Result<Response<Body>, Fault> {
        let place = self.place(model, revision).await?;
        if place.is_local || self.app.origin.is_offline() {
            let title = "as it is in this store";
            let one = json!([{
                "id": place.commit.as_str(), "title": title, "message": "", "authors": [],
                "date": "1970-01-01T00:00:00.000Z",
            }]);
            return Ok(json(&one, Some(&place)));
        }
        let said = self.ask(model, &["commits", place.commit.as_str()]).await?;
        let next = said.next.map(|query| self.here(&query));
        Ok(paged(json(&said.value, Some(&place)), next))
    }

    async fn auth_check(&self, model: &ModelId) -> Result<Response<Body>, Fault> {
        let place = self.place(model, "main").await?;
        let files = self.files(&place).await?;
        if let Some(file) = files.first() {
            let app = &self.app;
            app.origin.check_access(&app.store, &place, &file.path, &self.caller).await?;
        }
        Ok(json(&json!({}), None))
    }

    /// Asks the hub the same about a repository.
    async fn ask(&self, model: &ModelId, path: &[&str]) -> Result<Forwarded, HubError> {
        self.app.origin.about(&self.caller, model, path, self.query()).await
    }

    fn query(&self) -> Option<&str> {
        Some(self.query.as_str()).filter(|query| !query.is_empty())
    }

    /// The value of a parameter.
    fn value(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| is_true(&value))
    }

    /// What was asked for, with another query, as the client knows this server.
    fn here(&self, query: &str) -> String {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        // A proxy in front says so when it speaks TLS.
        let scheme = text("x-forwarded-proto").filter(|s| *s == "https").unwrap_or("http");
        let host = text(HOST.as_str()).unwrap_or("localhost");
        format!("{scheme}://{host}{}?{query}", self.path)
    }
}

/// Paths that somebody asks about.
#[derive(Debug, Default, serde::Deserialize)]
struct Paths {
    paths: Vec<String>,
    /// Whether to tell all that is known of them.
    #[serde(default)]
    expand: bool,
}

impl Paths {
    fn of_form(form: &[u8]) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            match &*name {
                "paths" => asked.paths.push(value.into_owned()),
                "expand" => asked.expand = is_true(&value),
                _ => {}
            }
        }
        asked
    }
}

/// As clients of several languages write it.
fn is_true(value: &str) -> bool {
    ["true", "True", "1", ""].contains(&value)
}

/// An answer of the API.
pub(super) fn json(value: &Value, place: Option<&Place>) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    let commit = place.and_then(|place| HeaderValue::from_str(place.commit.as_str()).ok());
    if let Some(commit) = commit {
        headers.insert(REPO_COMMIT, commit);
    }
    response
}

fn paged(mut response: Response<Body>, next: Option<String>) -> Response<Body> {
    let link = next.and_then(|url| HeaderValue::from_str(&format!("<{url}>; rel=\"next\"")).ok());
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}

/// Without what leads clients to another protocol, which this mirror does not speak.
fn stripped(mut value: Value) -> Value {
    match &mut value {
        Value::Array(lines) => {
            for line in lines {
                *line = stripped(line.take());
            }
        }
        Value::Object(map) => {
            map.remove("xetHash");
            if let Some(siblings) = map.get_mut("siblings") {
                *siblings = stripped(siblings.take());
            }
        }
        _ => {}
    }
    value
}
