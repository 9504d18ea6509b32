//! That something changed, for all who listen.

use tokio::sync::watch;

/// How often each thing changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    pub downloads: u64,
    pub verify: u64,
    pub store: u64,
    /// The server stops.
    pub closed: bool,
}

/// Where changes are told.
#[derive(Debug, Default)]
pub struct News(watch::Sender<Versions>);

impl News {
    pub fn subscribe(&self) -> watch::Receiver<Versions> {
        self.0.subscribe()
    }

    /// The list of downloads changed, or how far they are.
    pub fn downloads(&self) {
        self.0.send_modify(|versions| versions.downloads += 1);
    }

    /// So did what a verification found.
    pub fn verify(&self) {
        self.0.send_modify(|versions| versions.verify += 1);
    }

    /// So did models, the trash or space.
    pub fn store(&self) {
        self.0.send_modify(|versions| versions.store += 1);
    }

    /// Nothing is told any more.
    pub fn close(&self) {
        self.0.send_modify(|versions| versions.closed = true);
    }
}
