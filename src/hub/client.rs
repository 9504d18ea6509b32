//! The client: connections, and requests that end in an answer or in an error that says why.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url, redirect};
use tokio::time::timeout;

use super::answer::{Asked, message, refusal};
use super::links::Links;
use super::proxy::Way;
use super::redirect::Trail;
use super::repo::{Endpoint, shown};
use super::{Config, Retry, Token};
use crate::error::HubError;
use crate::model::ModelId;

/// How much of a body that nobody wants is read, in bytes, so that its connection can be used again.
const MAX_DRAINED: u64 = 64 << 10;
/// How long that may take.
const DRAIN: Duration = Duration::from_secs(2);
/// How much of a refusal's body is read, in bytes.
const MAX_REFUSAL: usize = 8 << 10;

/// A hub, the connections to it, and where it said that files' bytes are. Clones share them.
///
/// It must be used on one tokio runtime: connections belong to the runtime that made them.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    links: Arc<Links>,
}

struct Inner {
    http: reqwest::Client,
    endpoint: Endpoint,
    bearer: Option<HeaderValue>,
    config: Config,
    way: Way,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// An answer, and who gave it.
pub(super) struct Answer {
    pub url: Url,
    pub response: Response,
    /// Whether the token was sent, if there is one.
    authorized: bool,
}

/// How something is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asking<'a> {
    /// All of it, or these bytes.
    Bytes(Option<&'a Range<u64>>),
    /// With a form, as `application/x-www-form-urlencoded`.
    With(&'a str),
}

/// How a request ended that was to stay at the hub.
pub(super) enum Arrival {
    /// With the hub's own answer.
    Answer(Answer),
    /// With a redirect to somewhere else, which was not followed.
    Left(Url),
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`HubError::Setting`] when the configuration cannot be used, or no certificate roots are found.
    pub fn new(config: Config) -> Result<Self, HubError> {
        let endpoint = Endpoint::new(&config.endpoint)?;
        let bearer = config.token.as_ref().map(bearer).transpose()?;
        let build = |without_roots: bool| {
            let mut http = reqwest::Client::builder()
                .user_agent(&config.user_agent)
                .redirect(redirect::Policy::none())
                .referer(false)
                .connect_timeout(config.connect)
                // A connection that a load balancer dropped without a word costs a wait.
                .pool_idle_timeout(Duration::from_secs(60))
                .tcp_nodelay(true)
                .http1_only();
            http = config.proxy.apply(http)?;
            if without_roots {
                http = http.tls_certs_only([]);
            }
            http.build()
        };
        let http = build(false)
            // A system without any certificates can do without where nothing is encrypted.
            .or_else(|e| if endpoint.is_encrypted() { Err(e) } else { build(true) })
            .map_err(|e| HubError::Setting {
                setting: "encrypted connections".to_owned(),
                why: format!("{} (SSL_CERT_FILE names a file of certificates)", causes(&e)),
            })?;
        let way = Way::new(&config.proxy);
        let inner = Arc::new(Inner { http, endpoint, bearer, config, way });
        Ok(Self { inner, links: Arc::default() })
    }

    /// The same hub and connections, for whom this token belongs to.
    ///
    /// # Errors
    /// [`HubError::Setting`] when the token cannot stand in a header.
    pub fn with_token(&self, token: Option<Token>) -> Result<Self, HubError> {
        let bearer = token.as_ref().map(bearer).transpose()?;
        let Inner { http, endpoint, config, way, .. } = &*self.inner;
        let config = Config { token, ..config.clone() };
        let (http, endpoint, way) = (http.clone(), endpoint.clone(), way.clone());
        let inner = Arc::new(Inner { http, endpoint, bearer, config, way });
        Ok(Self { inner, links: Arc::default() })
    }

    /// The same hub and connections, without what it said about where bytes are: it is asked again,
    /// and may refuse by now what it gave before.
    pub(super) fn asking_anew(&self) -> Self {
        Self { inner: self.inner.clone(), links: Arc::default() }
    }

    /// The hub's address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.inner.endpoint.as_str()
    }

    /// How requests that failed are repeated.
    #[must_use]
    pub fn retry(&self) -> &Retry {
        &self.inner.config.retry
    }

