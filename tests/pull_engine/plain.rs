//! Pulls when nothing goes wrong.

use std::sync::Arc;

use tonnage::error::{ErrorKind, PullError};
use tonnage::hub::{FileState, PullProgress, PullRequest, Selection, Stage, plan, pull};

use crate::bench::{Bench, MIB, NAME, bytes};
use crate::hub::{At, Entry, Fault, On, What};

fn files() -> Vec<(&'static str, Vec<u8>, bool)> {
    vec![
        (".gitattributes", b"*.bin lfs\n".to_vec(), false),
        ("a dir/with #% ü.json", b"{}".to_vec(), false),
        ("config.json", bytes(2, 5000), false),
        ("empty.txt", Vec::new(), false),
        ("group.bin", bytes(3, MIB), true),
        ("large.bin", bytes(4, 40 * MIB + 17), true),
        ("middle.bin", bytes(5, MIB + 1), true),
        ("tiny.bin", b"x".to_vec(), true),
        ("tokenizer.json", bytes(6, 3 * MIB + 1), false),
        ("twin/middle.bin", bytes(5, MIB + 1), true),
    ]
}

fn entries() -> Vec<Entry> {
    let entry = |(path, bytes, lfs): (&str, Vec<u8>, bool)| {
        if lfs { Entry::lfs(path, bytes) } else { Entry::git(path, bytes) }
    };
    files().into_iter().map(entry).collect()
}

#[test]
fn every_file_comes_with_its_own_bytes_and_is_sent_once() {
    let bench = Bench::new();
    let commit = bench.repo().commit(&entries());
    let pulled = bench.pull().unwrap();
    assert_eq!(pulled.revision.revision.as_str(), commit);
    let expected: Vec<_> = files().into_iter().map(|(p, b, _)| (p.to_owned(), b)).collect();
    assert!(bench.stored("main") == expected);
    assert!(bench.stored(&commit) == expected);
    bench.assert_tidy();
    let total: u64 = expected.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let distinct = total - (MIB as u64 + 1);
    assert_eq!((pulled.files, pulled.bytes), (10, distinct));
    assert_eq!((pulled.fetched_bytes, pulled.reused_bytes), (distinct, 0));
    let sent: u64 = expected.iter().map(|(path, _)| bench.hub.body_bytes_sent(path)).sum();
    assert_eq!(sent, distinct);

    // Again, and by its commit: only questions are asked.
    bench.hub.forget_log();
    let again = bench.pull().unwrap();
    assert_eq!((again.fetched_bytes, again.reused_bytes), (0, distinct));
    assert_eq!(again.revision, pulled.revision);
    assert!(
        bench.hub.requests(|request| request.body_sent > 0 && request.file.is_some()).is_empty()
    );
}

#[test]
fn what_was_asked_for_is_what_points_to_the_revision() {
    let bench = Bench::new();
    let first = bench.repo().commit(&[Entry::git("a", "1")]);
    bench.repo().tag("v1", &first).pr(3, &first);
    let second = bench.repo().commit(&[Entry::git("a", "2")]);
    let at = |revision: &str| {
        let revision = Some(revision.parse().unwrap());
        bench.pull_as(PullRequest { revision, ..Bench::request() }).unwrap()
    };
    assert_eq!(at(&first).reference, None);
    assert_eq!(at(&first[..9]).reference, None);
    let refs = || -> Vec<_> {
        let listed = bench.store().list().unwrap();
        let mut refs: Vec<_> = listed
            .iter()
            .flat_map(|l| l.refs.iter().map(|r| (r.to_string(), l.revision.to_string())))
            .collect();
        refs.sort_unstable();
        refs
    };
    assert_eq!(refs(), []);
    at("v1");
    at("refs/pr/3");
    at("main");
    let expected = [("main", &second), ("refs/pr/3", &first), ("v1", &first)];
    let expected: Vec<_> = expected.iter().map(|(r, c)| ((*r).to_owned(), (*c).clone())).collect();
    assert_eq!(refs(), expected);
    bench.assert_tidy();
}

#[test]
fn a_branch_that_moves_meanwhile_changes_nothing() {
    let bench = Bench::new();
    let new = bench.repo().dangling(&[Entry::lfs("model.bin", bytes(8, 2 * MIB))]);
    let old = bytes(9, 3 * MIB);
    let commit = bench.repo().commit(&[Entry::lfs("model.bin", old.clone())]);
    for on in [On::Tree, On::Resolve] {
        let what = What::MoveBranch { branch: "main".to_owned(), commit: new.clone() };
        bench.hub.fault(Fault::new(on, what));
    }
    let pulled = bench.pull().unwrap();
    assert_eq!(pulled.revision.revision.as_str(), commit);
    bench.assert_whole(&old);
    // And then it has moved: both are here.
    assert_eq!(bench.pull().unwrap().revision.revision.as_str(), new);
    assert_eq!(bench.store().list().unwrap().len(), 2);
}

