//! The download engine against a hub of our own: a store, a client, and what goes wrong between
//! them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

#[path = "../support/hub.rs"]
mod hub;

mod bench;

mod concurrent;
mod plain;
mod resume;
mod reuse;
mod storm;
mod weather;
