//! Answers that are no success, as a hub's clients understand them.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};

use super::journal::Why;
use crate::error::{ErrorKind, HubError, PullError, StoreError};
use crate::model::ModelId;

const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");
pub(super) const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");

/// How long a client is asked to wait when nobody says how long.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub status: StatusCode,
    /// What the hub calls it.
    code: Option<&'static str>,
    message: String,
    retry_after: Option<Duration>,
    commit: Option<String>,
}

impl Fault {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into(), retry_after: None, commit: None }
    }

    pub fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The repository has no such file at this commit.
    pub fn no_entry(commit: &str) -> Self {
        let commit = Some(commit.to_owned());
        let fault = Self::not_found("Entry not found");
        Self { code: Some("EntryNotFound"), commit, ..fault }
    }

    pub fn no_revision(revision: &str) -> Self {
        let fault = Self::not_found(&format!("Invalid rev id: {revision}"));
        Self { code: Some("RevisionNotFound"), ..fault }
    }

    /// Not here, and nobody may be asked. No word that it does not exist, and none that clients try
    /// again for: nothing would change.
    pub fn offline(what: &str) -> Self {
        let message = format!("{what} is not here, and this mirror is offline");
        Self::new(StatusCode::FAILED_DEPENDENCY, message)
    }

    pub fn is_offline(&self) -> bool {
        self.status == StatusCode::FAILED_DEPENDENCY
    }

    /// A missing repository, or a private one; clients look at the code where the hub has none.
    fn no_repo(with_token: bool) -> Self {
        let code = Some("RepoNotFound");
        if with_token {
            return Self { code, ..Self::not_found("Repository not found") };
        }
        Self { code, ..Self::new(StatusCode::UNAUTHORIZED, "Invalid username or password.") }
    }

    fn gated(model: &ModelId, page: &str, with_token: bool) -> Self {
        let code = Some("GatedRepo");
        let (prefix, name) = model.split_prefix();
        let kind = match prefix {
            "datasets/" => "dataset",
            "spaces/" => "space",
            _ => "model",
        };
        if with_token {
            let message = format!(
                "Access to {kind} {name} is restricted and you are not in the authorized list. \
                 Visit {page} to ask for access."
            );
            return Self { code, ..Self::new(StatusCode::FORBIDDEN, message) };
        }
        let message = format!(
            "Access to {kind} {name} is restricted. You must have access to it and be \
             authenticated to access it. Please log in."
        );
        Self { code, ..Self::new(StatusCode::UNAUTHORIZED, message) }
    }

    pub fn bad_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid credentials in Authorization header")
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// For a request of a file's bytes: clients repeat those for 429 only.
    pub fn of_body(self) -> Self {
        if self.status.is_server_error() && self.status != StatusCode::INSUFFICIENT_STORAGE {
            let retry_after = self.retry_after.or(Some(PAUSE));
            return Self { status: StatusCode::TOO_MANY_REQUESTS, retry_after, ..self };
        }
        self
    }

    /// The answer: JSON where the API was asked, else text.
    pub fn answer(&self, is_api: bool) -> Response<Body> {
        let (kind, text) = if is_api {
            let object = serde_json::json!({ "error": self.message });
            ("application/json; charset=utf-8", object.to_string())
        } else {
            ("text/plain; charset=utf-8", self.message.clone())
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        response.extensions_mut().insert(Why(self.message.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(code) = self.code {
            headers.insert(ERROR_CODE, HeaderValue::from_static(code));
        }
        let visible: String = self.message.chars().filter(char::is_ascii).collect();
        if let Ok(message) = HeaderValue::from_str(&visible.replace(['\n', '\r'], " ")) {
            headers.insert(ERROR_MESSAGE, message);
        }
        if let Some(commit) = self.commit.as_deref().and_then(|c| HeaderValue::from_str(c).ok()) {
            headers.insert(REPO_COMMIT, commit);
        }
        if let Some(pause) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
        }
        response
    }
}

impl From<&HubError> for Fault {
    fn from(error: &HubError) -> Self {
        match error {
            HubError::NotFound { with_token, .. } => Self::no_repo(*with_token),
            HubError::Unauthorized { .. } => Self::no_repo(false),
            HubError::BadToken { .. } => Self::bad_token(),
            HubError::Gated { model, page, with_token } => Self::gated(model, page, *with_token),
            HubError::Disabled { .. } => {
                Self::new(StatusCode::FORBIDDEN, "Access to this resource is disabled.")
            }
            HubError::RevisionNotFound { revision, .. } => Self::no_revision(revision),
            HubError::FileNotFound { revision, .. } => Self::no_entry(revision),
            HubError::RateLimited { retry_after, .. } => Self {
                retry_after: retry_after.or(Some(PAUSE)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "the hub has too many requests")
            },
            HubError::Offline { url } => Self::offline(url),
            // Upstream trouble: never a word that says that something is not there.
            other => Self {
                retry_after: other.retry_after(),
                ..Self::new(StatusCode::BAD_GATEWAY, other.to_string())
            },
        }
    }
}

impl From<HubError> for Fault {
    fn from(error: HubError) -> Self {
        (&error).into()
    }
}

impl From<&PullError> for Fault {
    fn from(error: &PullError) -> Self {
        match error {
            PullError::Hub(e) => e.into(),
            PullError::Store(e) => e.into(),
            PullError::InsufficientSpace { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string())
            }
            other => Self::new(StatusCode::BAD_GATEWAY, other.to_string()),
        }
    }
}

impl From<PullError> for Fault {
    fn from(error: PullError) -> Self {
        (&error).into()
    }
}

impl From<&StoreError> for Fault {
    fn from(error: &StoreError) -> Self {
        let status = match error.kind() {
            ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Busy | ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        (&error).into()
    }
}
