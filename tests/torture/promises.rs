//! One promise each.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use tonnage::error::StoreError;
use tonnage::model::Revision;
use tonnage::progress::Progress;
use tonnage::space::{RemoveOptions, collect, remove};
use tonnage::store::{Access, Store};
use tonnage::verify::{Level, verify};
use tonnage::views::{Mode, ViewOptions};

use crate::peer::*;
use crate::support::*;

pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_tree(
            &dir.path().join("tree"),
            &[("config.json", b"{}"), ("weights.bin", &bytes(1, 3 << 20))],
        );
        drop(open(&dir.path().join("store")));
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, role: &str) -> Peer {
        Peer::start(role, &[self.dir.path().as_os_str()])
    }
}

pub fn add_one() {
    let home = argument(0);
    let store = open(&home.join("store"));
    say("ready");
    hear();
    let added = add(&store, &home.join("tree"), "org/model");
    say(&format!("added {}", added.revision));
}

#[test]
pub fn two_processes_that_add_the_same_model_both_succeed() {
    for _ in 0..5 {
        let home = Home::new();
        let mut peers = [home.start("add-one"), home.start("add-one")];
        peers.iter_mut().for_each(|peer| peer.expect("ready"));
        peers.iter_mut().for_each(|peer| peer.tell("go"));
        let said = peers.each_mut().map(|peer| peer.line().unwrap());
        assert_eq!(said[0], said[1]);
        peers.into_iter().for_each(Peer::finish);
        let store = open(&home.at("store"));
        assert_eq!(store.list().unwrap().len(), 1);
        assert_eq!(names(store.path(), "blobs").len(), 2);
        assert_eq!(names(store.path(), "manifests").len(), 1);
        assert_nothing_staged(store.path());
        assert_whole(&store);
    }
}

pub fn hold_lease() {
    let store = Store::open(argument(0).join("store"), Access::Read).unwrap();
    let lease = store.lease(&resolve(&store, "org/model")).unwrap();
    say("leased");
    hear();
    drop(lease);
    say("released");
    hear();
}

pub fn remove_all(store: &Store, dry_run: bool) -> (usize, Vec<String>) {
    let options = RemoveOptions { dry_run, force: true, ..RemoveOptions::default() };
    let freed = remove(store, &all(store), options).unwrap();
    (freed.gone.len(), freed.kept.into_iter().map(|kept| kept.why).collect())
}

#[test]
pub fn a_leased_revision_stays_until_its_holder_dies() {
    let home = Home::new();
    let store = open(&home.at("store"));
    let added = add(&store, &home.at("tree"), "org/model");
    for ends_by_kill in [true, false] {
        let mut holders = [home.start("hold-lease"), home.start("hold-lease")];
        holders.iter_mut().for_each(|holder| holder.expect("leased"));
        for dry_run in [true, false] {
            let why = vec!["a running process uses it".to_owned()];
            assert_eq!(remove_all(&store, dry_run), (0, why));
        }
        collect(&store, true).unwrap();
        assert_eq!(names(store.path(), "blobs").len(), 2);
        assert_whole(&store);
        // One holder of two is enough.
        holders[0].kill();
        assert_eq!(remove_all(&store, false).0, 0);
        if ends_by_kill {
            holders[1].kill();
        } else {
            holders[1].tell("release");
            holders[1].expect("released");
        }
        assert_eq!(remove_all(&store, true), (1, Vec::new()));
        assert_eq!(remove_all(&store, false), (1, Vec::new()));
        assert_eq!(names(store.path(), "blobs"), Vec::<String>::new());
        assert_eq!(add(&store, &home.at("tree"), "org/model").revision, added.revision);
    }
}

pub fn add_when_told() {
    let home = argument(0);
    let store = open(&home.join("store"));
    add(&store, &home.join("tree"), "org/model");
    say("ready");
    hear();
    fs::write(home.join("tree/new.bin"), bytes(3, 100_000)).unwrap();
    match try_add(&store, &home.join("tree"), &options("org/model")) {
        Ok(_) => say("added"),
        Err(e) => say(&format!("error {e}")),
    }
    match collect(&store, true) {
        Ok(_) => say("collected"),
        Err(e) => say(&format!("error {e}")),
    }
}

