//! What goes wrong between here and the hub.

mod hint;

use std::time::Duration;

use super::ErrorKind;
use crate::model::{FilePath, ModelId};

/// What can go wrong between here and the hub.
///
/// URLs in it have no query: what stands there may be a signature that opens the file to anybody.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// No such repository, or a private one that the token (or nobody's) does not open: the hub does
    /// not tell which.
    #[error("{endpoint} has no {model}, or it is private")]
    NotFound {
        /// What was asked for.
        model: ModelId,
        /// The hub.
        endpoint: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// A token is needed and there is none.
    #[error("{url} needs a token")]
    Unauthorized {
        /// What was asked for.
        url: String,
    },
    /// The hub does not know the token.
    #[error("{endpoint} does not accept the token")]
    BadToken {
        /// The hub.
        endpoint: String,
    },
    /// The files are given only to those who accepted the licence, or whom the owner let in.
    #[error("access to {model} is restricted")]
    Gated {
        /// What was asked for.
        model: ModelId,
        /// Where access is asked for.
        page: String,
        /// Whether a token was sent: then its owner is not on the list.
        with_token: bool,
    },
    /// The hub took it down.
    #[error("{model} was disabled by the hub")]
    Disabled {
        /// What was asked for.
        model: ModelId,
    },
    /// The hub refuses for another reason.
    #[error("{url} was refused with status {status}: {message}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the hub says.
        message: String,
    },
    /// The repository is there, and this branch, tag or commit is not.
    #[error("{model} has no revision {revision}")]
    RevisionNotFound {
        /// The repository.
        model: ModelId,
        /// What was asked for.
        revision: String,
    },
    /// The revision is there, and this file is not in it.
    #[error("{model} has no file {path} at {revision}")]
    FileNotFound {
        /// The repository.
        model: ModelId,
        /// The commit.
        revision: String,
        /// What was asked for.
        path: FilePath,
    },
    /// Too many requests.
    #[error("{url}: too many requests")]
    RateLimited {
        /// What was asked for.
        url: String,
        /// How long the server wants to be left alone, if it says.
        retry_after: Option<Duration>,
    },
    /// No connection, or a broken one.
    #[error("{url}: {reason}")]
    Network {
        /// What was asked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The other side's certificate is not accepted.
    #[error("{url} cannot be trusted: {reason}")]
    Certificate {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("{url}: nothing came for {} s", waited.as_secs())]
    Stalled {
        /// What was asked for.
        url: String,
        /// How long.
        waited: Duration,
    },
    /// The answer ended before all of it was there.
    #[error("{url}: the answer ended at byte {at} instead of {end}")]
    Cut {
        /// What was asked for.
        url: String,
        /// The offset in the file where it ended.
        at: u64,
        /// The offset where it should have ended.
        end: u64,
    },
    /// The server failed.
    #[error("{url}: the server failed with status {status}")]
    Server {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server wants to be left alone, if it says.
        retry_after: Option<Duration>,
    },
    /// The place the hub sent us to for a file's bytes does not give them (any more).
    #[error("{url}: the download link was refused with status {status}")]
    LinkRefused {
        /// The link.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// An answer that makes no sense.
    #[error("{url}: {what}")]
    Protocol {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// Redirects that come back to where they began, or too many.
    #[error("{url} redirects in a circle, or too often")]
    RedirectLoop {
        /// What was asked for.
        url: String,
    },
    /// A redirect from an encrypted connection to an open one, or to something that is not HTTP.
    #[error("{url} redirects to {to}, which is not safe")]
    UnsafeRedirect {
        /// What was asked for.
        url: String,
        /// Where it leads.
        to: String,
    },
    /// A file name that would harm whoever creates it.
    #[error("{model} has a file named {name:?}: {why}")]
    HostileName {
        /// The repository.
        model: ModelId,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two file names that a file system that ignores case takes for one.
    #[error("{model} has both {one:?} and {other:?}, which differ in case only")]
    Twins {
        /// The repository.
        model: ModelId,
        /// One name.
        one: String,
        /// The other.
        other: String,
    },
    /// An answer that is larger than any honest one.
    #[error("{url}: the answer is larger than {limit} {unit}")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A request was needed, and none may be made.
    #[error("{url} was not asked: offline")]
    Offline {
        /// What would have been asked for.
        url: String,
    },
    /// A setting that cannot be used.
    #[error("{setting}: {why}")]
    Setting {
        /// Which: an option, a variable or a file.
        setting: String,
        /// What is wrong with it.
        why: String,
    },
}

impl HubError {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Network { .. }
                | Self::Stalled { .. }
                | Self::Cut { .. }
                | Self::Server { .. }
                | Self::LinkRefused { .. }
                | Self::Protocol { .. }
        )
    }

    /// How long the server wants to be left alone, if it says.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::RevisionNotFound { .. } | Self::FileNotFound { .. } => {
                ErrorKind::NotFound
            }
            Self::Setting { .. } => ErrorKind::Usage,
            _ => ErrorKind::Hub,
        }
    }
}
