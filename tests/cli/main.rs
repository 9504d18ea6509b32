//! The command line, run as a user runs it: the real binary, real directories, real signals.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../support/process.rs"]
mod process;
#[path = "../support/terminal.rs"]
mod screen;

mod adding;
mod demo;
mod evict;
mod hostile;
mod integrity;
mod lease;
mod limits;
mod listing;
mod manners;
mod sharing;
mod signals;
mod space;
mod support;
mod trash;
mod views;
