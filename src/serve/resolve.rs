//! The bytes of a file: from its blob, or as they come from the hub.

use std::net::IpAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, USER_AGENT,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, Response, StatusCode};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::app::App;
use super::fault::{Fault, REPO_COMMIT};
use super::journal::{self, Event};
use super::mirror::Question;
use super::origin::{Place, blocking};
use super::range::{Part, is_known};
use super::{files, local, sendable};
use crate::digest::Upstream;
use crate::error::{PullError, StoreError};
use crate::hub::RemoteFile;
use crate::hub::inflow::{Found, Passing, Reader, Span, Wanted};
use crate::model::{FilePath, ManifestFile};
use crate::open::file::open_one;
use crate::store::Resolved;

/// Who asks for more than this part of a file is going to want the rest, too.
const MOST: u64 = 2;

/// How long the head of an answer waits for its first bytes; clients wait for 10 seconds.
const FIRST: Duration = Duration::from_secs(5);

/// A file that exists, and what the store has of it.
struct Entry {
    file: RemoteFile,
    here: Option<(Resolved, ManifestFile)>,
}

/// Answers a request for a file; `raw`: for the pointer that stands for a large one.
pub(super) async fn file(
    question: &Question,
    place: Place,
    path: &str,
    raw: bool,
) -> Result<Response<Body>, Fault> {
    let app = &question.app;
    let path = FilePath::new(path).map_err(|_| Fault::no_entry(place.commit.as_str()))?;
    app.origin.check_access(&app.store, &place, &path, &question.caller).await?;
    let entry = find(question, &place, &path).await?;
    let pointer = files::pointer(&entry.file);
    if raw && !pointer.is_empty() {
        let mut response = Response::new(Body::from(pointer));
        describe(&mut response, &place, &entry.file, "")?;
        return Ok(response);
    }
    let digest = match &entry.file.upstream {
        Upstream::Sha256(digest) => digest.to_string(),
        Upstream::Git(digest) => digest.to_string(),
    };
    let etag = format!("\"{digest}\"");
    let size = entry.file.size;
    let mut response = Response::new(Body::empty());
    describe(&mut response, &place, &entry.file, &etag)?;
    let known = is_known(&question.headers, &etag);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let mut part = Part::of(&question.headers, size, &etag);
    // Who may have wrong bytes of it must not complete it with what is right.
    if let Part::Bytes { range, rest } = &part
        && range.start > 0
        && range.end == size
        && app.inflow.was_wrong(&entry.file.upstream).await
    {
        part = if *rest && begins_anew(question) { Part::Whole } else { Part::Beyond };
    }
    let headers = response.headers_mut();
    let (range, whole) = match part {
        Part::Whole => (0..size, true),
        // Clients that ask for the first byte of an empty file take this for its end.
        Part::Beyond if size == 0 => {
            headers.insert(CONTENT_RANGE, HeaderValue::from_static("bytes */0"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            return Ok(response);
        }
        Part::Beyond => {
            headers.insert(CONTENT_RANGE, value(&format!("bytes */{size}"))?);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok(response);
        }
        Part::Bytes { range, rest } => {
            let last = range.end.saturating_sub(1);
            headers.insert(CONTENT_RANGE, value(&format!("bytes {}-{last}/{size}", range.start))?);
            let most = range.end - range.start > size / MOST;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (range, rest || most)
        }
    };
    let len = range.end - range.start;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(len));
    if question.method == Method::GET {
        *response.body_mut() = body(question, &place, entry, Span { bytes: range, whole })
            .await
            .map_err(Fault::of_body)?;
    }
    Ok(response)
}

/// Whether the client takes a whole file in answer to a range for what it is. Others append it to
/// what they have.
fn begins_anew(question: &Question) -> bool {
    let agent = question.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    agent.is_some_and(|agent| agent.contains("hf_hub/"))
}

async fn find(question: &Question, place: &Place, path: &FilePath) -> Result<Entry, Fault> {
    let app = &question.app;
    if let Some(here) = &place.here
        && let Some(kept) = app.manifest(here).await?.file(path).cloned()
        && let Some(file) = local::file(app, &kept).await?
    {
        return Ok(Entry { file, here: Some((here.clone(), kept)) });
    }
    let files = question.files(place).await?;
    let found = files::find(&files, path.as_str()).cloned();
    let file = found.ok_or_else(|| Fault::no_entry(place.commit.as_str()))?;
    Ok(Entry { file, here: None })
}

async fn body(question: &Question, place: &Place, entry: Entry, span: Span) -> Result<Body, Fault> {
    let app = &question.app;
    let len = span.bytes.end - span.bytes.start;
    if len == 0 {
        return Ok(Body::empty());
    }
    if let Some((revision, kept)) = entry.here {
        let (store, bytes) = (app.store.clone(), span.bytes.clone());
        let (of, used) = (revision.clone(), app.is_use_due(&revision));
        let opening = move || {
            let lease = match store.lease(&of) {
                Ok(lease) => lease,
                // Evicted just now.
                Err(StoreError::NotFound { .. }) => return Ok(None),
                Err(e) => return Err(e.into()),
            };
            if used {
                store.touch(&of.manifest);
            }
            match open_one(&store, &kept) {
                Ok(file) => Ok(Some(mapped(file, kept.size, lease, bytes)?)),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(e @ StoreError::BlobDamaged { .. }) => {
                    log::error!("{}@{}: {}: {e}", of.model, of.revision.short(), kept.path);
                    Ok(None)
                }
                Err(e) => Err(e.into()),
            }
        };
        if let Some(bytes) = blocking(opening).await? {
            app.metrics.hits.inc();
            app.metrics.served_bytes.inc_by(len);
            return Ok(Body::from(bytes));
        }
        if place.is_local {
            app.metrics.damaged.inc();
            return Err(local::damaged(&entry.file.path));
        }
    }
    app.metrics.misses.inc();
    let wanted = Wanted {
        client: app.origin.client(&question.caller)?,
        model: place.model.clone(),
        commit: place.commit.clone(),
        references: place.references.clone(),
        tree: question.files(place).await?,
    };
    let bytes = span.bytes.clone();
    match app.inflow.open(&wanted, &entry.file, span).await {
        Ok(Found::Coming(reader)) => coming(Source::Shared(reader), len, question).await,
        Ok(Found::Passing(reader)) => coming(Source::Alone(reader), len, question).await,
        Ok(Found::Here(blob)) => {
            // It came with another model.
            let RemoteFile { path, size, .. } = entry.file;
            let kept = ManifestFile { path, size, blob, sha256: None, git: None };
            let store = app.store.clone();
            let opening = move || mapped(open_one(&store, &kept)?, size, (), bytes);
            let bytes = blocking(opening).await?;
            app.metrics.served_bytes.inc_by(len);
            Ok(Body::from(bytes))
        }
        Err(error) => Err((&*error).into()),
    }
}

/// These bytes of a file, which the kernel sends.
fn mapped(
    file: std::fs::File,
    size: u64,
    hold: impl Send + 'static,
    range: Range<u64>,
) -> Result<Bytes, Fault> {
    let failed = |e: std::io::Error| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string());
    let bytes = sendable::bytes(file, size, hold).map_err(failed)?;
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    Ok(bytes.slice(index(range.start)..index(range.end)))
}

