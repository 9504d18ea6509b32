//! The manager that an app has, against a hub of our own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

#[path = "support/hub.rs"]
mod hub;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use hub::{At, Entry, Fault, FaultHandle, Gate, Hub, Kind, On, RepoHandle, What};
use tonnage::error::{ErrorKind, ManagerError};
use tonnage::hub::{Config, Proxy, PullRequest, Retry, Selection};
use tonnage::manager::{DownloadTask, ModelManager};
use tonnage::model::{ModelId, ModelSpec};
use tonnage::open::Trust;
use tonnage::store::Limits;

const MIB: usize = 1 << 20;
const SIZE: usize = 48 * MIB + 5;
const NAME: &str = "org/name";
/// How many bytes more than a file's own may be sent: what is in the buffers of connections that
/// are given up, and groups that did not come whole.
const IN_FLIGHT: u64 = 16 << 20;

/// An executor that knows nothing of anybody's runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// Bytes without repetition.
fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

struct Bench {
    hub: Hub,
    dir: tempfile::TempDir,
    manager: ModelManager,
}

impl Bench {
    fn new() -> Self {
        let (hub, dir) = (Hub::start(), tempfile::tempdir().unwrap());
        let retry = Retry { base: Duration::from_millis(1), attempts: 2, ..Retry::default() };
        let config = Config { endpoint: hub.url(), proxy: Proxy::None, retry, ..Config::default() };
        let manager = ModelManager::open(dir.path().join("store"), config).unwrap();
        Self { hub, dir, manager }
    }

    /// A hub with one large file, which a download gets most of, and then nothing more.
    fn stuck() -> (Self, FaultHandle) {
        let bench = Self::new();
        bench.repo().commit(&[Entry::lfs("model.bin", bytes(1, SIZE))]);
        let stall = What::Stall(At::File(20 * MIB as u64));
        let fault = bench.hub.fault(Fault::new(On::Cdn, stall).forever());
        (bench, fault)
    }

    /// Two connections, of which one hangs.
    fn download(&self) -> DownloadTask {
        self.manager.download(PullRequest { jobs: 2, ..PullRequest::new(model(NAME)) })
    }

    fn most_came(&self) {
        self.hub.wait_for_bytes("model.bin", (SIZE - 12 * MIB) as u64);
    }

    fn repo(&self) -> RepoHandle {
        self.hub.repo(Kind::Model, NAME)
    }

    fn sent(&self) -> u64 {
        self.hub.body_bytes_sent("model.bin")
    }

    fn assert_whole(&self) {
        let path = self.manager.path(model(NAME)).unwrap();
        assert!(path.starts_with(self.dir.path().canonicalize().unwrap()));
        assert!(std::fs::read(path.join("model.bin")).unwrap() == bytes(1, SIZE), "other bytes");
        assert_eq!(self.manager.store().partials().unwrap(), []);
        assert_eq!(self.manager.active_downloads(), 0);
    }

    /// What came of one pull is there for the next, and nobody works on it.
    fn assert_partial(&self) {
        assert_eq!(self.manager.active_downloads(), 0);
        assert!(!self.manager.is_cached(model(NAME)).unwrap());
        assert_eq!(self.manager.store().partials().unwrap().len(), 1);
    }

    fn error(&self, request: impl Into<PullRequest>) -> ManagerError {
        let error = wait(self.manager.download(request).result()).unwrap_err();
        assert_eq!(self.manager.active_downloads(), 0);
        error
    }
}

fn model(name: &str) -> ModelId {
    name.parse().unwrap()
}

fn is_cancelled<T>(result: &Result<T, ManagerError>) -> bool {
    matches!(result, Err(ManagerError::Cancelled))
}

