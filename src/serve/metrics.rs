//! What is counted, for Prometheus.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What a request was for, and how it ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ending {
    route: &'static str,
    status: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

/// The counters. Names are those of Prometheus' conventions: a unit, and `_total` for what only grows.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Ending, Counter>,
    latency: Family<Route, Histogram>,
    pub hits: Counter,
    pub misses: Counter,
    pub served_bytes: Counter,
    upstream_bytes: Counter,
    evicted: Counter,
    freed_bytes: Counter,
    pub damaged: Counter,
    downloads: Gauge,
    stored: Gauge<i64>,
    shared: Gauge<i64>,
    revisions: Gauge<i64>,
    pub connections: Gauge,
    encoding: Mutex<()>,
}

/// What is measured when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub stored_bytes: u64,
    pub shared_bytes: u64,
    pub revisions: u64,
    pub upstream_bytes: u64,
    pub evicted_revisions: u64,
    pub freed_bytes: u64,
    pub downloads: u64,
}

impl Metrics {
    pub fn new() -> Self {
        let latency = Family::<Route, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 8))
        });
        let mut metrics = Self {
            registry: Registry::with_prefix("tonnage"),
            requests: Family::default(),
            latency,
            hits: Counter::default(),
            misses: Counter::default(),
            served_bytes: Counter::default(),
            upstream_bytes: Counter::default(),
            evicted: Counter::default(),
            freed_bytes: Counter::default(),
            damaged: Counter::default(),
            downloads: Gauge::default(),
            stored: Gauge::default(),
            shared: Gauge::default(),
            revisions: Gauge::default(),
            connections: Gauge::default(),
            encoding: Mutex::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        let bytes = || Unit::Bytes;
        registry.register("requests", "Requests, by what for and status", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time to the head of an answer",
            Unit::Seconds,
            self.latency.clone(),
        );
        registry.register("hits", "Files served from the store", self.hits.clone());
        registry.register("misses", "Files that had to come from the hub", self.misses.clone());
        for (name, help, counter) in [
            ("served", "Bytes of files given to clients", &self.served_bytes),
            ("upstream", "Bytes that came from the hub", &self.upstream_bytes),
            ("freed", "Bytes that evictions and removals brought back", &self.freed_bytes),
        ] {
            registry.register_with_unit(name, help, bytes(), counter.clone());
        }
        registry.register("evicted_revisions", "Revisions that were evicted", self.evicted.clone());
        registry.register("verify_failures", "Files found damaged", self.damaged.clone());
        registry.register("downloads", "Downloads that are not over", self.downloads.clone());
        registry.register("revisions", "Revisions in the store", self.revisions.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let (stored, shared) = (self.stored.clone(), self.shared.clone());
        registry.register_with_unit("stored", "Bytes the store takes on the disk", bytes(), stored);
        let help = "Bytes of blobs that several revisions need";
        registry.register_with_unit("shared", help, bytes(), shared);
    }

    /// A request was answered.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Ending { route, status: status.into() }).inc();
        self.latency.get_or_create(&Route { route }).observe(took.as_secs_f64());
    }

    /// All of it as text.
    pub fn encode(&self, measured: Measured) -> String {
        // Two who ask at once must not both add what is new.
        let _one = self.encoding.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.stored.set(number(measured.stored_bytes));
        self.shared.set(number(measured.shared_bytes));
        self.revisions.set(number(measured.revisions));
        self.downloads.set(number(measured.downloads));
        for (counter, now) in [
            (&self.upstream_bytes, measured.upstream_bytes),
            (&self.evicted, measured.evicted_revisions),
            (&self.freed_bytes, measured.freed_bytes),
        ] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
