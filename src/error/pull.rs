//! What goes wrong when a model is pulled.

use std::path::PathBuf;

use super::{ErrorKind, FsError, HubError, StoreError};
use crate::model::{FilePath, ModelId, Revision};

/// What can go wrong when a model is pulled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The hub or the network failed. What was fetched is kept.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// What is missing does not fit on the disk. What was fetched is kept.
    #[error("{} needs {required} bytes and has {available}", path.display())]
    InsufficientSpace {
        /// The store.
        path: PathBuf,
        /// Bytes still to be written.
        required: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// No file of the repository is selected.
    #[error("{model} has no file that was asked for")]
    NothingSelected {
        /// The model.
        model: ModelId,
    },
    /// No GGUF file of the repository has this quantization in its name.
    #[error("{model} has no GGUF file with {quant:?} in its name{}", list(known))]
    UnknownQuant {
        /// The model.
        model: ModelId,
        /// What was asked for.
        quant: String,
        /// The quantizations there are, in upper case.
        known: Vec<String>,
    },
    /// A commit is immutable, and the hub lists other bytes for a file of it than before.
    #[error("{model}: the hub says that {path} changed within the commit {commit}")]
    CommitChanged {
        /// The model.
        model: ModelId,
        /// The commit.
        commit: Revision,
        /// The file.
        path: FilePath,
    },
    /// A thread of this program ended before its work.
    #[error("a part of the program stopped: {what}")]
    Stopped {
        /// Which.
        what: String,
    },
}

fn list(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) }
}

impl From<FsError> for PullError {
    fn from(e: FsError) -> Self {
        Self::Store(e.into())
    }
}

impl PullError {
    /// Whether the same pull may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Hub(e) => e.is_retryable(),
            Self::Store(e) => e.kind() == ErrorKind::Busy,
            _ => false,
        }
    }

    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Hub(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::ChecksumMismatch { .. } | Self::CommitChanged { .. } => ErrorKind::Damaged,
            Self::InsufficientSpace { .. } => ErrorKind::NoSpace,
            Self::NothingSelected { .. } | Self::UnknownQuant { .. } => ErrorKind::NotFound,
            Self::Stopped { .. } => ErrorKind::Failure,
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Hub(e) => return e.hint(),
            Self::Store(e) => return e.hint(),
            Self::ChecksumMismatch { .. } => {
                "try again later, without a proxy or mirror if there is one; nothing wrong was stored"
                    .to_owned()
            }
            Self::InsufficientSpace { .. } => {
                "free some space, remove models with `tonnage rm`, or pull less with --include; \
                 what was fetched is kept"
                    .to_owned()
            }
            Self::NothingSelected { .. } => {
                "--dry-run without --include and --exclude lists the files there are".to_owned()
            }
            Self::UnknownQuant { known, .. } => match known.first() {
                Some(first) => format!("write --quant {first}, for example"),
                None => "leave --quant out: no file's name tells a quantization".to_owned(),
            },
            Self::CommitChanged { .. } => {
                "do not trust this hub; check HF_ENDPOINT and HTTPS_PROXY".to_owned()
            }
            Self::Stopped { .. } => return None,
        })
    }
}