#[test]
fn callers_who_ask_for_the_same_join_one_download() {
    let bench = Bench::new();
    bench.repo().commit(&[Entry::lfs("model.bin", bytes(1, SIZE))]);
    let fault = bench.hub.fault(Fault::new(On::Resolve, What::Stall(At::Head(0))));
    let one = bench.manager.download(model(NAME));
    fault.wait_hits(1);
    let two = bench.manager.clone().download("org/name@main".parse::<ModelSpec>().unwrap());
    assert_eq!(bench.manager.active_downloads(), 1);
    fault.release();
    let (one, two) = (wait(one.result()).unwrap(), wait(two.result()).unwrap());
    assert_eq!(one, two);
    assert_eq!(one.fetched_bytes, SIZE as u64);
    assert_eq!(bench.sent(), SIZE as u64);
    assert_eq!(bench.hub.requests(|request| request.path.contains("/tree/")).len(), 1);
    bench.assert_whole();
}

#[test]
fn other_files_of_the_same_model_are_another_download() {
    let bench = Bench::new();
    bench.repo().commit(&[Entry::git("a", "a"), Entry::git("b", "b")]);
    let fault = bench.hub.fault(Fault::new(On::Info, What::Stall(At::Head(0))).forever());
    let tasks = ["a", "b"].map(|path| {
        let selection = Selection { include: vec![path.to_owned()], ..Selection::default() };
        bench.manager.download(PullRequest { selection, ..PullRequest::new(model(NAME)) })
    });
    assert_eq!(bench.manager.active_downloads(), 2);
    fault.release();
    assert!(tasks.iter().all(|task| wait(task.result()).unwrap().files == 1));
    let plan = wait(bench.manager.plan(model(NAME))).unwrap();
    assert!(plan.is_here);
}

#[test]
fn who_joins_late_sees_the_progress_until_the_end() {
    let (bench, fault) = Bench::stuck();
    let mut one = bench.download();
    bench.most_came();
    let mut two = bench.download();
    let most = |task: &mut DownloadTask| loop {
        let progress = wait(task.next_progress()).unwrap();
        assert!(progress.bytes_downloaded <= progress.total_bytes);
        if progress.bytes_downloaded >= (SIZE - 13 * MIB) as u64 {
            return progress;
        }
    };
    for progress in [most(&mut two), most(&mut one)] {
        assert_eq!(progress.total_bytes, SIZE as u64);
        assert_eq!((progress.files_completed, progress.total_files), (0, 1));
        assert_eq!(progress.current_file.unwrap().as_str(), "model.bin");
        assert!(progress.bytes_per_second > 0);
        assert!(progress.estimated_time_remaining.is_some());
    }
    fault.release();
    for task in [&mut one, &mut two] {
        let mut last = None;
        while let Some(progress) = wait(task.next_progress()) {
            last = Some(progress);
        }
        let last = last.unwrap();
        assert_eq!(last, task.progress());
        assert_eq!((last.bytes_downloaded, last.total_bytes), (SIZE as u64, SIZE as u64));
        assert_eq!((last.files_completed, last.total_files), (1, 1));
        assert_eq!(last.current_file, None);
        assert_eq!(wait(task.next_progress()), None);
        wait(task.result()).unwrap();
    }
    bench.assert_whole();
}

#[test]
fn one_of_two_may_cancel_or_pause_or_go_away_and_the_other_gets_it() {
    let (bench, fault) = Bench::stuck();
    let (mut cancels, drops, pauses, stays) =
        (bench.download(), bench.download(), bench.download(), bench.download());
    bench.most_came();
    cancels.cancel();
    assert!(is_cancelled(&wait(cancels.result())));
    assert_eq!(wait(cancels.next_progress()), None);
    drop(drops);
    pauses.pause();
    assert!(pauses.is_paused() && !stays.is_paused());
    assert_eq!(bench.manager.active_downloads(), 1);
    fault.release();
    assert_eq!(wait(stays.result()).unwrap(), wait(pauses.result()).unwrap());
    assert_eq!(bench.sent(), SIZE as u64);
    bench.assert_whole();
}

