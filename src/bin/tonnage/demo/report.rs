//! What `demo --json` says: one object, whose fields stay.

use serde::Serialize;
use serde_json::Value;

#[derive(Default, Serialize)]
pub struct Report {
    /// Bytes of all models that were added.
    pub added_bytes: u64,
    /// Those of them that the store did not have.
    pub new_bytes: u64,
    /// These four as `du` says them.
    pub apparent: u64,
    pub exclusive: u64,
    pub shared: u64,
    pub physical: u64,
    /// Each as `checkout` says it.
    pub checkouts: Vec<Value>,
    /// As `verify --full` says it, while a bit is wrong.
    pub damage: Value,
    /// Each as `rm` says it.
    pub removed: Vec<Value>,
    /// As `pull --dry-run` says it, of an empty store.
    pub plan: Value,
    /// As `pull` says it.
    pub pull: Value,
    /// As `verify --full` says it, of what was pulled.
    pub arrived: Value,
    /// Each with its name and milliseconds, in their order.
    pub steps: Vec<Value>,
    /// The temporary directory, when it stays.
    pub kept: Option<String>,
}