#[test]
pub fn a_store_that_was_deleted_while_open_takes_nothing_in() {
    // The directory may be gone, or another store may stand in its place.
    for another in [false, true] {
        let home = Home::new();
        let mut peer = home.start("add-when-told");
        peer.expect("ready");
        fs::remove_dir_all(home.at("store")).unwrap();
        if another {
            drop(open(&home.at("store")));
        }
        peer.tell("go");
        let said = peer.line().unwrap();
        let path = home.at("store").canonicalize().unwrap_or_else(|_| home.at("store"));
        let wanted = format!("error the store at {} was removed while in use", path.display());
        assert_eq!(said, wanted);
        assert!(peer.line().is_some(), "a collection must not panic");
        peer.finish();
        if another {
            let store = open(&home.at("store"));
            assert!(store.list().unwrap().is_empty());
            assert_eq!(names(store.path(), "blobs"), Vec::<String>::new());
        } else {
            assert!(!home.at("store").exists());
        }
    }
}

pub fn hold_open() {
    let home = argument(0);
    let store = open(&home.join("store"));
    say("open");
    while hear() == "add" {
        let added = add(&store, &home.join("tree"), "org/model");
        say(&format!("added {}", added.revision));
    }
}

#[test]
pub fn a_shared_reader_sees_a_peers_writes() {
    let home = Home::new();
    let reader = Store::open(home.at("store"), Access::Read).unwrap();
    assert!(reader.list().unwrap().is_empty());
    let mut peer = home.start("hold-open");
    peer.expect("open");
    for turn in 0..20 {
        fs::write(home.at("tree/config.json"), format!("{{\"turn\":{turn}}}")).unwrap();
        peer.tell("add");
        let said = peer.line().unwrap();
        let at_main = resolve(&reader, "org/model");
        assert_eq!(said, format!("added {}", at_main.revision));
        assert_eq!(reader.list().unwrap().len(), turn + 1);
        let at = home.at("view");
        view(&reader, "org/model", &at, ViewOptions::default());
        assert_eq!(read_tree(&at), read_tree(&home.at("tree")));
    }
    // What a third process removes, the reader no longer has.
    remove_all(&open(&home.at("store")), false);
    assert!(reader.list().unwrap().is_empty());
    peer.kill();
}

/// Waits out the patience of 30 seconds, so it runs only when asked.
#[test]
#[ignore = "waits 30 s"]
pub fn the_index_of_a_store_in_use_is_not_rebuilt() {
    let home = Home::new();
    let mut peer = home.start("hold-open");
    peer.expect("open");
    let e = Store::rebuild_index(home.at("store")).unwrap_err();
    assert!(matches!(&e, StoreError::Busy { path, .. } if *path == home.at("store/lock")), "{e}");
    peer.tell("add");
    assert!(peer.line().unwrap().starts_with("added "));
    peer.kill();
    assert_eq!(Store::rebuild_index(home.at("store")).unwrap().revisions, 1);
    assert_whole(&open(&home.at("store")));
}

/// A rebuild must wait for who has the store open, also when that one only reads, and go on when
/// the last of them dies.
#[test]
pub fn a_rebuild_waits_for_a_process_that_dies() {
    let home = Home::new();
    add(&open(&home.at("store")), &home.at("tree"), "org/model");
    let mut peer = home.start("hold-lease");
    peer.expect("leased");
    let inode = |path: PathBuf| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).unwrap().ino()
    };
    let before = inode(home.at("store/index.redb"));
    std::thread::scope(|scope| {
        let rebuild = scope.spawn(|| Store::rebuild_index(home.at("store")));
        // Other work meanwhile, so that the rebuild has had its chance to go wrong.
        for _ in 0..20 {
            let reader = Store::open(home.at("store"), Access::Read).unwrap();
            assert_eq!(reader.list().unwrap().len(), 1);
        }
        assert!(!rebuild.is_finished());
        assert_eq!(inode(home.at("store/index.redb")), before);
        peer.kill();
        assert_eq!(rebuild.join().unwrap().unwrap().revisions, 1);
    });
    assert_ne!(inode(home.at("store/index.redb")), before);
    assert_whole(&open(&home.at("store")));
}

