//! A hub, a store, and a pull between them.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tonnage::digest::BlobHash;
use tonnage::error::PullError;
use tonnage::hub::{Client, Config, Proxy, PullProgress, PullRequest, Pulled, Retry, pull};
use tonnage::model::ModelId;
use tonnage::store::{Access, Store};

use crate::hub::{Entry, Hub, Kind, RepoHandle};

pub const MIB: usize = 1 << 20;
pub const NAME: &str = "org/name";

/// How many bytes more than a file's own may be sent: what is in the buffers of a connection that
/// is given up, and a group that did not come whole.
pub const IN_FLIGHT: u64 = 16 << 20;

pub struct Bench {
    pub hub: Hub,
    pub dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// Bytes without repetition.
pub fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

impl Bench {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self { hub: Hub::start(), dir: tempfile::tempdir().unwrap(), runtime }
    }

    pub fn model() -> ModelId {
        NAME.parse().unwrap()
    }

    pub fn repo(&self) -> RepoHandle {
        self.hub.repo(Kind::Model, NAME)
    }

    /// A repository with one large file of `len` bytes, `model.bin`.
    pub fn with_file(&self, len: usize) -> Vec<u8> {
        let bytes = bytes(1, len);
        self.repo().commit(&[Entry::lfs("model.bin", bytes.clone())]);
        bytes
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(self.home(), Access::Write).unwrap())
    }

    pub fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }

    pub fn config(&self) -> Config {
        Config {
            endpoint: self.hub.url(),
            stall: Duration::from_millis(400),
            retry: Retry {
                attempts: 5,
                base: Duration::from_millis(1),
                cap: Duration::from_millis(8),
                ..Retry::default()
            },
            proxy: Proxy::None,
            ..Config::default()
        }
    }

    pub fn request() -> PullRequest {
        PullRequest { jobs: 4, ..PullRequest::new(Self::model()) }
    }

    pub fn pull(&self) -> Result<Pulled, PullError> {
        self.pull_as(Self::request())
    }

    pub fn pull_as(&self, request: PullRequest) -> Result<Pulled, PullError> {
        let progress = Arc::new(PullProgress::new());
        self.run(pull(self.store(), &self.client(), &request, &progress))
    }

    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs a pull beside the test.
    pub fn spawn(
        &self,
        store: Arc<Store>,
        request: PullRequest,
        progress: &Arc<PullProgress>,
    ) -> tokio::task::JoinHandle<Result<Pulled, PullError>> {
        let (client, progress) = (self.client(), progress.clone());
        self.runtime.spawn(async move { pull(store, &client, &request, &progress).await })
    }

    /// The files of the model's revision at `at`, with their bytes as the store has them.
    pub fn stored(&self, at: &str) -> Vec<(String, Vec<u8>)> {
        let store = self.store();
        let revision = store.resolve(&format!("{NAME}@{at}").parse().unwrap()).unwrap();
        let manifest = store.manifest(&revision).unwrap();
        let read = |blob: &BlobHash| {
            let bytes = std::fs::read(self.home().join("blobs").join(blob.to_string())).unwrap();
            assert_eq!(BlobHash::of(&bytes), *blob);
            bytes
        };
        manifest.files().iter().map(|file| (file.path.to_string(), read(&file.blob))).collect()
    }

    /// The store has `model.bin` with these bytes, breaks no rule, and has nothing left over.
    pub fn assert_whole(&self, bytes: &[u8]) {
        let stored = self.stored("main");
        assert_eq!(stored.len(), 1);
        assert!(stored[0].1 == bytes, "other bytes");
        self.assert_tidy();
    }

    pub fn assert_tidy(&self) {
        let store = self.store();
        assert_eq!(store.fsck().unwrap().problems, []);
        assert_eq!(store.partials().unwrap(), []);
        let staging = std::fs::read_dir(self.home().join("staging")).unwrap();
        assert_eq!(staging.count(), 0);
    }

    /// The store has nothing of the model but, perhaps, parts of it.
    pub fn assert_nothing_published(&self) {
        let store = self.store();
        assert_eq!(store.list().unwrap(), []);
        assert_eq!(store.fsck().unwrap().problems, []);
        assert_eq!(std::fs::read_dir(self.home().join("blobs")).unwrap().count(), 0);
    }

    pub fn sent(&self) -> u64 {
        self.hub.body_bytes_sent("model.bin")
    }
}
