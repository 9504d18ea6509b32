//! Pulls that end early, and those that go on.

use std::sync::Arc;

use tonnage::error::{ErrorKind, HubError, PullError};
use tonnage::hub::{FileState, PullProgress, PullRequest, Selection, plan, pull};

use crate::bench::{Bench, IN_FLIGHT, MIB, bytes};
use crate::hub::{At, Entry, Fault, Gate, On, What};

const SIZE: usize = 48 * MIB + 5;

/// Two connections, of which one hangs in the file's second segment until the other has all the
/// rest.
fn hang(bench: &Bench) -> crate::hub::FaultHandle {
    bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(20 * MIB as u64))).forever())
}

fn two() -> PullRequest {
    PullRequest { jobs: 2, ..Bench::request() }
}

/// A pull of which all came that does come.
fn stuck(
    bench: &Bench,
) -> (Arc<PullProgress>, tokio::task::JoinHandle<Result<tonnage::hub::Pulled, PullError>>) {
    let progress = Arc::new(PullProgress::new());
    let task = bench.spawn(bench.store(), two(), &progress);
    bench.hub.wait_for_bytes("model.bin", (SIZE - 12 * MIB) as u64);
    (progress, task)
}

#[test]
fn a_dropped_pull_goes_on_where_it_was() {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = hang(&bench);
    let (_, task) = stuck(&bench);
    task.abort();
    assert!(bench.run(task).unwrap_err().is_cancelled());
    fault.release();
    let before = bench.sent();
    let pulled = bench.pull().unwrap();
    bench.assert_whole(&bytes);
    assert!(bench.sent() <= SIZE as u64 + IN_FLIGHT, "{} bytes were sent", bench.sent());
    assert!(pulled.fetched_bytes < SIZE as u64 / 2, "{} after {before}", pulled.fetched_bytes);
}

#[test]
fn a_cancelled_pull_says_so_is_listed_and_goes_on() {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = hang(&bench);
    let (progress, task) = stuck(&bench);
    progress.cancel();
    let error = bench.run(task).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    bench.assert_nothing_published();
    fault.release();

    let partials = bench.store().partials().unwrap();
    let [partial] = &partials[..] else { panic!("{partials:?}") };
    assert_eq!((partial.files, partial.bytes), (1, SIZE as u64));
    assert!(partial.have >= 16 * MIB as u64, "{partial:?}");
    assert!(!partial.in_use);
    let planned = bench
        .run(plan(bench.store(), &bench.client(), &two(), &Arc::new(PullProgress::new())))
        .unwrap();
    assert_eq!(planned.files[0].state, FileState::Partial(partial.have));
    assert_eq!(planned.new_bytes(), SIZE as u64 - partial.have);
    assert_eq!(bench.pull().unwrap().fetched_bytes, planned.new_bytes());
    bench.assert_whole(&bytes);
}

#[test]
fn bytes_that_rotted_meanwhile_are_fetched_again() {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = hang(&bench);
    let (progress, task) = stuck(&bench);
    progress.cancel();
    bench.run(task).unwrap().unwrap_err();
    fault.release();
    let have = bench.store().partials().unwrap()[0].have;
    let staging = std::fs::read_dir(bench.home().join("staging")).unwrap();
    let pull = staging.map(|entry| entry.unwrap().path()).next().unwrap();
    let parts = std::fs::read_dir(pull).unwrap().map(|entry| entry.unwrap().path());
    let part =
        parts.into_iter().find(|path| path.extension().is_some_and(|e| e == "part")).unwrap();
    let file = std::fs::File::options().write(true).open(part).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"rotten", 5 * MIB as u64 + 3).unwrap();
    drop(file);
    let pulled = bench.pull().unwrap();
    assert_eq!(pulled.fetched_bytes, SIZE as u64 - have + MIB as u64);
    bench.assert_whole(&bytes);
}

#[test]
fn a_partial_download_can_be_removed_and_then_all_comes_again() {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = hang(&bench);
    let (progress, task) = stuck(&bench);
    assert_eq!(bench.store().remove_partials(None).unwrap(), 0, "it is in use");
    progress.cancel();
    bench.run(task).unwrap().unwrap_err();
    fault.release();
    assert!(bench.store().remove_partials(Some(&Bench::model())).unwrap() >= 16 * MIB as u64);
    bench.assert_tidy();
    assert_eq!(bench.pull().unwrap().fetched_bytes, SIZE as u64);
    bench.assert_whole(&bytes);
}

/// Where the bytes are is a secret that opens the file to anybody: an earlier pull's client had it
/// for ever, and fetched what the hub gave to nobody any more.
#[test]
fn a_repository_that_is_gated_meanwhile_gives_a_long_lived_client_nothing() {
    let bench = Bench::new();
    bench.with_file(SIZE);
    let client = bench.client();
    let resolved = || bench.hub.requests(|request| request.path.contains("/resolve/")).len();
    let pull = || {
        let progress = Arc::new(PullProgress::new());
        bench.run(pull(bench.store(), &client, &two(), &progress))
    };
    let cut = Fault::new(On::Cdn, What::Close(At::File(20 * MIB as u64))).forever();
    let fault = bench.hub.fault(cut);
    pull().unwrap_err();
    fault.release();
    assert_eq!(resolved(), 1, "within a pull it is asked for once");
    let before = bench.sent();
    bench.repo().gated(Gate::Manual);
    let error = pull().unwrap_err();
    let expected = matches!(error, PullError::Hub(HubError::Gated { .. }));
    assert!(expected && bench.sent() == before, "{error}");
    assert!(resolved() > 1, "the hub was asked");
    assert!(bench.store().partials().unwrap()[0].have > 0, "what came is kept");
}

#[test]
fn a_narrower_pull_leaves_the_parts_of_a_wider_one() {
    let bench = Bench::new();
    let large = bytes(1, SIZE);
    let all = [Entry::git("config.json", "{}"), Entry::lfs("model.bin", large)];
    bench.repo().commit(&all);
    let fault = hang(&bench);
    let (progress, task) = stuck(&bench);
    progress.cancel();
    bench.run(task).unwrap().unwrap_err();
    fault.release();
    let have = bench.store().partials().unwrap()[0].have;
    let selection = Selection { include: vec!["*.json".to_owned()], ..Selection::default() };
    bench.pull_as(PullRequest { selection, ..two() }).unwrap();
    assert_eq!(bench.stored("main").len(), 1);
    let partials = bench.store().partials().unwrap();
    assert_eq!((partials[0].files, partials[0].bytes), (1, SIZE as u64));
    assert!(partials[0].have + 2 >= have);
    assert!(bench.pull().unwrap().fetched_bytes < SIZE as u64 / 2);
    assert_eq!(bench.stored("main").len(), 2);
    bench.assert_tidy();
}

#[test]
fn the_next_commit_takes_over_what_the_last_one_left() {
    let bench = Bench::new();
    let large = bench.with_file(SIZE);
    let fault = hang(&bench);
    let (progress, task) = stuck(&bench);
    progress.cancel();
    bench.run(task).unwrap().unwrap_err();
    fault.release();
    bench.repo().commit(&[Entry::git("new", "new"), Entry::lfs("model.bin", large)]);
    assert!(bench.pull().unwrap().fetched_bytes < SIZE as u64 / 2);
    assert_eq!(bench.stored("main").len(), 2);
    bench.assert_tidy();
}
