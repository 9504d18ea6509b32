//! The engine on the simulated file system.

mod check;
mod crash_import;
mod crash_index;
mod crash_removal;
mod crash_view;
mod engine;
mod interleave;
mod torture;
mod world;
