//! What the store makes of the file systems it meets: real ones, in images mounted by loop.
//!
//! Mounting takes root; without it, or without a file system's tools or kernel support, the tests
//! say what they skip.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::panic, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]
#![expect(clippy::print_stdout, reason = "the numbers are for who runs it with --nocapture")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use tonnage::error::{Differences, ErrorKind, StoreError, ViewError};
use tonnage::progress::Progress;
use tonnage::space::collect;
use tonnage::store::{Access, AddOptions, Store, Take};
use tonnage::views::{Mode, View, ViewOptions, checkout};

use support::mounts::{Kind, Mounted, run};
use support::*;

/// The file systems that every promise is held on.
const KINDS: [Kind; 4] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Tmpfs];
const MIB: u64 = 1 << 20;
/// Small, and large enough for XFS.
const USUAL: u64 = 320 * MIB;

/// Runs `test` on every file system that can be had here.
fn on_each(test: impl Fn(Kind, &Mounted)) {
    for kind in KINDS {
        if let Some(mounted) = Mounted::new(kind, USUAL) {
            println!("on {kind:?}");
            test(kind, &mounted);
        }
    }
}

const LARGE: [&str; 2] = ["below/deep/w2.bin", "w1.bin"];
const SMALL: [&str; 3] = ["below/empty", "config.json", "sixty-four.bin"];

/// Three small files, one of them at the limit, and two large ones.
fn write_model(dir: &Path) {
    write_tree(
        dir,
        &[
            (SMALL[0], b""),
            (SMALL[1], b"{}"),
            (SMALL[2], &bytes(1, 64 << 10)),
            (LARGE[0], &bytes(2, (64 << 10) + 1)),
            (LARGE[1], &bytes(3, 3_000_000)),
        ],
    );
}

