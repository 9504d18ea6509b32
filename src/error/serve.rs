//! What goes wrong when a store is to be served.

use std::net::SocketAddr;

use super::{ErrorKind, HubError, ManagerError, StoreError};

/// What can go wrong when a store is to be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can be reached from other machines, and nothing says who may read.
    #[error("{addr} can be reached from other machines, and no token protects it")]
    Exposed {
        /// The address.
        addr: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The hub is this server: what it does not have it would ask itself for.
    #[error("the hub {endpoint} is this server")]
    Circle {
        /// The hub's address.
        endpoint: String,
    },
    /// A file of tokens that cannot be used.
    #[error("{path}: {why}")]
    Tokens {
        /// The file.
        path: String,
        /// What is wrong with it. No token is in it.
        why: String,
    },
    /// The hub's settings cannot be used.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Downloads cannot be managed.
    #[error(transparent)]
    Manager(Box<ManagerError>),
}

impl ServeError {
    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Exposed { .. } | Self::Circle { .. } | Self::Tokens { .. } => ErrorKind::Usage,
            Self::Listen { .. } => ErrorKind::Failure,
            Self::Hub(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::Manager(e) => e.kind(),
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Exposed { .. } => {
                "name a file of tokens with --token-file, or say --public-read when anybody there \
                 may read"
                    .to_owned()
            }
            Self::Listen { .. } => "choose another address with --addr".to_owned(),
            Self::Circle { .. } => {
                "unset HF_ENDPOINT here, or name the hub with --endpoint".to_owned()
            }
            Self::Tokens { .. } => {
                "it has a token in each line, and behind it the hub's token that it stands for, if \
                 any"
                .to_owned()
            }
            Self::Hub(e) => return e.hint(),
            Self::Store(e) => return e.hint(),
            Self::Manager(e) => return e.hint(),
        })
    }
}
