//! What goes wrong with `config.toml`.

use std::path::PathBuf;

use super::{ErrorKind, FsError, StoreError};

/// What can go wrong with a store's `config.toml`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else stands in its place.
    #[error("{} is {what}, and only a file is read", path.display())]
    NotAFile {
        /// Where the file should be.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// It says something that has no meaning.
    #[error("{}, line {line}: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in it, counted from 1.
        line: usize,
        /// What is wrong, and what is allowed.
        why: String,
    },
    /// There is no setting of this name.
    #[error("{key} is no setting: there are hub.endpoint, and names.NAME for a short NAME")]
    UnknownKey {
        /// What was named.
        key: String,
    },
    /// A setting cannot have this value.
    // The value is not shown: somebody may have written a password into an address.
    #[error("{key} cannot be set to this: {why}")]
    BadValue {
        /// The setting.
        key: String,
        /// What is wrong with the value.
        why: String,
    },
    /// A setting that should be taken out is not in the file.
    #[error("{} does not set {key}", path.display())]
    NotSet {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: String,
    },
}

impl From<FsError> for ConfigError {
    fn from(e: FsError) -> Self {
        Self::Store(e.into())
    }
}

impl ConfigError {
    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(e) => e.kind(),
            Self::NotAFile { .. } | Self::Invalid { .. } => ErrorKind::Failure,
            Self::UnknownKey { .. } | Self::BadValue { .. } => ErrorKind::Usage,
            Self::NotSet { .. } => ErrorKind::NotFound,
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Store(e) => return e.hint(),
                Self::NotAFile { .. } => "put a file there, or nothing: all of it is optional",
                Self::Invalid { .. } | Self::UnknownKey { .. } => {
                    "`tonnage config --help` shows all that may stand in it"
                }
                Self::NotSet { .. } => "`tonnage config` lists what is set",
                Self::BadValue { .. } => return None,
            }
            .to_owned(),
        )
    }
}
