//! The engine on the simulated file system.

mod engine;