#[test]
fn when_all_cancel_what_came_is_kept_and_nothing_runs() {
    let (bench, fault) = Bench::stuck();
    let (one, two) = (bench.download(), bench.download());
    bench.most_came();
    // A button has the second one's control.
    let button = two.control();
    one.cancel();
    button.cancel();
    assert!(is_cancelled(&wait(one.result())) && is_cancelled(&wait(two.result())));
    bench.assert_partial();
    fault.release();
    let again = wait(bench.download().result()).unwrap();
    assert!(again.fetched_bytes < SIZE as u64 / 2, "{}", again.fetched_bytes);
    assert!(bench.sent() <= SIZE as u64 + IN_FLIGHT, "{}", bench.sent());
    bench.assert_whole();
}

#[test]
fn a_task_that_is_dropped_is_cancelled_and_its_partial_can_be_removed() {
    let (bench, _fault) = Bench::stuck();
    let task = bench.download();
    bench.most_came();
    drop(task);
    until(|| bench.manager.active_downloads() == 0);
    bench.assert_partial();
    // The last write may still be on its way.
    until(|| bench.manager.remove(model(NAME)).is_ok_and(|freed| freed.freed_bytes > 0));
    assert_eq!(bench.manager.store().partials().unwrap(), []);
    let missing = bench.manager.remove(model(NAME)).unwrap_err();
    assert!(matches!(missing, ManagerError::NotFound(_)), "{missing:?}");
}

#[test]
fn a_paused_download_goes_on_where_it_was() {
    let (bench, fault) = Bench::stuck();
    let task = bench.download();
    bench.most_came();
    task.pause();
    assert!(task.is_paused());
    // While it is paused nobody works on what came.
    until(|| task.progress().current_file.is_none());
    until(|| bench.manager.store().partials().unwrap().iter().all(|partial| !partial.in_use));
    let paused = task.progress();
    assert_eq!((paused.bytes_per_second, paused.estimated_time_remaining), (0, None));
    assert!(paused.bytes_downloaded > SIZE as u64 / 2);
    assert_eq!(paused.total_bytes, SIZE as u64);
    assert_eq!(bench.manager.active_downloads(), 1);
    fault.release();
    task.resume();
    let pulled = wait(task.result()).unwrap();
    // The second run got what the first one had not.
    assert!(pulled.fetched_bytes < SIZE as u64 / 2, "{}", pulled.fetched_bytes);
    assert!(bench.sent() <= SIZE as u64 + IN_FLIGHT, "{}", bench.sent());
    assert_eq!(task.progress().bytes_downloaded, SIZE as u64);
    bench.assert_whole();
}

#[test]
fn who_joins_a_paused_download_makes_it_go_on_and_a_paused_one_can_be_cancelled() {
    let (bench, fault) = Bench::stuck();
    let paused = bench.download();
    bench.most_came();
    paused.pause();
    until(|| paused.progress().current_file.is_none());
    fault.release();
    let joins = bench.download();
    assert_eq!(wait(joins.result()).unwrap(), wait(paused.result()).unwrap());
    bench.assert_whole();

    bench.hub.repo(Kind::Model, "org/other").commit(&[Entry::git("a", "a")]);
    let fault = bench.hub.fault(Fault::new(On::Info, What::Stall(At::Head(0))));
    let other = bench.manager.download(model("org/other"));
    fault.wait_hits(1);
    other.pause();
    other.cancel();
    assert!(is_cancelled(&wait(other.result())));
    assert_eq!(bench.manager.active_downloads(), 0);
}

#[test]
fn a_download_outlives_its_manager() {
    let (bench, fault) = Bench::stuck();
    let task = bench.download();
    bench.most_came();
    let Bench { hub, dir, manager } = bench;
    drop(manager);
    fault.release();
    assert_eq!(wait(task.result()).unwrap().fetched_bytes, SIZE as u64);
    drop((task, hub, dir));
}

#[test]
fn a_manager_may_come_and_go_within_another_runtime() {
    let bench = Bench::new();
    bench.repo().commit(&[Entry::git("a", "a")]);
    let home = bench.dir.path().join("another");
    let config = Config { endpoint: "ftp://x".to_owned(), ..Config::default() };
    let good = Config { endpoint: bench.hub.url(), proxy: Proxy::None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let refused = ModelManager::open(&home, config).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage);
        let manager = ModelManager::open(&home, good).unwrap();
        assert_eq!(manager.download(model(NAME)).result().await.unwrap().files, 1);
    });
}

