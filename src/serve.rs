//! A store on the network: a mirror of the hub, and a page to look after the store.
//!
//! Any client of the hub downloads through a [`Server`] when its endpoint is set to it. What the store
//! has is sent from its blobs; what it does not have comes from the hub once, whoever asks, and is
//! stored on its way (see [`inflow`](crate::hub::inflow)). Without the hub it serves what is here.
//!
//! The hub is asked with the caller's token and nobody else's, so what is private stays so; only
//! downloads that somebody starts on the page use the server's own.

mod api;
mod app;
mod fault;
mod files;
mod guard;
mod journal;
mod listen;
mod local;
mod memo;
mod metrics;
mod mirror;
mod origin;
mod page;
mod range;
mod resolve;
mod route;
mod seats;
mod sendable;
mod settings;
mod socket;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{any, get};

use crate::error::ServeError;
use crate::hub::inflow::Inflow;
use crate::hub::{Client, Config, Retry};
use crate::manager::ModelManager;
use crate::space;
use crate::store::Store;

pub use guard::Tokens;

use app::App;
use fault::Fault;
use guard::{Caller, Guard};
use journal::{Event, Why};
use metrics::Measured;
use origin::Origin;

/// How a store is served.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The hub, and the token for downloads that are started on the page. Offline: what is here is
    /// served, and nobody is asked.
    pub hub: Config,
    /// Who may read, and look after the store. None: whoever is on this machine.
    pub tokens: Tokens,
    /// Anybody may read models, whatever the tokens.
    pub public_read: bool,
    /// Names that this server is reached by, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: std::net::TcpListener,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
struct Peer(IpAddr);

/// For how long the hub may want to be left alone before clients are sent away until then.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the hub is asked what somebody waits for, and how long it may want to be left alone
/// between: clients wait for 10 seconds.
const QUESTIONS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// How long the hub may say nothing: clients wait for 10 seconds.
const STALL: Duration = Duration::from_secs(8);

/// How many connections fetch one file from the hub: clients ask for several files at a time.
const JOBS: usize = 4;

impl Server {
    /// Listens on `addr`.
    ///
    /// # Errors
    /// [`ServeError::Exposed`] when the address can be reached from other machines and nothing says
    /// who may read, [`ServeError::Listen`], and what the hub's settings and the store say.
    pub fn bind(store: Arc<Store>, options: Options, addr: SocketAddr) -> Result<Self, ServeError> {
        let Options { hub, tokens, public_read, hosts } = options;
        if guard::is_exposed(addr, &tokens, public_read) {
            return Err(ServeError::Exposed { addr });
        }
        if !hub.offline && is_here(&hub.endpoint, addr) {
            return Err(ServeError::Circle { endpoint: hub.endpoint });
        }
        store.check_writable()?;
        let listen = |source| ServeError::Listen { addr, source };
        let listener = std::net::TcpListener::bind(addr).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        // Nobody's token goes with what others ask for; and who is to wait for long is told so.
        let retry = Retry { patience: hub.retry.patience.min(PATIENCE), ..hub.retry };
        let (answer, stall) = (hub.answer.min(STALL), hub.stall.min(STALL));
        let config = Config { token: None, retry, answer, stall, ..hub.clone() };
        let client = Client::new(config.clone())?;
        let retry = Retry { attempts: retry.attempts.min(QUESTIONS), patience: PAUSE, ..retry };
        let asks = Client::new(Config { retry, ..config })?;
        let manager = ModelManager::with_store(store.clone(), hub)
            .map_err(|e| ServeError::Manager(Box::new(e)))?;
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let guard = Guard { tokens, public_read, hosts };
        let app = App::new(manager, Origin::new(client, asks), Inflow::new(store, JOBS), guard);
        Ok(Self { app: Arc::new(app), listener })
    }

