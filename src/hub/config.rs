//! What a client is told.

use std::time::Duration;

use super::{Proxy, Retry, Token};

/// How a [`Client`](super::Client) reaches the hub.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hub's address: `http` or `https`, a host, and a path if it has one.
    pub endpoint: String,
    /// Sent to the endpoint's own origin, and nowhere else.
    pub token: Option<Token>,
    /// How this program names itself.
    pub user_agent: String,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long to wait for the head of an answer.
    pub answer: Duration,
    /// How long to wait for the next byte of an answer.
    pub stall: Duration,
    /// How requests that failed are repeated.
    pub retry: Retry,
    /// The way out; none but the direct one unless told.
    pub proxy: Proxy,
    /// Every request fails with [`Offline`](crate::error::HubError::Offline).
    pub offline: bool,
}

impl Config {
    /// Where models come from when nothing else is said.
    pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Self::DEFAULT_ENDPOINT.to_owned(),
            token: None,
            user_agent: concat!("tonnage/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            retry: Retry::default(),
            proxy: Proxy::None,
            offline: false,
        }
    }
}