#[test]
fn errors_say_what_an_app_can_act_on() {
    let bench = Bench::new();
    let missing = bench.error(model("org/nothing"));
    assert!(matches!(missing, ManagerError::NotFound(_)), "{missing:?}");
    assert_eq!((missing.kind(), missing.is_retryable()), (ErrorKind::NotFound, false));

    bench.repo().commit(&[Entry::lfs("model.bin", bytes(1, 3 * MIB))]);
    let revision = bench.error("org/name@v7".parse::<ModelSpec>().unwrap());
    assert!(matches!(revision, ManagerError::NotFound(_)), "{revision:?}");
    let selection = Selection { include: vec!["*.gguf".to_owned()], ..Selection::default() };
    let nothing = bench.error(PullRequest { selection, ..PullRequest::new(model(NAME)) });
    assert!(matches!(nothing, ManagerError::NotFound(_)), "{nothing:?}");

    let fault = bench.hub.fault(Fault::new(On::Info, What::rate_limited(700)).forever());
    let limited = bench.error(model(NAME));
    let after = Some(Duration::from_secs(700));
    let is_told =
        matches!(limited, ManagerError::RateLimited { retry_after, .. } if retry_after == after);
    assert!(is_told && limited.is_retryable(), "{limited:?}");
    assert!(limited.hint().unwrap().contains("700 s"));
    fault.release();

    let fault = bench.hub.fault(Fault::new(On::Content, What::status(503)).forever());
    let network = bench.error(model(NAME));
    assert!(matches!(network, ManagerError::Network(_)) && network.is_retryable(), "{network:?}");
    fault.release();

    let fault = bench.hub.fault(Fault::new(On::Cdn, What::FlipBit(77)).forever());
    let wrong = bench.error(model(NAME));
    let is_told = matches!(&wrong, ManagerError::ChecksumMismatch { path, .. } if path.as_str() == "model.bin");
    assert!(is_told && !wrong.is_retryable(), "{wrong:?}");
    fault.release();

    let repo = bench.hub.repo(Kind::Model, "org/gated");
    repo.commit(&[Entry::lfs("model.bin", bytes(2, 100))]);
    repo.gated(Gate::Manual);
    let gated = bench.error(model("org/gated"));
    assert!(matches!(gated, ManagerError::Gated { with_token: false, .. }), "{gated:?}");
    assert_eq!(gated.kind(), ErrorKind::Hub);
    assert!(gated.hint().unwrap().contains("licence"));
}

#[test]
fn what_does_not_fit_says_how_much_could_be_made_free() {
    let bench = Bench::new();
    bench.repo().commit(&[Entry::lfs("model.bin", bytes(1, 2 * MIB))]);
    let huge = Entry::lfs("model.bin", "x").claiming_size(1 << 60);
    bench.hub.repo(Kind::Model, "org/huge").commit(&[huge]);
    wait(bench.manager.download(model(NAME)).result()).unwrap();
    let error = bench.error(model("org/huge"));
    let ManagerError::InsufficientSpace { required, available, evictable } = error else {
        panic!("{error:?}")
    };
    assert_eq!(required, 1 << 60);
    assert!(available < required && evictable >= 2 * MIB as u64, "{available} {evictable}");
    assert!(bench.manager.is_cached(model(NAME)).unwrap());
}

#[test]
fn both_who_joined_get_the_error() {
    let bench = Bench::new();
    let fault = bench.hub.fault(Fault::new(On::Info, What::Stall(At::Head(0))));
    let (one, mut two) = (bench.download(), bench.download());
    fault.wait_hits(1);
    fault.release();
    let (first, second) = (wait(one.result()).unwrap_err(), wait(two.result()).unwrap_err());
    assert_eq!(first.kind(), ErrorKind::NotFound);
    assert_eq!(first.to_string(), second.to_string());
    // Whoever asks late hears the same.
    assert_eq!(wait(two.result()).unwrap_err().kind(), ErrorKind::NotFound);
    while wait(two.next_progress()).is_some() {}
}