    /// The address: the port may have been chosen by the system.
    ///
    /// # Errors
    /// What the system says.
    pub fn addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, then lets answers that are under way end, and publishes what came.
    /// It must run on a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// What the system says of the listening socket.
    pub async fn run(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let router = routes(self.app.clone());
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let app = self.app.clone();
        let stop = async move {
            stop.await;
            // Answers that would not end by themselves.
            app.news.close();
            app.verification.cancel();
        };
        let following = tokio::spawn(settings::follow(self.app.clone()));
        listen::serve(listener, router, &self.app, stop).await;
        following.abort();
        self.app.downloads.close(&self.app.news).await;
        self.app.inflow.finish().await;
        self.app.journal.close();
        Ok(())
    }
}

/// Whether a hub's address is this one. A name of this machine that is not `localhost` is not seen.
fn is_here(endpoint: &str, addr: SocketAddr) -> bool {
    let Ok(url) = endpoint.parse::<reqwest::Url>() else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let ours = host == "localhost"
        || ip.is_some_and(|ip| ip.is_loopback() || ip == addr.ip().to_canonical());
    ours && url.port_or_known_default() == Some(addr.port())
}

fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .nest(api::PREFIX, api::router(&app))
        .route("/api/tonnage/", any(api::nowhere))
        .fallback(mirror)
        .layer(from_fn_with_state(app.clone(), admit))
        // It asks for the token by itself.
        .merge(page::router(&app))
        .layer(from_fn_with_state(app.clone(), observe))
        // Whoever watches over the server need not know its name.
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(app)
}

/// Lets nobody in who may not ask.
async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response<Body> {
    match app.guard.admit(request.headers(), peer(&request)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(fault) if api::is_for(request.uri().path()) => {
            api::Problem::from(fault).into_response()
        }
        Err(fault) => fault.answer(request.uri().path().starts_with("/api/")),
    }
}

/// Counts, and tells of what goes wrong.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let began = Instant::now();
    let (what, peer) = (kind(request.uri().path()), peer(&request));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    let status = response.status();
    app.metrics.request(what, status.as_u16(), began.elapsed());
    let why = response.extensions_mut().remove::<Why>();
    if journal::is_trouble(status) {
        app.journal.tell(Event { what, status, peer }, || {
            let (path, why) = (journal::shown(uri.path()), why.map(|why| journal::shown(&why.0)));
            format!("{method} {path}: {}: {}", status.as_u16(), why.unwrap_or_default())
        });
    }
    response
}

fn peer(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0)
}

/// What a request is for, in few words: every word is a series of its own.
fn kind(path: &str) -> &'static str {
    match path {
        _ if api::is_for(path) => "store",
        _ if path.starts_with("/api/") => "hub",
        _ if path.contains("/resolve/") || path.contains("/raw/") => "file",
        "/metrics" => "metrics",
        _ => "page",
    }
}

async fn mirror(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    match request.extensions().get::<Caller>().cloned() {
        Some(caller) => mirror::answer(app, caller, request).await,
        None => Fault::bad_token().answer(false),
    }
}

async fn metrics(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let caller = request.extensions().get::<Caller>();
    if !caller.is_some_and(|caller| caller.trusted) {
        return Fault::bad_token().answer(false);
    }
    let store = app.store.clone();
    let usage = origin::blocking(move || Ok(space::usage(&store)?)).await;
    let usage = match usage {
        Ok(usage) => usage,
        Err(fault) => return fault.answer(false),
    };
    let measured = Measured {
        stored_bytes: usage.physical,
        shared_bytes: usage.shared,
        revisions: usage.models.len() as u64,
        upstream_bytes: app.inflow.fetched_bytes(),
        evicted_revisions: app.store.tally().evicted_revisions(),
        freed_bytes: app.store.tally().freed_bytes(),
        downloads: app.manager.active_downloads() as u64,
    };
    let mut response = Response::new(Body::from(app.metrics.encode(measured)));
    *response.status_mut() = StatusCode::OK;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("store", &self.store.path()).finish_non_exhaustive()
    }
}
