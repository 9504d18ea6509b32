//! What the engine does when nothing goes wrong.

use std::path::Path;
use std::sync::Arc;

use crate::fs::sim::SimDisk;
use crate::progress::Progress;
use crate::store::{Access, AddOptions, Added, Limits, Store, Take};

pub(super) fn open(disk: &SimDisk) -> Store {
    Store::open_on(disk.process(), Path::new("/store"), Access::Write, 1).unwrap()
}

pub(super) fn options(model: &str) -> AddOptions {
    AddOptions {
        model: model.parse().unwrap(),
        reference: crate::model::RefName::main(),
        take: Take::Auto,
        follow_links: false,
        sha256: false,
    }
}

pub(super) fn add(store: &Store, source: &str, model: &str) -> Added {
    store.add(Path::new(source), &options(model), &Progress::new()).unwrap()
}

#[test]
fn equal_files_are_stored_once_and_collected_last() {
    let disk = SimDisk::new();
    disk.write_file("/a/weights", &vec![7; 3 << 20]);
    disk.write_file("/a/config.json", b"{}");
    disk.write_file("/b/weights", &vec![7; 3 << 20]);
    disk.write_file("/b/config.json", b"{\"b\":1}");
    let store = open(&disk);
    let first = add(&store, "/a", "org/a");
    let second = add(&store, "/b", "org/b");
    assert_eq!((first.new_bytes, second.new_bytes), ((3 << 20) + 2, 7));
    assert_eq!(disk.tree("/store/blobs").len(), 3);
    assert_eq!(store.fsck().unwrap().problems, []);
    let listed = store.list().unwrap();
    assert_eq!(
        listed.iter().map(|l| (l.exclusive, l.shared)).collect::<Vec<_>>(),
        [(2, 3 << 20), (7, 3 << 20)]
    );

    let resolved = store.resolve(&"org/a".parse().unwrap()).unwrap();
    let freed =
        crate::space::remove(&store, &[resolved], crate::space::RemoveOptions::default()).unwrap();
    assert_eq!((freed.gone.len(), freed.blobs), (1, 1));
    assert_eq!(disk.tree("/store/blobs").len(), 2);
    assert_eq!(disk.tree("/store/trash").len(), 0);
    assert_eq!(disk.tree("/store/staging").len(), 0);
    assert_eq!(store.fsck().unwrap().problems, []);
    drop(store);

    let again: Arc<dyn crate::fs::Fs> = disk.process();
    let rebuilt = Store::rebuild_index_on(again, Path::new("/store")).unwrap();
    assert_eq!((rebuilt.revisions, rebuilt.refs, rebuilt.blobs), (1, 1, 2));
    let store = open(&disk);
    assert_eq!(store.fsck().unwrap().problems, []);
    assert_eq!(store.resolve(&"org/b@main".parse().unwrap()).unwrap().revision, second.revision);
}

#[test]
fn adding_the_bytes_again_replaces_a_damaged_blob() {
    let disk = SimDisk::new();
    disk.write_file("/a/weights", &vec![7; 3 << 20]);
    let store = open(&disk);
    add(&store, "/a", "org/a");
    let blob = format!("/store/blobs/{}", disk.tree("/store/blobs")[0]);
    let mut bytes = vec![7; 3 << 20];
    bytes[2 << 20] ^= 1;
    disk.write_file(&blob, &bytes);

    let revision = [store.resolve(&"org/a".parse().unwrap()).unwrap()];
    let verify = || {
        let progress = Progress::new();
        crate::verify::verify(&store, &revision, crate::verify::Level::Full, &progress).unwrap()
    };
    let damaged = verify().damaged;
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].ranges.as_slice(), std::slice::from_ref(&(2 << 20..3 << 20)));

    add(&store, "/a", "org/a");
    assert_eq!(verify().damaged, []);
    assert_eq!(disk.read_file(&blob).unwrap(), vec![7; 3 << 20]);
    assert_eq!(store.fsck().unwrap().problems, []);
}