    /// Whether no request may be made.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.inner.config.offline
    }

    /// Whether requests carry a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.inner.bearer.is_some()
    }

    /// The page of `model` that people see.
    #[must_use]
    pub fn page(&self, model: &ModelId) -> String {
        self.inner.endpoint.page(model)
    }

    pub(super) fn address(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    pub(super) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// Asks the hub at `start`, and follows it on its own origin, with the token.
    pub(super) async fn ask_hub(
        &self,
        start: Url,
        asking: Asking<'_>,
    ) -> Result<Arrival, HubError> {
        let mut trail = Trail::new(start);
        loop {
            let Some(here) = trail.here().cloned() else { return Err(self.lost()) };
            if !self.inner.endpoint.owns(&here) {
                return Ok(Arrival::Left(here));
            }
            let response = self.request(&here, asking, true).await?;
            if !redirects(response.status()) {
                return Ok(Arrival::Answer(Answer { url: here, response, authorized: true }));
            }
            trail.follow(location(&response))?;
            drain(response).await;
        }
    }

    /// Asks `start` and whatever it redirects to, without the token: not even where that leads back
    /// to the hub, because then a stranger chose what is asked.
    pub(super) async fn ask_elsewhere(
        &self,
        start: Url,
        range: Option<&Range<u64>>,
    ) -> Result<Answer, HubError> {
        let mut trail = Trail::new(start);
        loop {
            let Some(here) = trail.here().cloned() else { return Err(self.lost()) };
            let response = self.request(&here, Asking::Bytes(range), false).await?;
            if !redirects(response.status()) {
                return Ok(Answer { url: here, response, authorized: false });
            }
            trail.follow(location(&response))?;
            drain(response).await;
        }
    }

    /// The error that the hub means by `answer`, which is none of the 2xx.
    pub(super) async fn refused(&self, answer: Answer, asked: Asked<'_>) -> HubError {
        let Answer { url, mut response, authorized } = answer;
        let mut body = Vec::new();
        let read = async {
            while body.len() < MAX_REFUSAL
                && let Ok(Some(frame)) = response.chunk().await
            {
                body.extend_from_slice(&frame);
            }
        };
        // The status says enough when the text does not come.
        let _ = timeout(DRAIN, read).await;
        body.truncate(MAX_REFUSAL);
        let token = self.inner.config.token.as_ref().map(Token::secret);
        let message = message(response.headers(), &body, token);
        let with_token = authorized && token.is_some();
        let what = (&url, response.status());
        refusal(what, response.headers(), message, asked, &self.inner.endpoint, with_token)
    }

    async fn request(
        &self,
        url: &Url,
        asking: Asking<'_>,
        authorized: bool,
    ) -> Result<Response, HubError> {
        let config = &self.inner.config;
        if config.offline {
            return Err(HubError::Offline { url: shown(url) });
        }
        let http = &self.inner.http;
        let mut request = match asking {
            Asking::Bytes(None) => http.get(url.clone()),
            Asking::Bytes(Some(range)) => {
                let last = range.end.saturating_sub(1);
                http.get(url.clone()).header(RANGE, format!("bytes={}-{last}", range.start))
            }
            Asking::With(form) => {
                let kind = "application/x-www-form-urlencoded";
                http.post(url.clone()).header(CONTENT_TYPE, kind).body(form.to_owned())
            }
        };
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(bearer) = self.inner.bearer.as_ref().filter(|_| authorized) {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        let limit = config.connect.saturating_add(config.answer);
        match timeout(limit, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => Err(unreached(url, &e, self.inner.way.of(url))),
            Err(_) => Err(HubError::Stalled { url: shown(url), waited: limit }),
        }
    }

    /// A trail without a place, which cannot be.
    fn lost(&self) -> HubError {
        HubError::RedirectLoop { url: self.endpoint().to_owned() }
    }
}

fn bearer(token: &Token) -> Result<HeaderValue, HubError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.secret())).map_err(|_| {
        let why = "it cannot stand in a header".to_owned();
        HubError::Setting { setting: "the token".to_owned(), why }
    })?;
    // Not shown by Debug, anywhere.
    value.set_sensitive(true);
    Ok(value)
}

fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Some servers write a path in UTF-8 as it is, which the URL's parser quotes.
fn location(response: &Response) -> Option<&str> {
    std::str::from_utf8(response.headers().get(LOCATION)?.as_bytes()).ok()
}

/// Reads what is left of a short body.
async fn drain(mut response: Response) {
    if response.content_length().is_some_and(|length| length <= MAX_DRAINED) {
        let _ = timeout(DRAIN, async { while let Ok(Some(_)) = response.chunk().await {} }).await;
    }
}

/// What a request is called that got no answer.
fn unreached(url: &Url, error: &reqwest::Error, proxy: Option<String>) -> HubError {
    match (broken(url, error), proxy) {
        (HubError::Network { url, reason }, Some(proxy)) => {
            HubError::Network { url, reason: format!("by way of the proxy {proxy}: {reason}") }
        }
        (error, _) => error,
    }
}

/// What a failed connection is called.
pub(super) fn broken(url: &Url, error: &reqwest::Error) -> HubError {
    let (url, mut reason) = (shown(url), causes(error));
    // How rustls words it; its type is buried in an I/O error.
    if reason.contains("invalid peer certificate") {
        return HubError::Certificate { url, reason };
    }
    if error.is_connect() {
        reason = format!("cannot connect: {reason}");
    }
    HubError::Network { url, reason }
}

/// An error's causes in one line. The error itself is left out: it shows the URL with its query, and
/// says nothing but which library failed, as the first of its causes does.
fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        cause = error.source();
        let says_nothing = cause.is_some() && next.starts_with("client error (");
        if !says_nothing && !text.ends_with(&next) {
            let between = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{between}{next}");
        }
    }
    if text.is_empty() { "it failed without a reason".to_owned() } else { text }
}
