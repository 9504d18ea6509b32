//! Pulls of one model at the same time.

use std::sync::Arc;

use tonnage::hub::{PullProgress, PullRequest, Selection, Stage};

use crate::bench::{Bench, MIB, bytes};
use crate::hub::{At, Entry, Fault, On, What};

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
