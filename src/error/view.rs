//! What goes wrong with a view.

use std::path::PathBuf;

use super::{ErrorKind, FsError, StoreError};

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
