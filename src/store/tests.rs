//! The engine on the simulated file system.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod check;
mod crash_import;
mod crash_index;
mod crash_removal;
mod crash_view;
mod engine;
mod interleave;
mod torture;
mod world;
