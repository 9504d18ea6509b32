//! Pulls of one model at the same time.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tonnage::error::PullError;
use tonnage::hub::{PullProgress, PullRequest, Pulled, Selection, Stage};

use crate::bench::{Bench, MIB, bytes};
use crate::hub::{At, Entry, Fault, FaultHandle, On, What};

const SIZE: usize = 20 * MIB + 1;

/// The first pull hangs before the last byte until the second one waits for it.
fn two_pulls(share: bool) {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = bench.hub.fault(Fault::new(On::Resolve, What::Stall(At::Head(0))));
    let (first, second) = (Arc::new(PullProgress::new()), Arc::new(PullProgress::new()));
    let store = bench.store();
    let one = bench.spawn(store.clone(), Bench::request(), &first);
    fault.wait_hits(1);
    let store = if share { store } else { bench.store() };
    let two = bench.spawn(store, Bench::request(), &second);
    while second.stage() != Stage::Waiting {
        assert!(!two.is_finished());
        std::thread::yield_now();
    }
    fault.release();
    let (one, two) = (bench.run(one).unwrap().unwrap(), bench.run(two).unwrap().unwrap());
    assert_eq!(one.revision, two.revision);
    assert_eq!((one.fetched_bytes, two.fetched_bytes), (SIZE as u64, 0));
    assert_eq!(bench.sent(), SIZE as u64);
    let snapshot = second.snapshot();
    assert_eq!((snapshot.done_bytes, snapshot.total_bytes), (SIZE as u64, SIZE as u64));
    bench.assert_whole(&bytes);
}

#[test]
fn two_pulls_with_one_store_fetch_each_byte_once() {
    two_pulls(true);
}

#[test]
fn two_pulls_with_two_stores_fetch_each_byte_once() {
    two_pulls(false);
}

#[test]
fn many_pulls_at_once_fetch_each_byte_once() {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let shared = bench.store();
    let pulls: Vec<_> = (0..6)
        .map(|i| {
            let store = if i % 2 == 0 { shared.clone() } else { bench.store() };
            bench.spawn(store, Bench::request(), &Arc::new(PullProgress::new()))
        })
        .collect();
    let fetched: u64 =
        pulls.into_iter().map(|pull| bench.run(pull).unwrap().unwrap().fetched_bytes).sum();
    assert_eq!(fetched, SIZE as u64);
    assert_eq!(bench.sent(), SIZE as u64);
    bench.assert_whole(&bytes);
}

#[test]
fn pulls_of_different_files_of_one_commit_both_count() {
    let bench = Bench::new();
    let (a, b) = (bytes(1, 5 * MIB), bytes(2, 5 * MIB));
    bench.repo().commit(&[Entry::lfs("a.bin", a.clone()), Entry::lfs("b.bin", b.clone())]);
    let pulls: Vec<_> = ["a.bin", "b.bin"]
        .map(|path| {
            let selection = Selection { include: vec![path.to_owned()], ..Selection::default() };
            let request = PullRequest { selection, ..Bench::request() };
            bench.spawn(bench.store(), request, &Arc::new(PullProgress::new()))
        })
        .into();
    for pull in pulls {
        assert_eq!(bench.run(pull).unwrap().unwrap().fetched_bytes, 5 * MIB as u64);
    }
    let expected = [("a.bin".to_owned(), a), ("b.bin".to_owned(), b)];
    assert!(bench.stored("main") == expected);
    bench.assert_tidy();
}

/// A pull of the first commit that hangs, and one of the next commit, which has the same large file:
/// how many bytes that one fetches when the first one has ended.
fn next_commit(
    ends: impl FnOnce(&Bench, FaultHandle, JoinHandle<Result<Pulled, PullError>>),
) -> u64 {
    let bench = Bench::new();
    let large = bench.with_file(SIZE);
    let fault = bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(18 * MIB as u64))));
    let one = bench.spawn(bench.store(), Bench::request(), &Arc::new(PullProgress::new()));
    fault.wait_hits(1);
    bench.repo().commit(&[Entry::lfs("model.bin", large), Entry::git("new", "new")]);
    let progress = Arc::new(PullProgress::new());
    let two = bench.spawn(bench.store(), Bench::request(), &progress);
    while progress.stage() != Stage::Waiting {
        assert!(!two.is_finished());
        std::thread::yield_now();
    }
    ends(&bench, fault, one);
    let fetched = bench.run(two).unwrap().unwrap().fetched_bytes;
    assert_eq!(bench.stored("main").len(), 2);
    bench.assert_tidy();
    fetched
}