pub fn add_and_remove_forever() {
    let home = argument(0);
    let store = open(&home.join("store"));
    let small = home.join("small");
    for turn in 0_u64.. {
        write_tree(&small, &[("a", &turn.to_le_bytes()), ("b", b"b")]);
        let added = add(&store, &small, "org/small");
        say(&format!("added {}", added.revision));
        if turn % 3 == 2 {
            let olds: Vec<_> =
                all(&store).into_iter().filter(|r| r.revision != added.revision).collect();
            remove(&store, &olds, RemoveOptions::default()).unwrap();
        }
    }
}

/// After a kill redb refuses a read-only open until somebody has repaired the index.
#[test]
pub fn an_index_whose_writer_was_killed_opens_for_readers() {
    let home = Home::new();
    let mut rng = fastrand::Rng::new();
    for _ in 0..25 {
        let mut peer = home.start("add-and-remove-forever");
        let mut last = String::new();
        for _ in 0..rng.u32(1..12) {
            last = peer.line().unwrap();
        }
        for _ in 0..rng.u32(..2_000_000) {
            std::hint::spin_loop();
        }
        let _ = peer.child.kill();
        while let Some(line) = peer.line() {
            last = line;
        }
        let reader = Store::open(home.at("store"), Access::Read).unwrap();
        let revision: Revision = last.strip_prefix("added ").unwrap().parse().unwrap();
        let listed = reader.list().unwrap();
        assert!(listed.iter().any(|one| one.revision == revision), "{last} is not there");
        let found = verify(&reader, &all(&reader), Level::Full, &Progress::new()).unwrap();
        assert!(found.damaged.is_empty(), "{found:?}");
        drop(reader);
        assert_whole(&open(&home.at("store")));
    }
}

pub fn same_place() {
    let (home, turns) = (argument(0), number(1));
    let store = open(&home.join("store"));
    say("ready");
    hear();
    for turn in 0..turns {
        let spec = if turn % 2 == 0 { "org/model" } else { "org/other" };
        let options = in_mode(if turn % 3 == 0 { Mode::Copy } else { Mode::Auto });
        match try_view(&store, spec, &home.join("place"), options) {
            Ok(_) => say("made"),
            Err(e) => panic!("{e:?}"),
        }
    }
}

/// A build that was just put in place was, to a neighbour who had opened it a moment before, a
/// dead process's leftover: it emptied the finished view.
#[test]
pub fn processes_that_make_one_view_at_one_place_leave_a_whole_one() {
    let home = Home::new();
    let store = open(&home.at("store"));
    write_tree(&home.at("tree-2"), &[("x.json", b"[]"), ("weights.bin", &bytes(2, 100_000))]);
    add(&store, &home.at("tree"), "org/model");
    add(&store, &home.at("tree-2"), "org/other");
    let turns = OsStr::new("40");
    let mut peers: Vec<_> =
        (0..3).map(|_| Peer::start("same-place", &[home.dir.path().as_os_str(), turns])).collect();
    peers.iter_mut().for_each(|peer| peer.expect("ready"));
    peers.iter_mut().for_each(|peer| peer.tell("go"));
    peers.into_iter().for_each(Peer::finish);
    let is = read_tree(&home.at("place"));
    assert!(is == read_tree(&home.at("tree")) || is == read_tree(&home.at("tree-2")), "{is:?}");
    let left: Vec<_> =
        names(home.dir.path(), ".").into_iter().filter(|name| name.contains(".tonnage-")).collect();
    assert_eq!(left, Vec::<String>::new());
    assert_whole(&store);
}
