//! What goes wrong when an app manages its models.

use std::sync::Arc;
use std::time::Duration;

use super::{ErrorKind, HubError, PullError, StoreError, ViewError};
use crate::model::{FilePath, ModelId};

/// What can go wrong with a [`ModelManager`](crate::manager::ModelManager). Clones are cheap: all
/// who wait for one download get the same error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The network failed, or the hub did. What was fetched is kept.
    #[error(transparent)]
    Network(HubError),
    /// What is missing does not fit on the disk. What was fetched is kept.
    #[error("{required} bytes are needed and {available} are free")]
    InsufficientSpace {
        /// Bytes still to be written.
        required: u64,
        /// Bytes that are free.
        available: u64,
        /// Bytes that would come back if all models went that nothing holds.
        evictable: u64,
    },
    /// The download ended for another reason: the source says.
    #[error(transparent)]
    DownloadFailed(Arc<PullError>),
    /// The model, its revision or the files that were asked for are not there. It says where.
    #[error(transparent)]
    NotFound(Arc<PullError>),
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
    /// A token is needed and there is none, or the hub does not know it.
    #[error(transparent)]
    Unauthorized(HubError),
    /// Too many requests.
    #[error("{url}: too many requests")]
    RateLimited {
        /// What was asked for.
        url: String,
        /// How long the hub wants to be left alone, if it says.
        retry_after: Option<Duration>,
    },
    /// Twice in a row, the bytes that came were not those that the hub says the file has.
    #[error("{model}: {path} should have the digest {expected}, and what came has {found}")]
    ChecksumMismatch {
        /// The model.
        model: ModelId,
        /// The file.
        path: FilePath,
        /// The digest that the hub gives: SHA-256 or git SHA-1.
        expected: String,
        /// The digest of the bytes that came.
        found: String,
    },
    /// The caller cancelled. What was fetched is kept.
    #[error("cancelled")]
    Cancelled,
    /// Another process holds what is needed.
    #[error(transparent)]
    Busy(Arc<StoreError>),
    /// Something in the store is not what it should be.
    #[error(transparent)]
    Damaged(Arc<StoreError>),
    /// The store failed in another way.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The directory that presents a model could not be made.
    #[error(transparent)]
    View(Arc<ViewError>),
}

impl From<PullError> for ManagerError {
    fn from(e: PullError) -> Self {
        match e {
            PullError::Hub(e) => e.into(),
            PullError::Store(e) => e.into(),
            PullError::ChecksumMismatch { model, path, expected, found } => {
                Self::ChecksumMismatch { model, path, expected, found }
            }
            PullError::InsufficientSpace { required, available, .. } => {
                Self::InsufficientSpace { required, available, evictable: 0 }
            }
            e if e.kind() == ErrorKind::NotFound => Self::NotFound(Arc::new(e)),
            e => Self::DownloadFailed(Arc::new(e)),
        }
    }
}

impl From<HubError> for ManagerError {
    fn from(e: HubError) -> Self {
        match e {
            HubError::RateLimited { url, retry_after } => Self::RateLimited { url, retry_after },
            HubError::Gated { model, page, with_token } => Self::Gated { model, page, with_token },
            HubError::Unauthorized { .. } | HubError::BadToken { .. } => Self::Unauthorized(e),
            HubError::Offline { .. } | HubError::Certificate { .. } => Self::Network(e),
            e if e.is_retryable() => Self::Network(e),
            e if e.kind() == ErrorKind::NotFound => Self::NotFound(Arc::new(e.into())),
            e => Self::DownloadFailed(Arc::new(e.into())),
        }
    }
}

impl From<StoreError> for ManagerError {
    fn from(e: StoreError) -> Self {
        match (e.kind(), e) {
            (
                _,
                StoreError::NoSpace { required, available, .. }
                | StoreError::OverLimit { required, available, .. },
            ) => Self::InsufficientSpace { required, available, evictable: 0 },
            (ErrorKind::Cancelled, _) => Self::Cancelled,
            (ErrorKind::NotFound, e) => Self::NotFound(Arc::new(e.into())),
            (ErrorKind::Busy, e) => Self::Busy(Arc::new(e)),
            (ErrorKind::Damaged, e) => Self::Damaged(Arc::new(e)),
            (_, e) => Self::Store(Arc::new(e)),
        }
    }
}

impl From<ViewError> for ManagerError {
    fn from(e: ViewError) -> Self {
        match e {
            ViewError::Store(e) => e.into(),
            e => Self::View(Arc::new(e)),
        }
    }
}

impl ManagerError {
    /// Whether the same call may succeed a little later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Network(e) => e.is_retryable(),
            Self::DownloadFailed(e) => e.is_retryable(),
            Self::RateLimited { .. } | Self::Busy(_) => true,
            _ => false,
        }
    }

    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Network(e) | Self::Unauthorized(e) => e.kind(),
            Self::DownloadFailed(e) | Self::NotFound(e) => e.kind(),
            Self::Busy(e) | Self::Damaged(e) | Self::Store(e) => e.kind(),
            Self::View(e) => e.kind(),
            Self::InsufficientSpace { .. } => ErrorKind::NoSpace,
            Self::Gated { .. } | Self::RateLimited { .. } => ErrorKind::Hub,
            Self::ChecksumMismatch { .. } => ErrorKind::Damaged,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Network(e) | Self::Unauthorized(e) => return e.hint(),
            Self::DownloadFailed(e) | Self::NotFound(e) => return e.hint(),
            Self::Busy(e) | Self::Damaged(e) | Self::Store(e) => return e.hint(),
            Self::View(e) => return e.hint(),
            Self::InsufficientSpace { evictable: 0, .. } => "free some space".to_owned(),
            Self::InsufficientSpace { evictable, .. } => {
                format!("free some space; models that nothing holds have {evictable} bytes")
            }
            Self::Gated { page, with_token: false, .. } => {
                format!("accept the licence at {page}, then give a token")
            }
            Self::Gated { page, with_token: true, .. } => {
                format!("ask for access at {page} with the account of this token")
            }
            Self::RateLimited { retry_after: Some(after), .. } => {
                format!("try again in {} s; a token raises the limit", after.as_secs())
            }
            Self::RateLimited { retry_after: None, .. } => {
                "try again in some minutes; a token raises the limit".to_owned()
            }
            Self::ChecksumMismatch { .. } => {
                "try again later, without a proxy or mirror if there is one; nothing wrong was stored"
                    .to_owned()
            }
            Self::Cancelled => return None,
        })
    }
}