fn counts(view: &View) -> (u64, u64, u64) {
    (view.linked, view.reflinked, view.copied)
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What a file system can do must come out as linked, reflinked and copied, and every byte right.
fn check_modes(store: &Store, source: &Path, out: &Path, links: bool, reflinks: bool) {
    let wanted = read_tree(source);
    let cases = [(Mode::Auto, 2), (Mode::Hardlink, 5), (Mode::Reflink, 5), (Mode::Copy, 0)];
    for writable in [false, true] {
        for (mode, shared) in cases {
            let what = format!("{mode:?} writable={writable} at {}", out.display());
            let options = ViewOptions { mode, writable, force: false };
            let made = view(store, "org/model", out, options);
            let can_link = links && !writable && mode != Mode::Reflink;
            let expected = match (can_link, reflinks) {
                (true, _) => (shared, 0, 5 - shared),
                (false, true) => (0, shared, 5 - shared),
                (false, false) => (0, 0, 5),
            };
            assert_eq!(counts(&made), expected, "{what}");
            assert_eq!((made.files, made.unchanged), (5, false), "{what}");
            assert_eq!(read_tree(out), wanted, "{what}");
            for path in LARGE {
                assert_eq!(mode_of(&out.join(path)) & 0o222 != 0, writable, "{what} {path}");
            }
            for path in SMALL {
                let at = out.join(path);
                let is_link = fs::metadata(&at).unwrap().nlink() > 1;
                assert_eq!(is_link, can_link && mode == Mode::Hardlink, "{what} {path}");
                assert_eq!(mode_of(&at) & 0o222 != 0, !is_link, "{what} {path}");
            }
            assert!(view(store, "org/model", out, options).unchanged, "{what}");
            if writable {
                edit_all(out);
                assert_whole(store);
                let differs = differs(try_view(store, "org/model", out, options).unwrap_err());
                assert_eq!(differs.changed.len(), 5, "{what}: {differs:?}");
            }
            fs::remove_dir_all(out).unwrap();
        }
    }
    assert_whole(store);
}

/// Changes the first byte of every file in place; an empty one gets one.
fn edit_all(dir: &Path) {
    for path in read_tree(dir).keys() {
        let file = fs::OpenOptions::new().write(true).read(true).open(dir.join(path)).unwrap();
        let mut first = [0];
        let n = file.read_at(&mut first, 0).unwrap();
        assert!(n <= 1);
        file.write_all_at(&[!first[0]], 0).unwrap();
    }
}

fn differs(e: ViewError) -> Differences {
    match e {
        ViewError::Differs { differences, .. } => differences,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_mode_does_what_the_file_system_can() {
    on_each(|kind, mounted| {
        let source = mounted.at("source");
        write_model(&source);
        let store = open(&mounted.at("store"));
        add(&store, &source, "org/model");
        check_modes(&store, &source, &mounted.at("view"), true, kind.reflinks());
    });
}

#[test]
fn a_view_on_another_file_system_is_a_copy() {
    on_each(|_, mounted| {
        let Some(other) = Mounted::new(Kind::Tmpfs, 64 * MIB) else { return };
        let source = mounted.at("source");
        write_model(&source);
        let store = open(&mounted.at("store"));
        add(&store, &source, "org/model");
        check_modes(&store, &source, &other.at("view"), false, false);
        // And the way in: what cannot be shared is copied, or refused when it was asked for.
        let elsewhere = other.at("source");
        write_model(&elsewhere);
        fs::write(elsewhere.join("w1.bin"), bytes(9, 200_000)).unwrap();
        for (take, how) in [(Take::Hardlink, "hardlink"), (Take::Reflink, "reflink")] {
            let options = AddOptions { take, ..options("org/other") };
            match try_add(&store, &elsewhere, &options).unwrap_err() {
                StoreError::CannotTake { how: said, .. } => assert_eq!(said, how),
                e => panic!("{e:?}"),
            }
            assert_nothing_staged(store.path());
        }
        let options = AddOptions { take: Take::Move, ..options("org/other") };
        assert_eq!(try_add(&store, &elsewhere, &options).unwrap().new_bytes, 200_000);
        assert!(read_tree(&elsewhere).is_empty());
        assert_whole(&store);
    });
}

#[test]
fn what_somebody_did_to_a_view_is_told_and_kept() {
    on_each(|_, mounted| {
        let (source, out) = (mounted.at("source"), mounted.at("view"));
        write_model(&source);
        let store = open(&mounted.at("store"));
        add(&store, &source, "org/model");
        view(&store, "org/model", &out, ViewOptions::default());
        fs::write(out.join("config.json"), b"[]").unwrap();
        fs::remove_file(out.join("w1.bin")).unwrap();
        fs::remove_dir_all(out.join("below/deep")).unwrap();
        write_tree(&out, &[("mine/notes.txt", b"notes"), ("extra", b"")]);
        let changed = read_tree(&out);
        for mode in MODES {
            let told = differs(try_view(&store, "org/model", &out, in_mode(mode)).unwrap_err());
            assert_eq!(told.changed, ["config.json"]);
            assert_eq!(told.missing, ["below/deep/w2.bin", "w1.bin"]);
            assert_eq!(told.extra, ["extra", "mine"]);
            assert_eq!(read_tree(&out), changed);
        }
        let force = ViewOptions { force: true, ..ViewOptions::default() };
        view(&store, "org/model", &out, force);
        assert_eq!(read_tree(&out), read_tree(&source));
        // Another revision replaces an untouched view without being forced.
        fs::write(source.join("config.json"), b"{\"v\":2}").unwrap();
        add(&store, &source, "org/model");
        assert!(!view(&store, "org/model", &out, ViewOptions::default()).unchanged);
        assert_eq!(read_tree(&out), read_tree(&source));
        // What never was a view is not replaced, whoever forces it.
        let stranger = mounted.at("stranger");
        write_tree(&stranger, &[("thesis.txt", b"years")]);
        let e = try_view(&store, "org/model", &stranger, force).unwrap_err();
        assert!(matches!(e, ViewError::NotAView { .. }), "{e:?}");
        assert_eq!(read_tree(&stranger).len(), 1);
        assert_whole(&store);
    });
}

#[test]
fn every_way_of_taking_in() {
    on_each(|kind, mounted| {
        let store = open(&mounted.at("store"));
        for (turn, take) in [Take::Auto, Take::Copy, Take::Reflink, Take::Hardlink, Take::Move]
            .into_iter()
            .enumerate()
        {
            let source = mounted.at(&format!("source-{turn}"));
            write_model(&source);
            // Bytes of its own.
            fs::write(source.join("w1.bin"), bytes(turn as u64 + 10, 3_000_000)).unwrap();
            let model = read_tree(&source);
            let name = format!("org/m{turn}");
            let options = AddOptions { take, ..options(&name) };
            let added = try_add(&store, &source, &options);
            if take == Take::Reflink && !kind.reflinks() {
                let e = added.unwrap_err();
                assert!(matches!(e, StoreError::CannotTake { how: "reflink", .. }), "{e:?}");
                assert_nothing_staged(store.path());
                continue;
            }
            assert_eq!(added.unwrap().files, 5);
            let blob = |path: &str| {
                let files = manifest(&store, &name);
                let file = files.files().iter().find(|file| file.path.as_str() == path).unwrap();
                fs::metadata(mounted.at("store/blobs").join(file.blob.to_string())).unwrap()
            };
            assert_eq!(blob("w1.bin").mode() & 0o7777, 0o444);
            match take {
                Take::Hardlink => {
                    let source = fs::metadata(source.join("w1.bin")).unwrap();
                    assert_eq!(source.ino(), blob("w1.bin").ino());
                    assert_eq!(source.mode() & 0o777, 0o444);
                }
                Take::Move => {
                    assert!(read_tree(&source).is_empty());
                    assert_eq!(blob("w1.bin").nlink(), 1);
                }
                _ => {
                    assert_ne!(
                        fs::metadata(source.join("w1.bin")).unwrap().ino(),
                        blob("w1.bin").ino()
                    );
                    edit_all(&source); // never reaches the store
                }
            }
            let out = mounted.at("view");
            view(&store, &name, &out, ViewOptions::default());
            assert_eq!(read_tree(&out), model, "{take:?}");
            fs::remove_dir_all(&out).unwrap();
            assert_whole(&store);
        }
    });
}

#[test]
fn a_reflink_shares_its_blocks_both_ways() {
    for kind in [Kind::Xfs, Kind::Btrfs] {
        let Some(mounted) = Mounted::new(kind, USUAL) else { continue };
        let source = mounted.at("source");
        let size = 64 * MIB;
        write_tree(&source, &[("big.bin", &bytes(1, usize::try_from(size).unwrap()))]);
        let store = open(&mounted.at("store"));
        let before = mounted.free();
        let reflink = AddOptions { take: Take::Reflink, ..options("org/model") };
        assert_eq!(try_add(&store, &source, &reflink).unwrap().new_bytes, size);
        let made = view(&store, "org/model", &mounted.at("view"), in_mode(Mode::Reflink));
        assert_eq!(counts(&made), (0, 1, 0));
        let used = before.saturating_sub(mounted.free());
        assert!(used < 8 * MIB, "{kind:?}: two reflinks of {size} bytes took {used}");
        fs::write(source.join("big.bin"), bytes(2, 1000)).unwrap();
        assert_whole(&store);
        // The same by a copy takes its room.
        let before = mounted.free();
        view(&store, "org/model", &mounted.at("copy"), in_mode(Mode::Copy));
        let used = before.saturating_sub(mounted.free());
        assert!(used >= size * 9 / 10, "{kind:?}: a copy of {size} bytes took {used}");
    }
}

/// A program that writes in place and puts the file's time back while it is added by reflink: the
/// clone is one moment's bytes, and hashing the source instead gave it another moment's name.
#[test]
fn a_reflink_of_a_file_that_changes_behind_its_time_has_its_own_hash() {
    for kind in [Kind::Xfs, Kind::Btrfs] {
        let Some(mounted) = Mounted::new(kind, USUAL) else { continue };
        let source = mounted.at("source");
        let len = 3 << 20;
        write_tree(&source, &[("big.bin", &bytes(1, len))]);
        let victim = source.join("big.bin");
        let store = open(&mounted.at("store"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let file = fs::OpenOptions::new().write(true).open(&victim).unwrap();
                for turn in 0_u64.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    file.write_all_at(&turn.to_le_bytes(), turn * 4096 % (len as u64)).unwrap();
                    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
                    file.set_modified(then).unwrap();
                }
            });
            let outcomes: Vec<_> =
                (0..60).map(|_| try_add(&store, &source, &options("org/model"))).collect();
            done.store(true, Ordering::Relaxed);
            for outcome in outcomes {
                let fine =
                    outcome.as_ref().map_or_else(|e| e.to_string().contains("changed"), |_| true);
                assert!(fine, "{outcome:?}");
            }
        });
        assert_whole(&store);
    }
}

