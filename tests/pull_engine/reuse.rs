//! What is here is not fetched, and what does not fit is not begun.

use tonnage::error::{ErrorKind, PullError};
use tonnage::hub::{PullRequest, Selection};
use tonnage::progress::Progress;
use tonnage::store::{AddOptions, Take};

use crate::bench::{Bench, MIB, bytes};
use crate::hub::{Entry, Kind};

fn add(bench: &Bench, files: &[(&str, &[u8])]) {
    let source = bench.dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    for (name, bytes) in files {
        std::fs::write(source.join(name), bytes).unwrap();
    }
    let options = AddOptions {
        model: "own/model".parse().unwrap(),
        reference: "main".parse().unwrap(),
        take: Take::Auto,
        follow_links: false,
        sha256: false,
    };
    bench.store().add(&source, &options, &Progress::new()).unwrap();
}

#[test]
fn what_another_model_has_is_known_by_its_digest() {
    let bench = Bench::new();
    let shared = bytes(1, 3 * MIB);
    let other = bench.hub.repo(Kind::Model, "org/other");
    other.commit(&[Entry::lfs("weights.bin", shared.clone()), Entry::git("config.json", "{}")]);
    bench.pull_as(PullRequest::new("org/other".parse().unwrap())).unwrap();
    bench.repo().commit(&[
        Entry::git("c.json", "{}"),
        Entry::git("new.json", "{\"new\":1}"),
        Entry::lfs("model.bin", shared.clone()),
    ]);
    let pulled = bench.pull().unwrap();
    assert_eq!((pulled.fetched_bytes, pulled.reused_bytes), (9, 3 * MIB as u64 + 2));
    assert_eq!(bench.sent(), 0);
    assert!(bench.stored("main")[1].1 == shared);
    bench.assert_tidy();
}

#[test]
fn local_bytes_of_equal_size_are_hashed_and_the_digest_is_kept() {
    let bench = Bench::new();
    let (same, differs) = (bytes(1, 3 * MIB), bytes(2, 2 * MIB));
    add(&bench, &[("w", &same), ("v", &differs), ("c", b"{}")]);
    bench.repo().commit(&[
        Entry::git("config.json", "{}"),
        Entry::lfs("model.bin", same.clone()),
        Entry::lfs("other.bin", bytes(3, 2 * MIB)),
    ]);
    let pulled = bench.pull().unwrap();
    assert_eq!(pulled.fetched_bytes, 2 * MIB as u64);
    assert_eq!(bench.sent(), 0);
    bench.assert_tidy();
    // The blobs are the ones that were there.
    assert_eq!(bench.store().list().unwrap().len(), 2);
    assert_eq!(std::fs::read_dir(bench.home().join("blobs")).unwrap().count(), 4);
}

#[test]
fn a_damaged_blob_is_no_reason_not_to_fetch() {
    let bench = Bench::new();
    let bytes = bench.with_file(3 * MIB);
    bench.pull().unwrap();
    let blob = std::fs::read_dir(bench.home().join("blobs")).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(blob.path()).unwrap();
    std::fs::write(blob.path(), &bytes[..MIB]).unwrap();
    let again = bench.pull().unwrap();
    assert_eq!(again.fetched_bytes, 3 * MIB as u64);
    bench.assert_whole(&bytes);
}

#[test]
fn two_filtered_pulls_of_one_commit_add_up() {
    let bench = Bench::new();
    bench.repo().commit(&[
        Entry::git("config.json", "{}"),
        Entry::lfs("a.bin", bytes(1, 2 * MIB)),
        Entry::lfs("b.bin", bytes(2, 2 * MIB)),
    ]);
    let only = |pattern: &str| {
        let selection = Selection { include: vec![pattern.to_owned()], ..Selection::default() };
        bench.pull_as(PullRequest { selection, ..Bench::request() }).unwrap()
    };
    let first = only("a.bin");
    let second = only("config.json");
    assert_eq!((first.fetched_bytes, second.fetched_bytes), (2 * MIB as u64, 2));
    assert_eq!(first.revision.revision, second.revision.revision);
    let paths = || bench.stored("main").into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(paths(), ["a.bin", "config.json"]);
    // What is a part of it changes nothing.
    assert_eq!(only("a.bin").revision, second.revision);
    assert_eq!(bench.pull().unwrap().fetched_bytes, 2 * MIB as u64);
    assert_eq!(paths(), ["a.bin", "b.bin", "config.json"]);
    assert_eq!(bench.store().list().unwrap().len(), 1);
    bench.assert_tidy();
}

#[test]
fn what_cannot_fit_is_refused_before_the_first_byte() {
    let bench = Bench::new();
    let huge = Entry::lfs("model.bin", "x").claiming_size(1 << 60);
    bench.repo().commit(&[Entry::git("config.json", "{}"), huge]);
    let error = bench.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    let PullError::InsufficientSpace { required, available, .. } = error else { panic!("{error}") };
    assert_eq!(required, (1 << 60) + 2);
    assert!(available < required);
    assert!(bench.hub.requests(|request| request.file.is_some()).is_empty());
    bench.assert_nothing_published();
    bench.assert_tidy();
}