/// What is told of a file whatever becomes of its bytes.
fn describe(
    response: &mut Response<Body>,
    place: &Place,
    file: &RemoteFile,
    etag: &str,
) -> Result<(), Fault> {
    const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
    const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
    const EXPOSED: HeaderName = HeaderName::from_static("access-control-expose-headers");
    let headers = response.headers_mut();
    headers.insert(REPO_COMMIT, value(place.commit.as_str())?);
    // Whatever it is, here it is bytes: no page of a repository runs in this server's name.
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let name = file.path.as_str().rsplit('/').next().unwrap_or_default();
    let quoted = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename*=UTF-8''{quoted}");
    headers.insert(CONTENT_DISPOSITION, value(&disposition)?);
    if etag.is_empty() {
        return Ok(());
    }
    headers.insert(ETAG, value(etag)?);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if matches!(file.upstream, Upstream::Sha256(_)) {
        headers.insert(LINKED_ETAG, value(etag)?);
        headers.insert(LINKED_SIZE, HeaderValue::from(file.size));
    }
    let exposed = "X-Repo-Commit,X-Error-Code,X-Error-Message,ETag,Link,Accept-Ranges,\
                   Content-Range,X-Linked-Size,X-Linked-ETag";
    headers.insert(EXPOSED, HeaderValue::from_static(exposed));
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue, Fault> {
    HeaderValue::from_str(text)
        .map_err(|e| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

/// Whose bytes they are that come from the hub.
enum Source {
    /// All readers', and the store's.
    Shared(Reader),
    Alone(Box<Passing>),
}

impl Source {
    async fn next(&mut self) -> Given {
        match self {
            Self::Shared(reader) => reader.next().await,
            Self::Alone(reader) => reader.next().await,
        }
    }
}

/// The body of an answer that comes from the hub, once its first bytes do.
async fn coming(mut source: Source, len: u64, question: &Question) -> Result<Body, Fault> {
    // Trouble that shows at once is told in the head, and clients come again.
    let first = match tokio::time::timeout(FIRST, source.next()).await {
        Ok(Err(error)) => return Err((&*error).into()),
        Ok(Ok(first)) => first,
        Err(_) => None,
    };
    let next: Next = match first {
        Some(first) => Box::pin(async { (source, Ok(Some(first))) }),
        None => read(source),
    };
    let (app, peer, path) = (question.app.clone(), question.peer, question.path.clone());
    Ok(Body::new(Coming { next: Some(next), left: len, app, peer, path }))
}

/// Bytes that come from the hub.
struct Coming {
    next: Option<Next>,
    left: u64,
    app: Arc<App>,
    peer: IpAddr,
    /// What was asked for.
    path: String,
}

impl Coming {
    /// The status went long ago: only the journal can say why the answer is short.
    fn tell(&self, error: &PullError) {
        let event = Event { what: "bytes", status: StatusCode::BAD_GATEWAY, peer: self.peer };
        self.app.journal.tell(event, || {
            let (path, left) = (journal::shown(&self.path), self.left);
            format!("{path}: the answer ended {left} bytes early: {error}")
        });
    }
}

type Given = Result<Option<Bytes>, Arc<PullError>>;
type Next = Pin<Box<dyn Future<Output = (Source, Given)> + Send>>;

fn read(mut source: Source) -> Next {
    Box::pin(async move {
        let given = source.next().await;
        (source, given)
    })
}

impl http_body::Body for Coming {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let Poll::Ready((source, given)) = next.as_mut().poll(cx) else { return Poll::Pending };
        self.next = None;
        match given {
            Ok(None) => Poll::Ready(None),
            Ok(Some(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.app.metrics.served_bytes.inc_by(bytes.len() as u64);
                self.next = Some(read(source));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            // The answer ends short: clients go on from there.
            Err(e) => {
                self.tell(&e);
                Poll::Ready(Some(Err(std::io::Error::other(e.to_string()))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