/// The processes that take 65,000 links are many; one file with as many names is enough.
#[test]
fn more_links_than_an_inode_can_have_are_copies() {
    match Mounted::try_new(Kind::Minix, 32 * MIB) {
        Ok(mounted) => {
            let source = mounted.at("source");
            links(&mounted, &source, 300, 2000);
        }
        Err(_) => skipped("minix: not supported by this kernel; ext4's limit stands in"),
    }
    // Copies of 65 KiB in blocks of 4 KiB: 68 KiB for each of the 5,000 that do not fit.
    let Some(mounted) = Mounted::new(Kind::Ext4, 1024 * MIB) else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    links(&mounted, &elsewhere.path().join("source"), 64_000, 70_000);
}

/// A model whose `files` files are one blob, hardlinked; at least `least` are links.
fn links(mounted: &Mounted, source: &Path, least: u64, files: u64) {
    let same = bytes(1, (64 << 10) + 1);
    fs::create_dir_all(source).unwrap();
    fs::write(source.join("first"), &same).unwrap();
    // The tree reaches it by links of its own kind: symbolic ones have no limit.
    for i in 0..files - 1 {
        let dir = source.join(format!("d{:02}", i % 64));
        if i < 64 {
            fs::create_dir(&dir).unwrap();
        }
        std::os::unix::fs::symlink("../first", dir.join(format!("{i:05}"))).unwrap();
    }
    let store = open(&mounted.at("store"));
    let added = add(&store, source, "org/model");
    assert_eq!((added.files, added.new_bytes), (files, same.len() as u64));
    let out = mounted.at("view");
    let made = view(&store, "org/model", &out, in_mode(Mode::Hardlink));
    assert_eq!(made.linked + made.copied, files);
    assert!(made.linked >= least && made.copied > 0, "{made:?}");
    let blob =
        fs::metadata(mounted.at("store/blobs").join(&names(store.path(), "blobs")[0])).unwrap();
    assert_eq!(blob.nlink(), made.linked + 1);
    // Reading each would take a while: equal inodes have equal bytes.
    let mut inodes = BTreeMap::new();
    let mut seen = 0;
    for dir in (0..64).map(|i| out.join(format!("d{i:02}"))).chain([out.clone()]) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::metadata(&path).unwrap();
            if stat.is_file() {
                seen += 1;
                inodes.entry(stat.ino()).or_insert(path);
            }
        }
    }
    assert_eq!((seen, inodes.len() as u64), (files, made.copied + 1));
    for path in inodes.values() {
        assert!(fs::read(path).unwrap() == same, "{}", path.display());
    }
    assert!(view(&store, "org/model", &out, in_mode(Mode::Hardlink)).unchanged);
    // With no link to spare the blob cannot be pinned; adding it again must do all the same.
    assert_eq!(add(&store, &source.join("first"), "org/again").files, 1);
    println!("{} linked, {} copied", made.linked, made.copied);
    assert_whole(&store);
}

