//! What cannot become a model.

use std::path::PathBuf;

use super::ErrorKind;
use crate::model::{ManifestError, PathProblem};

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
