//! The page, used by a person: a real browser, a real server, and a loopback hub behind it.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(clippy::panic, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]

#[path = "../serve/bench.rs"]
#[expect(dead_code, reason = "what the mirror's own tests need")]
mod bench;
#[path = "../hub/client.rs"]
#[expect(dead_code, reason = "what the hub's own tests need")]
mod client;
#[path = "../support/hub.rs"]
mod hub;
#[path = "../support/mod.rs"]
mod support;

mod browser;
mod desk;
mod downloads;
mod everywhere;
mod models;
mod sharing;
mod storage;
