//! The mirror: clients of a hub, a loopback hub behind it, and a store between.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(clippy::panic, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]

#[path = "../hub/client.rs"]
#[expect(dead_code, reason = "what the hub's own tests need")]
mod client;
#[path = "../support/hub.rs"]
mod hub;
#[path = "../support/mod.rs"]
mod support;

mod access;
mod api;
mod bench;
mod by_hand;
mod files;
mod hostile;
mod listings;
mod local;
mod misses;
mod offline;
mod program;
