//! `pull` as its user runs it: real processes against a hub of our own on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

#[path = "../support/mod.rs"]
mod common;
#[path = "../support/hub.rs"]
mod hub;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/terminal.rs"]
mod screen;
#[path = "../support/tls.rs"]
mod tls;

mod config;
mod crowd;
mod death;
mod full_disk;
mod kills;
mod limits;
mod manners;
mod memory;
mod mending;
mod outdated;
mod outside;
mod refusals;
mod sharing;
mod support;
mod terminal;