#[test]
fn two_commits_with_one_large_file_fetch_it_once() {
    let fetched = next_commit(|bench, fault, one| {
        fault.release();
        assert_eq!(bench.run(one).unwrap().unwrap().fetched_bytes, SIZE as u64);
    });
    assert_eq!(fetched, 3);
}

#[test]
fn pulls_of_two_commits_that_begin_at_once_fetch_the_large_file_once() {
    let bench = Bench::new();
    let large = Entry::lfs("model.bin", bytes(1, SIZE));
    let commits = ["old", "new"]
        .map(|text| bench.repo().commit(&[large.clone(), Entry::git("README.md", text)]));
    let pulls: Vec<_> = (0..6)
        .map(|i| {
            let revision = Some(commits[i % 2].parse().unwrap());
            let request = PullRequest { revision, ..Bench::request() };
            bench.spawn(bench.store(), request, &Arc::new(PullProgress::new()))
        })
        .collect();
    for pull in pulls {
        bench.run(pull).unwrap().unwrap();
    }
    assert_eq!(bench.sent(), SIZE as u64);
    assert_eq!(bench.store().list().unwrap().len(), 2);
    bench.assert_tidy();
}

#[test]
fn the_next_commit_goes_on_with_what_a_pull_has_that_dies_meanwhile() {
    let fetched = next_commit(|bench, fault, one| {
        // Its second segment hangs, and the first one comes whole.
        while bench.store().partials().unwrap()[0].have < 16 * MIB as u64 {
            std::thread::yield_now();
        }
        one.abort();
        let _ = bench.run(one);
        fault.release();
    });
    assert!(fetched <= (SIZE - 16 * MIB + 3) as u64, "{fetched} bytes");
}

#[test]
fn who_shares_little_does_not_wait() {
    let bench = Bench::new();
    let (shared, own) = (bytes(1, 3 * MIB), bytes(2, 3 * MIB + 1));
    bench.repo().commit(&[Entry::lfs("shared.bin", shared.clone())]);
    let fault = bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(MIB as u64))));
    let one = bench.spawn(bench.store(), Bench::request(), &Arc::new(PullProgress::new()));
    fault.wait_hits(1);
    bench.repo().commit(&[Entry::lfs("shared.bin", shared), Entry::lfs("own.bin", own)]);
    let progress = Arc::new(PullProgress::new());
    let two = bench.spawn(bench.store(), Bench::request(), &progress);
    while !two.is_finished() {
        assert_ne!(progress.stage(), Stage::Waiting);
        std::thread::yield_now();
    }
    assert_eq!(bench.run(two).unwrap().unwrap().fetched_bytes, 6 * MIB as u64 + 1);
    assert!(!one.is_finished(), "it hangs yet");
    fault.release();
    bench.run(one).unwrap().unwrap();
    bench.assert_tidy();
}

#[test]
fn a_pull_that_waits_can_be_cancelled_and_takes_over_from_one_that_dies() {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = bench.hub.fault(Fault::new(On::Resolve, What::Stall(At::Head(0))).forever());
    let first = bench.spawn(bench.store(), Bench::request(), &Arc::new(PullProgress::new()));
    fault.wait_hits(1);
    let waiting = || {
        let progress = Arc::new(PullProgress::new());
        let pull = bench.spawn(bench.store(), Bench::request(), &progress);
        while progress.stage() != Stage::Waiting {
            std::thread::yield_now();
        }
        (pull, progress)
    };
    let (second, progress) = waiting();
    progress.cancel();
    let error = bench.run(second).unwrap().unwrap_err();
    assert_eq!(error.kind(), tonnage::error::ErrorKind::Cancelled);
    let (third, _) = waiting();
    fault.release();
    first.abort();
    let _ = bench.run(first);
    assert!(bench.run(third).unwrap().is_ok());
    bench.assert_whole(&bytes);
}
