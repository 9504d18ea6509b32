//! What all requests share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::api::{Downloads, News, Verification};
use super::fault::Fault;
use super::guard::Guard;
use super::journal::Journal;
use super::memo::Memo;
use super::metrics::Metrics;
use super::origin::{Origin, blocking};
use crate::digest::{BlobHash, Upstream};
use crate::hub::RemoteFile;
use crate::hub::inflow::Inflow;
use crate::manager::ModelManager;
use crate::model::Manifest;
use crate::store::{Resolved, Store};

/// A manifest never changes; so long one that is not asked for stays in memory.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a revision that is read is noted as used.
const USE: Duration = Duration::from_secs(10);

/// What all requests share.
pub(super) struct App {
    pub store: Arc<Store>,
    pub manager: ModelManager,
    pub origin: Arc<Origin>,
    pub inflow: Inflow,
    pub guard: Guard,
    pub metrics: Metrics,
    pub journal: Journal,
    pub news: News,
    pub downloads: Downloads,
    pub verification: Verification,
    manifests: Memo<BlobHash, Arc<Manifest>>,
    /// By manifest.
    pub local_files: Memo<BlobHash, Arc<Vec<RemoteFile>>>,
    pub local_digests: Memo<BlobHash, Option<Upstream>>,
    used: Mutex<HashMap<BlobHash, Instant>>,
}

impl App {
    pub fn new(manager: ModelManager, origin: Origin, inflow: Inflow, guard: Guard) -> Self {
        Self {
            store: manager.store().clone(),
            manager,
            origin: Arc::new(origin),
            inflow,
            guard,
            metrics: Metrics::new(),
            journal: Journal::default(),
            news: News::default(),
            downloads: Downloads::default(),
            verification: Verification::default(),
            manifests: Memo::new(LONG, 64),
            local_files: Memo::new(LONG, 16),
            local_digests: Memo::new(LONG, 4096),
            used: Mutex::default(),
        }
    }

    pub async fn manifest(&self, of: &Resolved) -> Result<Arc<Manifest>, Fault> {
        let ask = async || {
            let (store, of) = (self.store.clone(), of.clone());
            blocking(move || Ok(Arc::new(store.manifest(&of)?))).await
        };
        self.manifests.get(&of.manifest, ask).await
    }

    /// Whether it is time to note that a revision is used.
    pub fn is_use_due(&self, of: &Resolved) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, last| last.elapsed() < USE);
        let due = !used.contains_key(&of.manifest);
        if due {
            used.insert(of.manifest, Instant::now());
        }
        due
    }
}
