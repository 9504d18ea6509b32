//! The test hub itself, asked over plain sockets: it answers as the real one does, and goes wrong
//! at the byte it is told to.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::panic, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]

#[path = "../support/hub.rs"]
mod hub;

mod api;
mod bodies;
mod client;
mod faults;
mod files;
mod refusals;
mod watching;
