//! One error type per subsystem. Every message has the path or the model and the cause; what the
//! user can do next is [`hint`](StoreError::hint), and [`kind`](StoreError::kind) is what a program
//! acts on.

#[cfg(feature = "config")]
mod config;
mod fs;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "hub")]
mod manager;
#[cfg(feature = "hub")]
mod pull;
#[cfg(feature = "serve")]
mod serve;
mod source;
mod store;
mod view;

#[cfg(feature = "config")]
pub use config::ConfigError;
pub use fs::FsError;
#[cfg(feature = "hub")]
pub use hub::HubError;
#[cfg(feature = "hub")]
pub use manager::ManagerError;
#[cfg(feature = "hub")]
pub use pull::PullError;
#[cfg(feature = "serve")]
pub use serve::ServeError;
pub use source::SourceError;
pub use store::StoreError;
pub use view::{Differences, ViewError};

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
    /// The hub or the network failed, or the hub refused.
    Hub,
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
            Self::Hub => "hub",
            Self::Cancelled => "cancelled",
        }
    }
}
