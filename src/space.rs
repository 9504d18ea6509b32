//! Space: what takes it, and what gives it back.

mod admit;
mod evict;
mod ledger;
mod remove;
mod sharing;
mod usage;
mod why;

#[cfg(feature = "hub")]
pub(crate) use admit::{TRIES, make_room};
pub use admit::{add, room_for};
pub use evict::{EvictGoal, EvictOptions, Evicted, evict};
pub use remove::{Freed, Gone, Kept, RemoveOptions, collect, collectable, remove};
pub use sharing::{Sharing, sharing};
pub use usage::{ModelUsage, Usage, usage};
pub use why::{Need, Why, why};
