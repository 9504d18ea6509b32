//! Damage of every kind, at random places: found, and mended byte for byte with little from elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects by failing"
)]

use std::fs::{self, File, Permissions};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use tonnage::progress::Progress;
use tonnage::store::{Access, AddOptions, Resolved, Store, Take};
use tonnage::verify::{Level, RepairOptions, Verified, repair, verify};
use tonnage::views::{Mode, ViewOptions, checkout};

const MIB: u64 = 1 << 20;

struct World {
    dir: tempfile::TempDir,
    store: Store,
    revision: Resolved,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl World {
    /// A store with a model of three files, of more than three MiB, of exactly two, and small.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        let mut files = Vec::new();
        for (n, len) in
            [3 * MIB as usize + 12_345, 2 * MIB as usize, 90_000].into_iter().enumerate()
        {
            let mut bytes = vec![0; len];
            blake3::Hasher::new().update(&[n as u8]).finalize_xof().fill(&mut bytes);
            fs::write(source.join(format!("{n}.bin")), &bytes).unwrap();
            let blob = dir.path().join("store/blobs").join(blake3::hash(&bytes).to_hex().as_str());
            files.push((blob, bytes));
        }
        let store = Store::open(dir.path().join("store"), Access::Write).unwrap();
        let options = AddOptions {
            model: "org/name".parse().unwrap(),
            reference: "main".parse().unwrap(),
            take: Take::Copy,
            follow_links: false,
            sha256: false,
        };
        store.add(&source, &options, &Progress::new()).unwrap();
        let revision = store.resolve(&"org/name".parse().unwrap()).unwrap();
        Self { dir, store, revision, files }
    }

    fn verify(&self, level: Level) -> Verified {
        let revisions = std::slice::from_ref(&self.revision);
        verify(&self.store, revisions, level, &Progress::new()).unwrap()
    }

    fn view(&self, name: &str, mode: Mode) -> PathBuf {
        let path = self.dir.path().join(name);
        let options = ViewOptions { mode, ..ViewOptions::default() };
        checkout(&self.store, &self.revision, &path, options, &Progress::new()).unwrap();
        path
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bit,
    BitInNoTime,
    Zeros,
    Shorter,
    Longer,
    Replaced,
    Gone,
}

/// Does it, and says which MiBs have other bytes then.
fn damage(kind: Kind, path: &Path, bytes: &[u8], rng: &mut Rng) -> Vec<u64> {
    let len = bytes.len() as u64;
    let at = rng.u64(..len);
    let groups = |range: Range<u64>| (range.start / MIB..range.end.div_ceil(MIB)).collect();
    if kind == Kind::Gone {
        fs::remove_file(path).unwrap();
        return groups(0..len);
    }
    if kind == Kind::Replaced {
        fs::remove_file(path).unwrap();
        fs::write(path, vec![7; bytes.len()]).unwrap();
        return groups(0..len);
    }
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let wrong = match kind {
        Kind::Shorter => {
            file.set_len(at).unwrap();
            groups(at..len)
        }
        Kind::Longer => {
            file.write_all_at(&[1; 5000], len).unwrap();
            Vec::new()
        }
        Kind::Zeros => {
            let end = (at + rng.u64(1..MIB)).min(len);
            file.write_all_at(&vec![0; (end - at) as usize], at).unwrap();
            groups(at..end)
        }
        _ => {
            file.write_all_at(&[bytes[at as usize] ^ 1 << rng.u32(..8)], at).unwrap();
            groups(at..at + 1)
        }
    };
    if kind == Kind::BitInNoTime {
        file.set_modified(time).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o444)).unwrap();
    }
    wrong
}

