//! A hub of our own on loopback: what a downloading client asks of a model hub, answered to the
//! byte, and every way of answering wrongly on request.
//!
//! A test file that needs it says
//!
//! ```ignore
//! #[path = "support/hub.rs"]
//! mod hub;
//! ```
//!
//! Two origins listen, each on a port of its own: the hub, and a content network that the hub
//! redirects to for large files. Tests synchronise on [`Hub::wait_for`] and on what a
//! [`FaultHandle`] tells, never on time.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unused_imports, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

#[path = "hub/answer.rs"]
mod answer;
#[path = "hub/api.rs"]
mod api;
#[path = "hub/content.rs"]
mod content;
#[path = "hub/encode.rs"]
mod encode;
#[path = "hub/exchange.rs"]
mod exchange;
#[path = "hub/fault.rs"]
mod fault;
#[path = "hub/files.rs"]
mod files;
#[path = "hub/log.rs"]
mod log;
#[path = "hub/plan.rs"]
mod plan;
#[path = "hub/refusal.rs"]
mod refusal;
#[path = "hub/repo.rs"]
mod repo;
#[path = "hub/route.rs"]
mod route;
#[path = "hub/send.rs"]
mod send;
#[path = "hub/server.rs"]
mod server;
#[path = "hub/strike.rs"]
mod strike;
#[path = "hub/tree.rs"]
mod tree;
#[path = "hub/wire.rs"]
mod wire;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

pub use content::{Entry, git_sha1, sha256};
pub use fault::{At, Fault, FaultHandle, On, What};
pub use log::{Origin, Request};
pub use repo::{Gate, Kind, RepoHandle};

use server::Shared;

/// A hub that serves until it is dropped.
pub struct Hub {
    shared: Arc<Shared>,
    listeners: Vec<(SocketAddr, JoinHandle<()>)>,
}

impl Hub {
    /// Starts one with no repository, token or fault.
    pub fn start() -> Self {
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let cdn = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared::new(hub.local_addr().unwrap(), cdn.local_addr().unwrap()));
        let listeners = [(Origin::Hub, hub), (Origin::Cdn, cdn)]
            .map(|(origin, listener)| {
                let address = listener.local_addr().unwrap();
                let shared = Arc::clone(&shared);
                (address, std::thread::spawn(move || server::listen(&shared, origin, &listener)))
            })
            .into();
        Self { shared, listeners }
    }

    /// The endpoint to give to a client, without a slash at its end.
    pub fn url(&self) -> String {
        self.shared.url(Origin::Hub)
    }

    /// The origin that large files come from.
    pub fn cdn_url(&self) -> String {
        self.shared.url(Origin::Cdn)
    }

    /// A repository, which is made if it is not there.
    pub fn repo(&self, kind: Kind, id: &str) -> RepoHandle {
        RepoHandle::new(Arc::clone(&self.shared), kind, id)
    }

    /// A token of `user` that the hub knows.
    pub fn token(&self, token: &str, user: &str) {
        self.shared.change(|state| state.tokens.insert(token.into(), user.into()));
    }

    /// Lets something go wrong from now on. Of several faults, the ones registered first strike
    /// first (see [`Fault`]).
    pub fn fault(&self, fault: Fault) -> FaultHandle {
        FaultHandle::new(Arc::clone(&self.shared), fault)
    }

    /// Ends every fault; whatever hangs in one goes on.
    pub fn release_all(&self) {
        self.shared.change(|state| state.faults.iter_mut().for_each(fault::Live::release));
    }

    /// The most entries on a page of a tree: 1000 unless told.
    pub fn page_size(&self, entries: usize) {
        self.shared.change(|state| state.settings.page_size = entries);
    }

    /// Whether links to next pages are relative, as some mirrors make them.
    pub fn relative_links(&self, relative: bool) {
        self.shared.change(|state| state.settings.relative_links = relative);
    }

    /// Whether answers tell of the hub's other protocol (`X-Xet-Hash`, `xetHash`).
    pub fn xet_signals(&self, told: bool) {
        self.shared.change(|state| state.settings.xet_signals = told);
    }

    /// Whether files are served by `resolve` itself, without any redirect, as mirrors do.
    pub fn serve_directly(&self, directly: bool) {
        self.shared.change(|state| state.settings.serve_directly = directly);
    }

    /// Lets every link to the content network that was given out answer 403 from now on.
    pub fn expire_links(&self) {
        self.shared.change(server::State::expire_links);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.stop();
        for (address, thread) in self.listeners.drain(..) {
            // Only a connection wakes it.
            let _ = TcpStream::connect(address);
            let _ = thread.join();
        }
        self.shared.wait_until(|state| state.threads == 0);
    }
}
