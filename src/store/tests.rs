//! The engine on the simulated file system.

mod check;
#[cfg(feature = "config")]
mod crash_config;
mod crash_import;
mod crash_index;
mod crash_removal;
mod crash_view;
mod engine;
mod interleave;
mod seeds;
mod torture;
mod world;
