//! Answers that are no success, as this API tells them.

use axum::Json;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ConfigError, ErrorKind, HubError, ManagerError, PullError, StoreError};
use crate::serve::fault::Fault;
use crate::serve::journal::Why;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trouble {
    /// A word for programs: `usage`, `not_found`, `damaged`, `no_space`, `busy`, `hub`, `cancelled`,
    /// `failure`, `unauthorized` or `forbidden`.
    pub kind: &'static str,
    /// A sentence for people.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// An answer that is no success.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: Trouble,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, error: Trouble { kind, message: message.into(), hint: None } }
    }

    /// Of what makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorKind::Usage.name(), message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound.name(), message)
    }

    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorKind::Busy.name(), message)
    }

    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Failure.name(), message)
    }

    pub fn hint(mut self, hint: &str) -> Self {
        self.error.hint = Some(hint.to_owned());
        self
    }

    /// What stands in the answer.
    pub fn into_trouble(self) -> Trouble {
        self.error
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = (self.status, Json(&self)).into_response();
        response.extensions_mut().insert(Why(self.error.message));
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let kind = match fault.status {
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => "forbidden",
            _ => ErrorKind::Failure.name(),
        };
        Self::new(fault.status, kind, fault.message())
    }
}

/// The hub's own refusals must not look like this server's: no 401, which asks for its token.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Busy | ErrorKind::Cancelled => StatusCode::CONFLICT,
        ErrorKind::Hub => StatusCode::BAD_GATEWAY,
        ErrorKind::Damaged | ErrorKind::Failure => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

macro_rules! told {
    ($($error:ty),*) => {$(
        impl From<&$error> for Problem {
            fn from(error: &$error) -> Self {
                let (kind, message) = (error.kind(), error.to_string());
                let error = Trouble { kind: kind.name(), message, hint: error.hint() };
                Self { status: status(kind), error }
            }
        }

        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                (&error).into()
            }
        }
    )*};
}

told!(ConfigError, HubError, ManagerError, PullError, StoreError);