#[test]
fn several_models_come_as_one_and_are_kept_and_removed() {
    let bench = Bench::new();
    let names = ["org/a", "org/b", "org/c", "org/d", "org/e", "org/f"];
    for (seed, name) in (1..).zip(names) {
        bench.hub.repo(Kind::Model, name).commit(&[Entry::lfs("model.bin", bytes(seed, MIB))]);
    }
    let all = names.into_iter().chain(["org/nothing"]).map(model);
    let mut group = bench.manager.download_all(all);
    assert_eq!(group.tasks().len(), 7);
    let mut last = None;
    while let Some(progress) = wait(group.next_progress()) {
        last = Some(progress);
    }
    let last = last.unwrap();
    assert_eq!((last.bytes_downloaded, last.total_bytes), (6 * MIB as u64, 6 * MIB as u64));
    assert_eq!((last.files_completed, last.total_files), (6, 6));
    let results = wait(group.results());
    assert!(results[..6].iter().all(Result::is_ok));
    assert_eq!(results[6].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(bench.manager.active_downloads(), 0);

    let cached = bench.manager.cached_models().unwrap();
    assert_eq!(cached.len(), 6);
    assert!(cached.is_sorted_by_key(|listed| std::cmp::Reverse(listed.last_used)));
    assert!(bench.manager.is_cached(model("org/a")).unwrap());
    assert!(!bench.manager.is_cached(model("org/nothing")).unwrap());
    assert!(!bench.manager.is_cached("org/a@v1".parse::<ModelSpec>().unwrap()).unwrap());
    assert!(bench.manager.cache_size().unwrap() >= 6 * MIB as u64);
    let path = bench.manager.path(model("org/b")).unwrap();
    assert!(std::fs::read(path.join("model.bin")).unwrap() == bytes(2, MIB));
    let open = bench.manager.open_model(model("org/b"), Trust::Touched).unwrap();
    let file = open.file("model.bin").unwrap();
    assert!(file.bytes(0..file.size()).unwrap() == bytes(2, MIB));
    assert_eq!(bench.manager.remove(model("org/b")).unwrap().kept.len(), 1, "it is open");
    drop(open);
    assert!(bench.manager.remove(model("org/b")).unwrap().freed_bytes >= MIB as u64);
    assert!(!path.exists());
    let gone = bench.manager.path(model("org/b")).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);

    assert_eq!(bench.manager.evict_older_than(Duration::from_secs(3600)).unwrap().freed.gone, []);
    let size = bench.manager.cache_size().unwrap();
    let evicted = bench.manager.evict_to_fit(size - 1).unwrap();
    assert_eq!((evicted.freed.gone.len(), evicted.before), (1, size));
    assert_eq!(evicted.after, bench.manager.cache_size().unwrap());
    // A limit that one of them has to go for.
    let limit = |bytes| {
        let limits = Limits { max_bytes: Some(bytes), low_percent: 100, ..Limits::default() };
        bench.manager.set_limits(limits);
    };
    limit(bench.manager.cache_size().unwrap() + MIB as u64 / 2);
    let pulled = wait(bench.manager.download(model("org/b")).result()).unwrap();
    assert_eq!(pulled.evicted.len(), 1);
    limit(1);
    bench.hub.repo(Kind::Model, "org/g").commit(&[Entry::lfs("model.bin", bytes(9, MIB))]);
    let full = wait(bench.manager.download(model("org/g")).result()).unwrap_err();
    assert!(matches!(full, ManagerError::InsufficientSpace { .. }), "{full}");
    assert_eq!(full.kind(), ErrorKind::NoSpace);
    let kept = bench.manager.cached_models().unwrap().pop().unwrap();
    let kept = bench.manager.store().resolve(&kept.model.clone().into()).unwrap();
    bench.manager.store().set_pinned(&kept, true).unwrap();
    let cleared = bench.manager.clear_cache().unwrap();
    assert_eq!((cleared.freed.gone.len(), cleared.freed.kept.len()), (3, 1));
    assert_eq!(bench.manager.cached_models().unwrap().len(), 1);
}
