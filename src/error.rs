//! One error type per subsystem. Every message has the path or the model and the cause; what the
//! user can do next is [`hint`](StoreError::hint), and [`kind`](StoreError::kind) is what a program
//! acts on.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use crate::model::{ManifestError, ModelSpec, PathProblem};

/// What an error means to the program that gets it. The command line's exit codes follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something failed that none of the other kinds names.
    Failure,
    /// What was asked makes no sense.
    Usage,
    /// The model, revision, blob or path is not there.
    NotFound,
    /// Stored data is not what it should be.
    Damaged,
    /// There is not enough space.
    NoSpace,
    /// Somebody else holds what is needed.
    Busy,
    /// The caller cancelled.
    Cancelled,
}

impl ErrorKind {
    /// The kind's name in JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Damaged => "damaged",
            Self::NoSpace => "no_space",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An operation on the file system that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FsError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FsError {
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }

    /// The path the operation was about.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        if self.is_no_space() {
            ErrorKind::NoSpace
        } else if self.is_not_found() {
            ErrorKind::NotFound
        } else {
            ErrorKind::Failure
        }
    }

    pub(crate) fn into_io(self) -> io::Error {
        self.source
    }

    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    pub(crate) fn is_exists(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.source.kind() == io::ErrorKind::UnexpectedEof
    }

    pub(crate) fn is_no_space(&self) -> bool {
        self.is(Errno::NOSPC) || self.is(Errno::DQUOT)
    }

    /// The file system cannot do this at all, here or between these two places.
    pub(crate) fn is_unsupported(&self) -> bool {
        [Errno::XDEV, Errno::PERM, Errno::OPNOTSUPP, Errno::NOTTY, Errno::NOSYS, Errno::INVAL]
            .iter()
            .any(|&e| self.is(e))
            || self.source.kind() == io::ErrorKind::CrossesDevices
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.is(Errno::ROFS) || self.is(Errno::ACCESS) || self.is(Errno::PERM)
    }
}

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
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Ambiguous { .. } => ErrorKind::Usage,
            Self::Source(e) => e.kind(),
            Self::NoSpace { .. } => ErrorKind::NoSpace,
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
                "`tonnage add` makes one; --store or TONNAGE_HOME names another".to_owned()
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
            Self::Busy { .. } => "try again when the other process is done".to_owned(),
            Self::ReadOnly { .. } => {
                "reading commands work; writing needs write permission".to_owned()
            }
            Self::NotFound { .. } => "`tonnage ls` lists what is here".to_owned(),
            Self::Ambiguous { .. } => "write more digits behind the @".to_owned(),
            Self::Source(e) => return e.hint(),
            Self::NoSpace { .. } => {
                "free some space, or remove models with `tonnage rm`".to_owned()
            }
            Self::CannotTake { how, .. } => {
                format!("use --take copy, or a store on a file system where {how} works")
            }
            _ => return None,
        })
    }
}

/// Why a directory or file cannot be added as a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing is there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// No file below it.
    #[error("{} has no files", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A socket, fifo or device.
    #[error("{} is neither a file nor a directory", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// A symbolic link to somewhere outside the directory that is added.
    #[error("{} is a symbolic link that leaves the directory, to {}", path.display(), target.display())]
    LeavesTree {
        /// The link.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// A symbolic link whose target is missing.
    #[error("{} is a symbolic link to nothing", path.display())]
    Dangling {
        /// The link.
        path: PathBuf,
    },
    /// A symbolic link that leads back to a directory it is in.
    #[error("{} is a symbolic link that loops", path.display())]
    Loop {
        /// The link.
        path: PathBuf,
    },
    /// A name that cannot be a file of a model.
    #[error("{path:?} cannot be a file of a model: {problem}")]
    Name {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// The store that it is added to is in it, or it is a part of the store.
    #[error("{} is, holds or leads into the store at {}", path.display(), store.display())]
    HoldsStore {
        /// The directory or file.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The file changed while it was read.
    #[error("{} changed while it was being added", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The files do not make a manifest.
    #[error("{} cannot become a model: {source}", path.display())]
    Manifest {
        /// What was added.
        path: PathBuf,
        /// Why not.
        source: ManifestError,
    },
}

impl SourceError {
    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            _ => ErrorKind::Failure,
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { .. } | Self::Manifest { .. } => return None,
            Self::Empty { .. } => "name a file, or a directory with files in it",
            Self::Special { .. } => "remove it, or add a directory without it",
            Self::LeavesTree { .. } => "--follow-links takes in what such links point to",
            Self::Dangling { .. } | Self::Loop { .. } => "remove the link",
            Self::Name { .. } => "rename it",
            Self::HoldsStore { .. } => "add a directory that does not have the store in it",
            Self::Changed { .. } => "add it again when nobody writes to it",
        };
        Some(hint.to_owned())
    }
}

/// What can go wrong with a view.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A view is there, and somebody changed, added or removed files in it.
    #[error(
        "{} was changed: {} changed, {} missing, {} added",
        path.display(), differences.changed.len(), differences.missing.len(), differences.extra.len()
    )]
    Differs {
        /// The view.
        path: PathBuf,
        /// What somebody did to it.
        differences: Differences,
    },
    /// Something that is not a view of this store is there.
    #[error("{} is there and is not a view of this store", path.display())]
    NotAView {
        /// The path.
        path: PathBuf,
    },
    /// A view cannot be inside the store.
    #[error("{} is inside the store", path.display())]
    InsideStore {
        /// The path.
        path: PathBuf,
    },
    /// Two names that the destination's file system takes for one.
    #[error("{} cannot hold both {one:?} and {other:?}: it ignores case", path.display())]
    CaseCollision {
        /// The destination.
        path: PathBuf,
        /// One name.
        one: String,
        /// The other.
        other: String,
    },
}

impl From<FsError> for ViewError {
    fn from(e: FsError) -> Self {
        Self::Store(e.into())
    }
}

impl ViewError {
    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(e) => e.kind(),
            Self::InsideStore { .. } => ErrorKind::Usage,
            _ => ErrorKind::Failure,
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Store(e) => return e.hint(),
            Self::Differs { .. } => "--force replaces it; another directory keeps it",
            Self::NotAView { .. } => "choose a directory that is empty or not there yet",
            Self::InsideStore { .. } => {
                "choose a directory outside; `tonnage path` makes the store's own view"
            }
            Self::CaseCollision { .. } => "choose a file system that tells upper from lower case",
        };
        Some(hint.to_owned())
    }
}

/// What somebody did to a view. Paths within it, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Differences {
    /// Files with other bytes.
    pub changed: Vec<String>,
    /// Files that are not there.
    pub missing: Vec<String>,
    /// Files and directories that do not belong there.
    pub extra: Vec<String>,
}

impl Differences {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.changed.len() + self.missing.len() + self.extra.len()
    }
}
