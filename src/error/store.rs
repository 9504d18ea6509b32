//! What goes wrong in the store.

use std::path::PathBuf;
use std::time::Duration;

use super::{ErrorKind, FsError, SourceError};
use crate::model::ModelSpec;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An operation on the file system failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// There is no store at this path.
    #[error("no store at {}", path.display())]
    NoStore {
        /// Where one was expected.
        path: PathBuf,
    },
    /// A directory that holds something else.
    #[error("{} is not empty and not a store", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// The store was made by a newer program.
    #[error("{} has format {found}; this program knows format {known}", path.display())]
    NewerFormat {
        /// The store's FORMAT file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// The format this program reads and writes.
        known: u32,
    },
    /// The index cannot be read.
    #[error("the index {} is damaged: {reason}", path.display())]
    IndexDamaged {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A manifest cannot be read, or is not what its name says.
    #[error("the manifest {} is damaged: {reason}", path.display())]
    ManifestDamaged {
        /// The manifest file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A blob is gone or is not what its name says.
    #[error("the blob {} is damaged: {reason}", path.display())]
    BlobDamaged {
        /// The blob's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else holds what is needed.
    #[error("{} is in use by another process (waited {} s)", path.display(), waited.as_secs())]
    Busy {
        /// What is held.
        path: PathBuf,
        /// How long this process waited.
        waited: Duration,
    },
    /// Something must be written and cannot be.
    #[error("the store at {} cannot be written", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// The store's directory was removed while it was open.
    #[error("the store at {} was removed while in use", path.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// Nothing in the store has this name.
    #[error("{spec} is not in the store")]
    NotFound {
        /// What was asked for.
        spec: String,
    },
    /// More than one revision has this name.
    #[error("{spec} could be any of {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        spec: ModelSpec,
        /// The revisions it could be.
        candidates: Vec<String>,
    },
    /// What was to be added cannot be a model.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is not enough space.
    #[error("{} needs {required} bytes and has {available}", path.display())]
    NoSpace {
        /// The file system, by a path on it.
        path: PathBuf,
        /// Bytes needed.
        required: u64,
        /// Bytes there are.
        available: u64,
    },
    /// It would be more than the store's limits allow.
    #[error(
        "{required} bytes are needed, and the limits of {} leave {available}", path.display()
    )]
    OverLimit {
        /// The store.
        path: PathBuf,
        /// Bytes needed.
        required: u64,
        /// Bytes that the limits leave.
        available: u64,
        /// Bytes that would have to come back.
        short: u64,
        /// What cannot be evicted, and why.
        in_the_way: Vec<String>,
    },
    /// The way of taking files in that was asked for is not possible here.
    #[error("cannot take {} by {how}: {source}", path.display())]
    CannotTake {
        /// The file.
        path: PathBuf,
        /// `reflink` or `hardlink`.
        how: &'static str,
        /// Why.
        source: FsError,
    },
    /// Somebody added files to a revision while this was doing so.
    #[error("{spec} was changed by another process meanwhile")]
    Changed {
        /// The revision.
        spec: String,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl StoreError {
    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fs(e) => e.kind(),
            Self::NoStore { .. } | Self::NotFound { .. } => ErrorKind::NotFound,
            Self::IndexDamaged { .. } | Self::ManifestDamaged { .. } | Self::BlobDamaged { .. } => {
                ErrorKind::Damaged
            }
            Self::Busy { .. } | Self::Changed { .. } => ErrorKind::Busy,
            Self::Ambiguous { .. } => ErrorKind::Usage,
            Self::Source(e) => e.kind(),
            Self::NoSpace { .. } | Self::OverLimit { .. } => ErrorKind::NoSpace,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::NotAStore { .. }
            | Self::NewerFormat { .. }
            | Self::ReadOnly { .. }
            | Self::Gone { .. }
            | Self::CannotTake { .. } => ErrorKind::Failure,
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Fs(e) if e.is_no_space() => {
                "free some space on that disk, or run `tonnage gc`".to_owned()
            }
            Self::NoStore { .. } => {
                "`tonnage pull` or `tonnage add` makes one; --store or TONNAGE_HOME names another"
                    .to_owned()
            }
            Self::NotAStore { .. } => "choose an empty directory with --store".to_owned(),
            Self::NewerFormat { .. } => "use a newer tonnage with this store".to_owned(),
            Self::IndexDamaged { .. } => {
                "no model is lost: run `tonnage fsck --rebuild-index`".to_owned()
            }
            Self::ManifestDamaged { .. } => "run `tonnage fsck`; add the model again".to_owned(),
            Self::BlobDamaged { .. } => {
                "run `tonnage verify --full`; add the model again".to_owned()
            }
            Self::Busy { .. } | Self::Changed { .. } => {
                "try again when the other process is done".to_owned()
            }
            Self::ReadOnly { .. } => {
                "reading commands work; writing needs write permission".to_owned()
            }
            Self::NotFound { .. } => "`tonnage ls` lists what is here".to_owned(),
            Self::Ambiguous { .. } => "write more digits behind the @".to_owned(),
            Self::Source(e) => return e.hint(),
            Self::NoSpace { .. } => {
                "free some space, or remove models with `tonnage rm`".to_owned()
            }
            Self::OverLimit { in_the_way, .. } if in_the_way.is_empty() => {
                "nothing is left to evict: raise `space.max` or lower `space.min_free` with \
                 `tonnage config set`"
                    .to_owned()
            }
            Self::OverLimit { in_the_way, .. } => format!(
                "these cannot be evicted: {}; free one of them, or raise `space.max` or lower \
                 `space.min_free` with `tonnage config set`",
                in_the_way.join("; ")
            ),
            Self::CannotTake { how, .. } => {
                format!("use --take copy, or a store on a file system where {how} works")
            }
            _ => return None,
        })
    }
}