#[test]
fn a_disk_that_tells_of_no_free_space_is_full_only_for_who_wants_some_left() {
    let disk = SimDisk::new();
    disk.write_file("/a/weights", &vec![7; 3 << 20]);
    disk.write_file("/b/weights", &vec![8; 3 << 20]);
    let store = open(&disk);
    disk.set_room(0, 0);
    let copy = |model: &str| AddOptions { take: Take::Copy, ..options(model) };
    store.add(Path::new("/a"), &copy("org/a"), &Progress::new()).unwrap();
    let limits = |max_bytes, min_free_bytes| {
        store.set_limits(Limits { max_bytes, min_free_bytes, ..Limits::default() });
        store.add(Path::new("/b"), &copy("org/b"), &Progress::new()).map_err(|e| e.to_string())
    };
    let said = limits(None, 1).unwrap_err();
    assert!(said.contains("does not tell how much is free"), "{said}");
    let said = limits(Some(1 << 20), 0).unwrap_err();
    assert!(said.contains("3145728 bytes are needed"), "{said}");
    limits(Some(1 << 30), 0).unwrap();
    assert_eq!(disk.tree("/store/staging"), [""; 0]);
}

#[test]
fn the_catalogue_knows_a_blob_as_long_as_it_is_here() {
    let disk = SimDisk::new();
    disk.write_file("/a/weights", &super::world::bytes(1, 3 << 20));
    disk.write_file("/a/config.json", b"{}");
    // Of one byte: the same segment over and over.
    disk.write_file("/b/zeros", &vec![0; 9 << 20]);
    let store = open(&disk);
    add(&store, "/a", "org/a");
    add(&store, "/b", "org/b");
    let known = || {
        let mut blobs = Vec::new();
        store.index().read(|reader| {
            reader.for_each_blob(|blob, row| blobs.push((blob, row.stamp.size)))?;
            let mut known = Vec::new();
            for (blob, size) in &blobs {
                if let Some(segments) = reader.segments(blob)? {
                    let sum: u64 = segments.iter().map(|segment| u64::from(segment.len)).sum();
                    assert_eq!(sum, *size);
                    let holders = reader.holders(&segments)?;
                    assert!(holders.iter().all(|holders| holders.iter().any(|h| h.blob == *blob)));
                    assert!(holders.iter().all(|holders| holders.len() <= 8), "{holders:?}");
                    known.push(segments);
                }
            }
            Ok(known)
        })
    };
    let before = known().unwrap();
    assert_eq!(before.len(), 2);
    for model in ["org/a", "org/b"] {
        let resolved = store.resolve(&model.parse().unwrap()).unwrap();
        let options = crate::space::RemoveOptions::default();
        crate::space::remove(&store, &[resolved], options).unwrap();
    }
    assert_eq!(known().unwrap(), Vec::<Vec<_>>::new());
    let left = store.index().read(|reader| {
        let holders = before.iter().map(|segments| reader.holders(segments));
        holders.collect::<Result<Vec<_>, _>>()
    });
    assert!(left.unwrap().into_iter().flatten().all(|holders| holders.is_empty()));
}

#[test]
fn what_three_need_is_shared_until_one_is_left() {
    let disk = SimDisk::new();
    for model in ["a", "b", "c"] {
        disk.write_file(format!("/{model}/weights"), &vec![7; 1000]);
        disk.write_file(format!("/{model}/own"), model.as_bytes());
    }
    let store = open(&disk);
    for model in ["a", "b", "c"] {
        add(&store, &format!("/{model}"), &format!("org/{model}"));
    }
    for (left, gone) in [(3, "org/a"), (2, "org/b"), (1, "org/c")] {
        let shared = if left > 1 { 1000 } else { 0 };
        let listed = store.list().unwrap();
        assert_eq!(listed.len(), left);
        assert!(listed.iter().all(|l| (l.exclusive, l.shared) == (1001 - shared, shared)));
        assert_eq!(store.fsck().unwrap().problems, []);
        let resolved = store.resolve(&gone.parse().unwrap()).unwrap();
        let options = crate::space::RemoveOptions::default();
        crate::space::remove(&store, &[resolved], options).unwrap();
    }
    assert_eq!(disk.tree("/store/blobs").len(), 0);
}