#[test]
fn damage_of_every_kind_is_found_and_mended_with_what_is_damaged() {
    use Kind::{Bit, BitInNoTime, Gone, Longer, Replaced, Shorter, Zeros};
    let seed = std::env::var("TONNAGE_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("TONNAGE_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let world = World::new();
    let from = [world.dir.path().join("source")];
    for round in 0..300 {
        let kinds = [Bit, BitInNoTime, Zeros, Shorter, Longer, Replaced, Gone];
        let kind = kinds[rng.usize(..kinds.len())];
        let (blob, bytes) = &world.files[rng.usize(..world.files.len())];
        let what = format!("round {round}: {kind:?} in {} bytes", bytes.len());
        let wrong = damage(kind, blob, bytes, &mut rng);
        if kind != BitInNoTime {
            assert_eq!(world.verify(Level::Quick).damaged.len(), 1, "{what}, by its stamp");
        }
        let found = world.verify(Level::Full);
        assert_eq!(found.damaged.len(), 1, "{what}");
        let options = RepairOptions { from: &from, ..RepairOptions::default() };
        let (repaired, left) =
            repair(&world.store, &found.damaged, options, &Progress::new()).unwrap();
        assert_eq!((repaired.len(), left.len()), (1, 0), "{what}");
        let mended: Vec<u64> = repaired[0]
            .mended
            .iter()
            .flat_map(|range| range.start / MIB..range.end.div_ceil(MIB))
            .collect();
        // A file of one MiB or less has no parts.
        if bytes.len() as u64 > MIB {
            assert_eq!(mended, wrong, "{what}");
        }
        assert!(fs::read(blob).unwrap() == *bytes, "{what}");
        assert_eq!(fs::metadata(blob).unwrap().mode() & 0o7777, 0o444, "{what}");
        let after = world.verify(Level::Quick);
        assert_eq!((after.damaged.len(), after.hashed_bytes), (0, 0), "{what}");
    }
    assert_eq!(world.verify(Level::Full).damaged, []);
    assert_eq!(world.store.fsck().unwrap().problems, []);
}

#[test]
fn a_copy_in_a_view_mends_and_links_of_the_damaged_inode_are_made_anew() {
    let world = World::new();
    let (copies, links) = (world.view("copies", Mode::Copy), world.view("links", Mode::Hardlink));
    let (blob, bytes) = &world.files[0];
    let mut rng = Rng::with_seed(1);
    damage(Kind::BitInNoTime, blob, bytes, &mut rng);
    assert!(fs::read(links.join("0.bin")).unwrap() != *bytes, "it is the same inode");
    let found = world.verify(Level::Full);
    let (repaired, _) =
        repair(&world.store, &found.damaged, RepairOptions::default(), &Progress::new()).unwrap();
    assert_eq!(repaired[0].relinked, 1);
    assert!(repaired[0].from[0].ends_with("copies/0.bin"), "{repaired:?}");
    assert!(fs::read(links.join("0.bin")).unwrap() == *bytes);
    let ino = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(ino(&links.join("0.bin")), ino(blob));
    assert_ne!(ino(&copies.join("0.bin")), ino(blob));
    assert_eq!(fs::read_dir(&links).unwrap().count(), 3, "nothing is left beside");
}

#[test]
fn two_halves_of_two_bad_copies_make_a_whole() {
    let world = World::new();
    let (blob, bytes) = &world.files[0];
    let mut rng = Rng::with_seed(2);
    let (one, other) = (world.dir.path().join("one"), world.dir.path().join("other"));
    for (dir, bad) in [(&one, 0), (&other, 2)] {
        fs::create_dir(dir).unwrap();
        let mut copy = bytes.clone();
        copy[bad * MIB as usize + 9] ^= 1;
        fs::write(dir.join("0.bin"), copy).unwrap();
    }
    damage(Kind::Gone, blob, bytes, &mut rng);
    let found = world.verify(Level::Quick);
    let from = [one, other];
    let options = RepairOptions { from: &from, ..RepairOptions::default() };
    let (repaired, left) = repair(&world.store, &found.damaged, options, &Progress::new()).unwrap();
    assert_eq!((repaired.len(), left.len()), (1, 0));
    assert_eq!(repaired[0].from.len(), 2);
    assert!(fs::read(blob).unwrap() == *bytes);
}

#[test]
fn a_new_index_that_knows_no_parts_is_mended_from_a_whole_copy() {
    let mut world = World::new();
    let path = world.dir.path().join("store");
    drop(std::mem::replace(
        &mut world.store,
        Store::open(world.dir.path().join("x"), Access::Write).unwrap(),
    ));
    fs::remove_file(path.join("index.redb")).unwrap();
    Store::rebuild_index(&path).unwrap();
    world.store = Store::open(&path, Access::Write).unwrap();
    world.revision = world.store.resolve(&"org/name".parse().unwrap()).unwrap();
    let (blob, bytes) = &world.files[0];
    damage(Kind::BitInNoTime, blob, bytes, &mut Rng::with_seed(3));
    let found = world.verify(Level::Full);
    assert_eq!(found.damaged[0].ranges, [], "nobody knows where");
    // A hub's cache, where the file is a snapshot's.
    let snapshot = world.dir.path().join("cache/models--org--name/snapshots/abc");
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(snapshot.join("0.bin"), bytes).unwrap();
    let from = [world.dir.path().join("cache")];
    let options = RepairOptions { from: &from, ..RepairOptions::default() };
    let (repaired, _) = repair(&world.store, &found.damaged, options, &Progress::new()).unwrap();
    assert_eq!(repaired[0].mended.len(), 1);
    assert_eq!(repaired[0].mended[0].end - repaired[0].mended[0].start, MIB);
    assert!(fs::read(blob).unwrap() == *bytes);
}

#[test]
fn what_nobody_has_stays_damaged_and_nothing_is_touched() {
    let world = World::new();
    let (blob, bytes) = &world.files[0];
    damage(Kind::Bit, blob, bytes, &mut Rng::with_seed(4));
    let damaged = fs::read(blob).unwrap();
    let found = world.verify(Level::Full);
    fs::create_dir(world.dir.path().join("wrong")).unwrap();
    fs::write(world.dir.path().join("wrong/0.bin"), vec![1; bytes.len()]).unwrap();
    let from = [world.dir.path().join("wrong"), world.dir.path().join("nowhere")];
    let options = RepairOptions { from: &from, ..RepairOptions::default() };
    let (repaired, left) = repair(&world.store, &found.damaged, options, &Progress::new()).unwrap();
    assert_eq!((repaired.len(), left), (0, found.damaged));
    assert!(fs::read(blob).unwrap() == damaged);
    assert_eq!(fs::read_dir(world.dir.path().join("store/staging")).unwrap().count(), 0);
    let progress = Progress::new();
    progress.cancel();
    let from = [world.dir.path().join("source")];
    let options = RepairOptions { from: &from, ..RepairOptions::default() };
    assert!(repair(&world.store, &left_of(&world), options, &progress).is_err(), "cancelled");
    assert!(fs::read(blob).unwrap() == damaged);
}

fn left_of(world: &World) -> Vec<tonnage::verify::Damaged> {
    world.verify(Level::Full).damaged
}
