//! The hub: what a repository holds, and the bytes of its files.
//!
//! A [`Client`] speaks the hub's own protocol over HTTP/1.1. It follows redirects itself, so that
//! the token goes to the hub's own origin and nowhere else, and it checks every answer against what
//! was asked for; what the bytes are is checked by who asked for them, against
//! [`RemoteFile::upstream`].
//!
//! Futures run on a tokio runtime with time and I/O enabled. Nothing here reads the environment,
//! with two exceptions: the TLS library reads `SSL_CERT_FILE` and `SSL_CERT_DIR` to find the
//! platform's roots, and who asks for [`Proxy::System`] has the HTTP library look for proxies. What
//! the environment says of the hub, its proxies included, is found by [`Discovery`] for a caller who
//! passes it on.

use crate::error::{HubError, PullError};

mod answer;
mod auth;
mod client;
mod config;
mod digester;
mod estimate;
mod fetch;
mod flusher;
mod forward;
mod hasher;
pub mod inflow;
mod json;
mod limit;
mod links;
mod mend;
mod names;
mod outdated;
mod part;
mod plan;
mod progress;
mod proxy;
mod pull;
mod range;
mod read;
mod redirect;
mod refs;
mod repo;
mod retry;
mod select;
mod stage;
mod tree;
mod turn;

pub use auth::{Discovery, Token};
pub use client::Client;
pub use config::Config;
pub use estimate::{Estimate, estimate};
pub use forward::Forwarded;
pub use limit::RateLimit;
pub use mend::Mender;
pub use outdated::{Checked, RefState, Update, outdated};
pub use plan::{FileState, Plan, PlannedFile, PullRequest, plan};
pub use progress::{FileSnapshot, PullProgress, Snapshot, Stage};
pub use proxy::{Proxies, Proxy};
pub use pull::{Pulled, pull, pull_and_hold};
pub use range::Body;
pub use refs::{Commit, User};
pub use repo::RepoKind;
pub use retry::Retry;
pub use select::Selection;
pub use tree::RemoteFile;

/// Whether `text` can be the address of a hub.
///
/// # Errors
/// [`HubError::Setting`], which says why not, and does not show the text: it may hold a password.
pub fn check_endpoint(text: &str) -> Result<(), HubError> {
    repo::Endpoint::new(text).map(drop)
}

/// Runs what waits for the disk where it holds up no other task.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PullError> + Send + 'static,
) -> Result<T, PullError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(PullError::Stopped { what: e.to_string() }),
    }
}
