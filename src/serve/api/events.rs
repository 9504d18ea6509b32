//! What changes, told as it does.
//!
//! Every listener hears the whole state when it comes and then whenever it changed, a few times a
//! second at most: so all of them end up with the same. What other processes change in the store is
//! seen by the times of its index and directories.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use http_body::Frame;
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::downloads::List;
use super::news::Versions;
use super::work::look;
use crate::serve::app::App;
use crate::store::Store;

/// The least time between two reports.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked whether others changed the store.
const LOOK: Duration = Duration::from_secs(1);
/// How often something is sent although nothing happens.
const ALIVE: Duration = Duration::from_secs(15);

#[utoipa::path(
    get, path = "/api/tonnage/v1/events", operation_id = "events",
    responses((
        status = OK, content_type = "text/event-stream", body = String,
        description = "`downloads`: the list of downloads; `verify`: how far the verification is; \
                       `store`: models, trash or space changed, ask again",
    )),
)]
pub async fn listen(State(app): State<Arc<App>>) -> Response<Body> {
    let (to, from) = channel(1);
    tokio::spawn(tell(app, to));
    let mut response = Response::new(Body::new(Stream(from)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Tells one listener everything until it leaves, or the server stops.
async fn tell(app: Arc<App>, to: Sender<Bytes>) {
    let mut news = app.news.subscribe();
    let (mut looks, mut alive) = (interval(LOOK), interval(ALIVE));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Versions> = None;
    let mut seen = Mark::default();
    loop {
        let now = *news.borrow_and_update();
        if now.closed {
            return;
        }
        let is_new =
            |version: fn(&Versions) -> u64| told.as_ref().map(version) != Some(version(&now));
        let mut text = String::new();
        if is_new(|versions| versions.downloads) {
            text += &event("downloads", &List::of(&app));
        }
        if is_new(|versions| versions.verify) {
            text += &event("verify", &app.verification.told());
        }
        if is_new(|versions| versions.store) {
            // Whoever asks now sees all that was so far.
            seen = mark(&app).await;
            text += STORE;
        }
        told = Some(now);
        if !text.is_empty() {
            if to.send(text.into()).await.is_err() {
                return;
            }
            sleep(PAUSE).await;
        }
        let more = tokio::select! {
            changed = news.changed() => changed.is_ok().then_some(""),
            _ = looks.tick() => {
                let now = mark(&app).await;
                let is_same = now == seen;
                seen = now;
                Some(if is_same { "" } else { STORE })
            }
            _ = alive.tick() => Some(":\n\n"),
            () = to.closed() => None,
        };
        let Some(more) = more else { return };
        if !more.is_empty() && to.send(Bytes::from_static(more.as_bytes())).await.is_err() {
            return;
        }
    }
}

const STORE: &str = "event: store\ndata: {}\n\n";

fn event(name: &str, data: &impl Serialize) -> String {
    // No type that is told has a key that is no text.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

/// What every change of the store leaves: times, sizes and numbers of the index and of directories.
type Mark = [Option<(i64, i64, u64, u64)>; 3];

async fn mark(app: &Arc<App>) -> Mark {
    let looked = look(app, |app| Ok(mark_of(&app.store))).await;
    looked.unwrap_or_default()
}

fn mark_of(store: &Store) -> Mark {
    let mark = |of: Metadata| (of.mtime(), of.mtime_nsec(), of.size(), of.ino());
    ["index.redb", "used", "trash"].map(|name| store.path().join(name).metadata().ok().map(mark))
}

/// A body that has no end of its own.
struct Stream(Receiver<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