#[test]
fn a_plan_says_to_the_byte_what_is_fetched() {
    let bench = Bench::new();
    bench.repo().commit(&entries());
    let ask = || {
        let progress = Arc::new(PullProgress::new());
        bench.run(plan(bench.store(), &bench.client(), &Bench::request(), &progress)).unwrap()
    };
    let before = ask();
    assert!(!before.is_here);
    assert_eq!(before.new_bytes(), before.total_bytes());
    assert!(before.files.iter().all(|file| file.state == FileState::Missing));
    assert!(bench.hub.requests(|request| request.file.is_some()).is_empty());
    assert_eq!(bench.pull().unwrap().fetched_bytes, before.new_bytes());
    let after = ask();
    assert!(after.is_here);
    assert_eq!((after.new_bytes(), after.have_bytes()), (0, before.total_bytes()));
    assert!(after.files.iter().all(|file| file.state == FileState::Here));
}

#[test]
fn one_job_is_one_connection_and_one_file_at_a_time() {
    let bench = Bench::new();
    bench.repo().commit(&entries());
    let progress = Arc::new(PullProgress::new());
    let request = PullRequest { jobs: 1, ..Bench::request() };
    bench.run(pull(bench.store(), &bench.client(), &request, &progress)).unwrap();
    assert_eq!(bench.hub.most_bodies_at_once(), 1);
    let snapshot = progress.snapshot();
    assert_eq!(snapshot.stage, Stage::Done);
    assert_eq!(snapshot.done_bytes, snapshot.total_bytes);
    assert_eq!((snapshot.done_files, snapshot.total_files), (10, 10));
    assert_eq!(snapshot.files, []);
}

#[test]
fn so_many_jobs_are_so_many_requests_and_never_more() {
    for jobs in [1, 3] {
        let bench = Bench::new();
        let mut files = entries();
        let more = |n: u8| Entry::lfs(&format!("more/{n}.bin"), bytes(20 + n, 2 * MIB));
        files.extend((0..4).map(more));
        bench.repo().commit(&files);
        // Each answer hangs before its first byte, until as many hang as there can be.
        let fault = bench.hub.fault(Fault::new(On::Content, What::Stall(At::Body(0))).forever());
        let request = PullRequest { jobs, ..Bench::request() };
        let pull = bench.spawn(bench.store(), request, &Arc::new(PullProgress::new()));
        fault.wait_hits(jobs as u64);
        fault.release();
        bench.run(pull).unwrap().unwrap();
        // As many did hang at once; the log counts an answer from its first byte on.
        let most = bench.hub.most_bodies_at_once();
        assert!(most <= jobs, "{most} at once with {jobs} jobs");
        bench.assert_tidy();
    }
}

#[test]
fn globs_and_quantizations_choose_and_what_fits_nothing_is_an_error() {
    let bench = Bench::new();
    bench.repo().commit(&[
        Entry::git("README.md", "read me"),
        Entry::lfs("m-Q4_K_M-00001-of-00002.gguf", "one"),
        Entry::lfs("m-Q4_K_M-00002-of-00002.gguf", "two"),
        Entry::lfs("m-Q8_0.gguf", "eight"),
        Entry::lfs("mmproj-F16.gguf", "eye"),
    ]);
    let with = |selection: Selection| bench.pull_as(PullRequest { selection, ..Bench::request() });
    let quant = |quant: &str| Selection { quant: Some(quant.to_owned()), ..Selection::default() };
    let error = with(quant("Q5_0")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("Q4_K_M, Q8_0"), "{error}");
    let none = Selection { include: vec!["*.safetensors".to_owned()], ..Selection::default() };
    assert!(matches!(with(none), Err(PullError::NothingSelected { .. })));
    bench.assert_nothing_published();
    assert_eq!(with(quant("q4_k_m")).unwrap().files, 4);
    let eight = Selection {
        include: vec!["*.gguf".to_owned()],
        exclude: vec!["*Q4*".to_owned(), "mmproj*".to_owned()],
        quant: None,
    };
    assert_eq!(with(eight).unwrap().files, 1);
    let paths: Vec<_> = bench.stored("main").into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
    assert_eq!(bench.store().resolve(&NAME.parse().unwrap()).unwrap().model, Bench::model());
    bench.assert_tidy();
}
