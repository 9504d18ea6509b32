//! Space: what takes it, and what gives it back.

mod evict;
mod ledger;
mod physical;
mod remove;
mod usage;
mod why;

pub use evict::{EvictGoal, EvictOptions, Evicted, evict};
pub use remove::{Freed, Gone, Kept, RemoveOptions, collect, collectable, remove};
pub use usage::{ModelUsage, Usage, usage};
pub use why::{Need, Why, why};