/// A model that does not fit fails with the right kind, at whatever moment the disk is full.
#[test]
fn a_full_disk_takes_nothing_in_and_loses_nothing() {
    for (kind, size) in [
        (Kind::Ext4, 48 * MIB),
        (Kind::Xfs, 300 * MIB),
        (Kind::Btrfs, 128 * MIB),
        (Kind::Tmpfs, 32 * MIB),
    ] {
        let Some(mounted) = Mounted::new(kind, size) else { continue };
        let Some(elsewhere) = Mounted::new(Kind::Tmpfs, 64 * MIB) else { continue };
        let (first, second) = (elsewhere.at("first"), elsewhere.at("second"));
        write_model(&first);
        write_model(&second);
        fs::write(second.join("w1.bin"), bytes(20, 4_000_000)).unwrap();
        for i in 0..200 {
            fs::write(second.join(format!("{i}.bin")), bytes(1000 + i, 3000)).unwrap();
        }
        let store = open(&mounted.at("store"));
        add(&store, &first, "org/first");
        drop(store);
        let mut outcomes = (0, 0);
        // From far too little to almost enough: the error comes at a different step each time.
        let lefts: &[u64] = match kind {
            // It tells and takes room by the large piece, and syncs slowly.
            Kind::Btrfs => &[0, 5000, 60_000],
            _ => &[0, 12, 100, 500, 1500, 3000, 4200, 4600, 4800, 5000, 5200, 5500, 6000, 9000],
        };
        for &left in lefts {
            mounted.fill(left << 10);
            for take in [Take::Auto, Take::Copy, Take::Move] {
                // Opening is a write too.
                let store = match Store::open(mounted.at("store"), Access::Write) {
                    Ok(store) => store,
                    Err(e) => {
                        assert_eq!(e.kind(), ErrorKind::NoSpace, "{kind:?}, {left} KiB: {e}");
                        continue;
                    }
                };
                let options = AddOptions { take, ..options("org/second") };
                let model = read_tree(&second);
                match try_add(&store, &second, &options) {
                    Ok(_) => {
                        outcomes.0 += 1;
                        resolve(&store, "org/second");
                        if take == Take::Move {
                            let files: Vec<_> = model
                                .iter()
                                .map(|(path, bytes)| (path.as_str(), &**bytes))
                                .collect();
                            write_tree(&second, &files);
                        }
                    }
                    Err(e) => {
                        outcomes.1 += 1;
                        assert_eq!(e.kind(), ErrorKind::NoSpace, "{kind:?}, {left} KiB: {e:?}");
                        assert!(e.hint().is_some());
                        assert!(read_tree(&second) == model, "a failed add took sources away");
                    }
                }
                drop(store);
                // A reader sees what there was.
                let reader = Store::open(mounted.at("store"), Access::Read).unwrap();
                assert_whole(&reader);
                assert_nothing_staged(reader.path());
                resolve(&reader, "org/first");
            }
            mounted.unfill();
            // Room again: it works, and nothing is left of what failed.
            let store = open(&mounted.at("store"));
            assert_nothing_staged(store.path());
            add(&store, &second, "org/second");
            assert_whole(&store);
            let second = resolve(&store, "org/second");
            tonnage::space::remove(&store, &[second], Default::default()).unwrap();
            collect(&store, true).unwrap();
            assert_eq!(names(store.path(), "blobs").len(), 5);
            assert_whole(&store);
        }
        println!("{kind:?}: {outcomes:?} added and refused");
        assert!(outcomes.0 > 0 && outcomes.1 > 0, "{kind:?}: {outcomes:?}");
    }
}

#[test]
fn a_checkout_onto_a_full_disk_leaves_nothing_behind() {
    for (kind, size) in [
        (Kind::Ext4, 48 * MIB),
        (Kind::Xfs, 300 * MIB),
        (Kind::Btrfs, 128 * MIB),
        (Kind::Tmpfs, 32 * MIB),
    ] {
        let Some(full) = Mounted::new(kind, size) else { continue };
        let Some(mounted) = Mounted::new(Kind::Tmpfs, 64 * MIB) else { continue };
        let source = mounted.at("source");
        write_model(&source);
        let store = open(&mounted.at("store"));
        add(&store, &source, "org/model");
        fs::create_dir(full.at("views")).unwrap();
        for left in [0, 12, 100, 1000, 2500] {
            full.fill(left << 10);
            for mode in MODES {
                let e =
                    try_view(&store, "org/model", &full.at("views/v"), in_mode(mode)).unwrap_err();
                assert_eq!(e.kind(), ErrorKind::NoSpace, "{kind:?}, {left} KiB: {e:?}");
                assert!(e.hint().is_some());
                assert_eq!(names(&full.at, "views"), Vec::<String>::new(), "{kind:?}");
                assert_eq!(names(store.path(), "views"), Vec::<String>::new(), "{kind:?}");
            }
            full.unfill();
        }
        view(&store, "org/model", &full.at("views/v"), ViewOptions::default());
        assert_eq!(read_tree(&full.at("views/v")), read_tree(&source));
    }
}

/// What works on a store that nobody can write.
fn check_read_only(mounted: &Mounted, elsewhere: &Path, wanted: &Tree) {
    let store = Store::open(mounted.at("store"), Access::Read).unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
    let revision = resolve(&store, "org/model");
    let _lease = store.lease(&revision).unwrap();
    assert_whole(&store);
    for mode in MODES {
        let out = elsewhere.join("view");
        let made = checkout(&store, &revision, &out, in_mode(mode), &Progress::new()).unwrap();
        assert_eq!(counts(&made), (0, 0, 5));
        assert_eq!(read_tree(&out), *wanted);
        assert!(view(&store, "org/model", &out, in_mode(mode)).unchanged);
        fs::remove_dir_all(out).unwrap();
    }
    tonnage::space::usage(&store).unwrap();
    let e = try_add(&store, elsewhere, &options("org/new")).unwrap_err();
    assert!(matches!(e, StoreError::ReadOnly { .. }), "{e:?}");
    assert!(matches!(collect(&store, true), Err(StoreError::ReadOnly { .. })));
    let removed = tonnage::space::remove(&store, &[revision], Default::default());
    assert!(matches!(removed, Err(StoreError::ReadOnly { .. })), "{removed:?}");
    drop(store);
    let e = Store::open(mounted.at("store"), Access::Write).err().unwrap();
    assert!(matches!(e, StoreError::ReadOnly { .. }), "{e:?}");
}

#[test]
fn a_store_on_a_read_only_mount_is_read() {
    on_each(|_, mounted| {
        let source = mounted.at("source");
        write_model(&source);
        let wanted = read_tree(&source);
        add(&open(&mounted.at("store")), &source, "org/model");
        mounted.remount("ro");
        let elsewhere = tempfile::tempdir().unwrap();
        write_tree(&elsewhere.path().join("new"), &[("a", b"a")]);
        check_read_only(mounted, elsewhere.path(), &wanted);
        mounted.remount("rw");
        assert_whole(&open(&mounted.at("store")));
    });
}

/// Not a test: the process that is killed.
#[test]
fn role_die_with_the_index_open() {
    let Some(dir) = std::env::var_os("TONNAGE_FS_DIE").map(PathBuf::from) else { return };
    let store = open(&dir.join("store"));
    add(&store, &dir.join("source"), "org/model");
    println!("\n@added");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[test]
fn a_read_only_store_whose_writer_was_killed_is_read() {
    use std::io::BufRead;
    on_each(|_, mounted| {
        let source = mounted.at("source");
        write_model(&source);
        let wanted = read_tree(&source);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role_die_with_the_index_open", "--nocapture"])
            .env("TONNAGE_FS_DIE", &mounted.at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).any(|line| line == "@added");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(said);
        mounted.remount("ro");
        let elsewhere = tempfile::tempdir().unwrap();
        write_tree(&elsewhere.path().join("new"), &[("a", b"a")]);
        check_read_only(mounted, elsewhere.path(), &wanted);
        mounted.remount("rw");
        assert_whole(&open(&mounted.at("store")));
    });
}

#[test]
fn names_that_a_directory_takes_for_one_are_refused() {
    let source = tempfile::tempdir().unwrap();
    write_tree(source.path(), &[("README", b"upper"), ("readme", b"lower"), ("a/x", b"x")]);
    let folded = Mounted::try_new(Kind::Casefold, 32 * MIB)
        .and_then(|mounted| {
            fs::create_dir(mounted.at("views")).unwrap();
            run(&["chattr", "+F"], &[&mounted.at("views")])?;
            Ok(mounted)
        })
        .or_else(|why| {
            skipped(&format!("ext4 casefold: {why}"));
            let mounted = Mounted::try_new(Kind::XfsCi, USUAL)?;
            fs::create_dir(mounted.at("views")).unwrap();
            Ok::<_, String>(mounted)
        });
    let mounted = match folded {
        Ok(mounted) => mounted,
        Err(why) => return skipped(&format!("a directory that ignores case: {why}")),
    };
    let stores = tempfile::tempdir().unwrap();
    let store = open(&stores.path().join("store"));
    add(&store, source.path(), "org/model");
    let out = mounted.at("views/v");
    match try_view(&store, "org/model", &out, ViewOptions::default()).unwrap_err() {
        ViewError::CaseCollision { one, other, .. } => {
            assert_eq!([one, other].map(|name| name.to_lowercase()), ["readme", "readme"]);
        }
        e => panic!("{e:?}"),
    }
    assert_eq!(names(&mounted.at, "views"), Vec::<String>::new());
    // Where case counts they are two files.
    let fine = stores.path().join("view");
    view(&store, "org/model", &fine, ViewOptions::default());
    assert_eq!(read_tree(&fine).len(), 3);
    // And a model without twins may go there.
    fs::remove_file(source.path().join("readme")).unwrap();
    add(&store, source.path(), "org/model");
    view(&store, "org/model", &out, ViewOptions::default());
    assert_eq!(read_tree(&out).len(), 2);
}
