//! Weights that several files have are on the disk once, where the file system can do that, and what
//! is told about it is so.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::print_stdout, reason = "the numbers are for who runs it with --nocapture")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use tonnage::dedup::{diff, matrix_of_files, share};
use tonnage::digest::BlobHash;
use tonnage::progress::Progress;
use tonnage::space::{
    EvictGoal, EvictOptions, RemoveOptions, collect, evict, remove, sharing, usage,
};
use tonnage::store::Store;

use support::family::{VARIANTS, tensors};
use support::mounts::{Kind, Mounted, run};
use support::*;

const MIB: u64 = 1 << 20;
const BLOCK: usize = 4096;
/// File systems that share parts of files.
const ABLE: [Kind; 2] = [Kind::Xfs, Kind::Btrfs];
/// What a store's index, directories and logs take beside its blobs, at most.
const ALONG: u64 = 512 << 10;

/// Mounted twice: where the files come from, and where the store is.
fn on_able(test: impl Fn(Kind, &Mounted, &Path)) {
    let source = tempfile::tempdir().unwrap();
    for kind in ABLE {
        // btrfs in its usual form needs some room for itself.
        let size = if kind == Kind::Btrfs { 1200 * MIB } else { 512 * MIB };
        if let Some(mounted) = Mounted::new(kind, size) {
            println!("on {kind:?}");
            test(kind, &mounted, source.path());
        }
    }
}

/// The bytes of files, and of their different blocks.
fn blocks(files: &[Vec<u8>]) -> (u64, u64) {
    let all = || files.iter().flat_map(|file| file.chunks(BLOCK));
    let different: HashSet<_> = all().map(BlobHash::of).collect();
    ((all().count() * BLOCK) as u64, (different.len() * BLOCK) as u64)
}

/// Bytes of the store's blobs that are on the same blocks as others, by another program's word.
fn twice_on_disk(store: &Store) -> u64 {
    let mut blocks: HashSet<u64> = HashSet::new();
    let mut twice = 0;
    for name in names(store.path(), "blobs") {
        let file = store.path().join("blobs").join(name);
        let out = Command::new("filefrag").args(["-v", "-b4096"]).arg(file).output().unwrap();
        for line in String::from_utf8(out.stdout).unwrap().lines().skip(3) {
            // "   0:        0..     255:      12345..     12600:    256:    flags"
            let numbers: Vec<u64> = line
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|number| number.parse().ok())
                .collect();
            if let [_, _, _, from, to, ..] = numbers[..]
                && line.contains("..")
            {
                twice += (from..=to).filter(|block| !blocks.insert(*block)).count() as u64;
            }
        }
    }
    twice * BLOCK as u64
}

/// Waits until so much is in use as `enough` says: file systems free blocks behind the call that
/// frees them.
fn wait_until_used(mounted: &Mounted, enough: impl Fn(u64) -> bool) -> u64 {
    let began = std::time::Instant::now();
    loop {
        let used = mounted.used();
        if enough(used) || began.elapsed().as_secs() > 20 {
            return used;
        }
    }
}

fn files_of(dir: &Path) -> Vec<Vec<u8>> {
    read_tree(dir).into_values().collect()
}

#[test]
fn a_family_takes_what_its_different_blocks_take() {
    on_able(|kind, mounted, source| {
        for hidden in [512, 768] {
            let from = source.join(hidden.to_string());
            support::family::write(&from, hidden);
            let files = files_of(&from);
            let (apparent, least) = blocks(&files);
            let free = mounted.used();
            let store = open(&mounted.at(&format!("store-{hidden}")));
            let added = add(&store, &from, "org/family");
            let taken = mounted.used() - free;
            println!("{kind:?} {hidden}: {apparent} bytes, {least} at best, {taken} taken");
            let (saved, most) = ((apparent + ALONG).saturating_sub(taken), apparent - least);
            assert!(saved * 100 >= most * 98, "{saved} of {most} bytes saved");
            assert!(added.shared_bytes * 100 >= most * 98, "{}", added.shared_bytes);

            assert_whole(&store);
            let usage = usage(&store).unwrap();
            assert_eq!(usage.shared_physical, twice_on_disk(&store));
        }
    });
}

#[test]
fn what_comes_by_reflink_shares_when_its_source_is_gone() {
    let kind = Kind::Xfs;
    let Some(mounted) = Mounted::new(kind, 640 * MIB) else { return };
    let from = mounted.at("family");
    support::family::write(&from, 512);
    let (apparent, least) = blocks(&files_of(&from));
    for round in 0..5 {
        let before = mounted.used();
        let store = open(&mounted.at("store"));
        let added = add(&store, &from, "org/family");
        let most = apparent - least;
        assert!(added.shared_bytes * 100 >= most * 98, "{round}: {} of {most}", added.shared_bytes);
        // Nothing was written but what the store keeps besides.
        let more = |used: u64| used.saturating_sub(before) < 2 * MIB;
        assert!(more(wait_until_used(&mounted, more)));
        assert_whole(&store);
        assert_eq!(usage(&store).unwrap().shared_physical, twice_on_disk(&store));
        drop(store);
        fs::remove_dir_all(mounted.at("store")).unwrap();
    }
}

#[test]
fn whatever_goes_leaves_the_others_whole_and_gives_its_own_blocks_back() {
    on_able(|kind, mounted, source| {
        let names = support::family::write(source, 512);
        for seed in 0..3 {
            let store = open(&mounted.at("store"));
            let free = mounted.used();
            let mut left: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            for name in &names {
                add(&store, &source.join(name), &format!("org/{}", name.trim_end_matches(".gguf")));
                left.insert(name.clone(), fs::read(source.join(name)).unwrap());
            }
            let mut order = names.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut order);
            for name in order {
                let before = mounted.used();
                let revision = resolve(&store, &format!("org/{}", name.trim_end_matches(".gguf")));
                let told = sharing(&store, &revision).unwrap().freed;
                let freed = remove(&store, &[revision], RemoveOptions::default()).unwrap();
                assert_eq!(freed.freed_bytes, told);
                collect(&store, true).unwrap();
                left.remove(&name);
                assert_whole(&store);
                let mut found =
                    read_tree(&store.path().join("blobs")).into_values().collect::<Vec<_>>();
                let mut wanted: Vec<_> = left.values().cloned().collect();
                found.sort();
                wanted.sort();
                assert_eq!(found, wanted);
                let as_told = |used: u64| before.saturating_sub(used).abs_diff(told) < MIB;
                let back = before.saturating_sub(wait_until_used(mounted, as_told));
                assert!(
                    back.abs_diff(told) < MIB,
                    "{kind:?} {name}: {back} came back, {told} told"
                );
            }
            let empty = |used: u64| free.abs_diff(used) < MIB;
            assert!(empty(wait_until_used(mounted, empty)));
        }
    });
}

#[test]
fn what_is_evicted_to_a_limit_is_what_brings_it_below() {
    on_able(|_, mounted, source| {
        let store = open(&mounted.at("store"));
        for name in support::family::write(source, 512) {
            add(&store, &source.join(&name), &format!("org/{}", name.trim_end_matches(".gguf")));
        }
        let before = usage(&store).unwrap().physical;
        let goal = EvictGoal::MaxBytes(before * 2 / 3);
        let plan = EvictOptions { dry_run: true, ..EvictOptions::default() };
        let planned = evict(&store, goal, plan).unwrap();
        let done = evict(&store, goal, EvictOptions::default()).unwrap();
        assert_eq!(planned.freed.gone, done.freed.gone);
        assert_eq!(planned.freed.freed_bytes, done.freed.freed_bytes);
        assert!(done.after <= before * 2 / 3 && done.after < before, "{done:?}");
        assert!(planned.after.abs_diff(done.after) < MIB, "{planned:?} {done:?}");
        assert_whole(&store);
    });
}

/// A store whose index was made of its blobs alone: nobody knows what is in them.
fn without_catalogue(mounted: &Mounted, source: &Path) -> Store {
    let made = tempfile::tempdir().unwrap();
    add(&open(&made.path().join("s")), source, "org/family");
    let at = mounted.at("store");
    run(&["cp", "-aT", "--reflink=never"], &[&made.path().join("s"), &at]).unwrap();
    fs::remove_file(at.join("index.redb")).unwrap();
    Store::rebuild_index(&at).unwrap();
    open(&at)
}

#[test]
fn what_came_before_is_shared_later() {
    on_able(|kind, mounted, source| {
        support::family::write(source, 512);
        let (apparent, least) = blocks(&files_of(source));
        let store = without_catalogue(mounted, source);
        let before = mounted.used();
        let stamps = |store: &Store| {
            let blobs = store.path().join("blobs");
            let stamp = |name: &String| {
                let meta = fs::metadata(blobs.join(name)).unwrap();
                (std::os::unix::fs::MetadataExt::ino(&meta), meta.modified().unwrap())
            };
            names(store.path(), "blobs").iter().map(stamp).collect::<Vec<_>>()
        };
        let old = stamps(&store);
        let done = share(&store, &Progress::new()).unwrap();
        assert!(done.able && done.skipped.is_empty() && done.damaged.is_empty(), "{done:?}");
        assert_eq!(done.read_bytes, done.bytes);
        let back = before.saturating_sub(mounted.used());
        let most = apparent - least;
        println!("{kind:?}: {back} of {most} came back");
        assert!((back + ALONG) * 100 >= most * 98, "{kind:?}: {back} of {most} came back");
        assert_eq!(stamps(&store), old);
        assert_whole(&store);
        assert_nothing_staged(store.path());

        let again = share(&store, &Progress::new()).unwrap();
        assert_eq!((again.read_bytes, again.shared_bytes), (0, 0));
        assert!(again.after.abs_diff(done.after) < ALONG, "{again:?} {done:?}");
    });
}

#[test]
fn a_killed_dedup_is_gone_on_with() {
    on_able(|kind, mounted, source| {
        support::family::write(source, 512);
        let (apparent, least) = blocks(&files_of(source));
        let store = without_catalogue(mounted, source);
        let before = mounted.used();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..12 {
            let mut child = Command::new(env!("CARGO_BIN_EXE_tonnage"))
                .arg("--store")
                .arg(store.path())
                .args(["-q", "dedup"])
                .spawn()
                .unwrap();
            // Anywhere in its work; the moment is the point of it.
            std::thread::sleep(std::time::Duration::from_millis(random.u64(1..200)));
            child.kill().unwrap();
            child.wait().unwrap();
            assert_whole(&store);
        }
        let done = share(&store, &Progress::new()).unwrap();
        assert!(done.skipped.is_empty(), "{done:?}");
        let most = apparent - least;
        let enough = |used: u64| (before.saturating_sub(used) + ALONG) * 100 >= most * 98;
        let back = before.saturating_sub(wait_until_used(mounted, enough)) + ALONG;
        assert!(back * 100 >= most * 98, "{kind:?}: {back} of {most} came back");
        assert_whole(&store);
    });
}

#[test]
fn a_file_system_without_sharing_says_so_and_what_a_packed_form_would_save() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mounted) = Mounted::new(Kind::Ext4, 320 * MIB) else { return };
    support::family::write(dir.path(), 512);
    let store = open(&mounted.at("store"));
    let added = add(&store, dir.path(), "org/family");
    assert_eq!(added.shared_bytes, 0);
    let done = share(&store, &Progress::new()).unwrap();
    assert!(!done.able);
    assert_eq!((done.shared_bytes, done.read_bytes), (0, 0));
    // Of each tensor of one name and type all but one; and headers that agree.
    let mut seen = HashSet::new();
    let mut twice = 0;
    for tensor in VARIANTS.into_iter().flat_map(|variant| tensors(variant, 512)) {
        if !seen.insert(tensor.bytes.clone()) {
            twice += tensor.bytes.len() as u64;
        }
    }
    let headers = done.duplicate_bytes - twice;
    assert!(headers < 8 * 200_000, "{headers}");
    assert_whole(&store);
}

#[test]
fn a_diff_counts_tensors_and_bytes_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"));
    for name in support::family::write(&dir.path().join("family"), 512) {
        let model = format!("org/{}", name.trim_end_matches(".gguf"));
        add(&store, &dir.path().join("family").join(&name), &model);
    }
    for a in VARIANTS {
        for b in VARIANTS {
            let of = |name: &str| resolve(&store, &format!("org/{name}"));
            let found = diff(&store, &of(a.0), &of(b.0), &Progress::new()).unwrap();
            let has: HashMap<_, _> =
                tensors(a, 512).into_iter().map(|t| (BlobHash::of(&t.bytes), ())).collect();
            let own = tensors(b, 512);
            let equal = own.iter().filter(|t| has.contains_key(&BlobHash::of(&t.bytes)));
            let (count, bytes) =
                equal.fold((0, 0), |(count, bytes), t| (count + 1, bytes + t.bytes.len() as u64));
            assert_eq!((found.equal_tensors, found.b.tensors), (count, own.len() as u64));
            // Beside tensors, headers have something in common.
            let more = found.equal_bytes - bytes;
            assert!(more < 200_000, "{} {}: {more} beside tensors", a.0, b.0);
            let parts = found.shared_bytes + found.shareable_bytes + found.unshareable_bytes;
            assert_eq!(parts, found.equal_bytes);
            assert_eq!(found.b.bytes - found.b.exclusive_bytes, found.equal_bytes);
            let groups = found.groups.iter();
            assert_eq!(groups.map(|group| group.equal).sum::<u64>(), count);
            if a.0 == b.0 {
                assert_eq!(found.equal_bytes, found.b.bytes);
                assert_eq!(found.shared_bytes, found.b.bytes);
            }
        }
    }
}

#[test]
fn the_same_tensors_are_found_in_other_shards_and_another_format() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"));
    for name in ["tiny-llama", "tiny-llama-reshard", "tiny-llama-ft-last"] {
        add(&store, &fixtures.join(name), &format!("org/{name}"));
    }
    let of = |name: &str| resolve(&store, &format!("org/{name}"));
    let found =
        diff(&store, &of("tiny-llama"), &of("tiny-llama-reshard"), &Progress::new()).unwrap();
    assert_eq!(found.equal_tensors, found.b.tensors);
    assert!(found.b.tensors > 0);
    let tuned =
        diff(&store, &of("tiny-llama"), &of("tiny-llama-ft-last"), &Progress::new()).unwrap();
    assert!(tuned.equal_tensors > 0 && tuned.b.exclusive_tensors > 0, "{tuned:?}");

    add(&store, &fixtures.join("tiny-llama-GGUF"), "org/gguf");
    let matrix = matrix_of_files(&store, &of("gguf"), &Progress::new()).unwrap();
    for (row, cells) in matrix.equal.iter().enumerate() {
        assert_eq!(cells[row], matrix.members[row].bytes);
        assert!(cells.iter().all(|cell| *cell <= cells[row]));
    }
    assert!(matrix.unique < matrix.bytes);
}

#[test]
fn a_file_whose_header_lies_is_stored_and_comes_back_as_it_is() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let whole = [
        fs::read(fixtures.join("tiny-llama-GGUF/tiny-llama-Q4_K_S.gguf")).unwrap(),
        fs::read(fixtures.join("tiny-llama-ft-last/model.safetensors")).unwrap(),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let from = dir.path().join("from");
    fs::create_dir(&from).unwrap();
    for number in 0..200 {
        let mut file = whole[number % 2].clone();
        let header = 40_000.min(file.len());
        for _ in 0..random.usize(1..20) {
            match random.u8(0..3) {
                0 => file[random.usize(0..header)] ^= 1 << random.u8(0..8),
                1 => {
                    let at = random.usize(0..header - 8);
                    file[at..at + 8].copy_from_slice(&random.u64(..).to_le_bytes());
                }
                _ => file.truncate(random.usize(header..=file.len())),
            }
        }
        fs::write(from.join(format!("{number}.gguf")), file).unwrap();
    }
    let store = open(&dir.path().join("store"));
    add(&store, &from, "org/hostile");
    view(
        &store,
        "org/hostile",
        &dir.path().join("back"),
        support::in_mode(tonnage::views::Mode::Copy),
    );
    assert_eq!(read_tree(&dir.path().join("back")), read_tree(&from));
    assert_whole(&store);
}

#[test]
fn a_header_that_is_refused_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut swapped = b"GGUF".to_vec();
    swapped.extend(3_u32.to_be_bytes());
    swapped.extend([0; 200_000]);
    let from = dir.path().join("from");
    write_tree(&from, &[("big-endian.gguf", &swapped), ("w.safetensors", &bytes(1, 100_000))]);
    let store = open(&dir.path().join("store"));
    add(&store, &from, "org/odd");
    let out = Command::new(env!("CARGO_BIN_EXE_tonnage"))
        .arg("--store")
        .arg(store.path())
        .args(["show", "--tensors", "org/odd"])
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.contains("big-endian.gguf: no tensors: it is big-endian GGUF"), "{said}");
    assert!(
        said.contains("w.safetensors: no tensors: it does not begin as its name says"),
        "{said}"
    );
}

#[test]
fn what_is_damaged_is_not_shared() {
    on_able(|kind, mounted, source| {
        support::family::write(source, 512);
        let store = open(&mounted.at("store"));
        add(&store, &source.join("Q4_K_S.gguf"), "org/first");
        let blob = store.path().join("blobs").join(&names(store.path(), "blobs")[0]);
        let times = fs::metadata(&blob).unwrap().modified().unwrap();
        // As root, in the middle of the embedding; and the time is put back, so that nothing tells.
        let file = fs::File::options().read(true).write(true).open(&blob).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; 100], 700_000).unwrap();
        file.set_modified(times).unwrap();
        let added = add(&store, &source.join("Q4_K_M.gguf"), "org/second");
        assert!(added.shared_bytes > 500_000, "{kind:?}: {added:?}");
        let found = violations(&store);
        let of_first = |found: &&String| found.contains("org/first") || found.starts_with("I1");
        assert_eq!(found.len(), 2, "{kind:?}: {found:#?}");
        assert!(found.iter().all(|one| of_first(&one)), "{kind:?}: {found:#?}");

        // Whoever looked marked it, so it is replaced when its bytes come again.
        add(&store, &source.join("Q4_K_S.gguf"), "org/first");
        assert_whole(&store);
    });
}

#[test]
fn a_variant_fits_where_only_what_is_new_of_it_does_and_a_full_disk_loses_nothing() {
    on_able(|kind, mounted, source| {
        support::family::write(source, 512);
        let store = open(&mounted.at("store"));
        add(&store, &source.join("Q5_K_L.gguf"), "org/first");
        // Q5_K_M is new by less than half.
        let size = fs::metadata(source.join("Q5_K_S.gguf")).unwrap().len();
        mounted.fill(size / 3);
        let refused = try_add(&store, &source.join("Q8_0.gguf"), &options("org/large"));
        let kind_of_error = refused.unwrap_err().kind();
        assert_eq!(kind_of_error, tonnage::error::ErrorKind::NoSpace, "{kind:?}");
        assert_nothing_staged(store.path());
        mounted.unfill();
        assert_whole(&store);
        collect(&store, true).unwrap();

        add(&store, &source.join("Q5_K_S.gguf"), "org/small");
        let sibling = source.join("Q5_K_M.gguf");
        mounted.fill(fs::metadata(&sibling).unwrap().len() * 3 / 4);
        let added = try_add(&store, &sibling, &options("org/sibling"));
        let added = added.unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert!(added.shared_bytes > added.bytes / 3, "{kind:?}: {added:?}");
        mounted.unfill();
        assert_whole(&store);
    });
}

#[test]
fn a_killed_add_of_a_family_leaves_the_store_as_it_was() {
    on_able(|kind, mounted, source| {
        support::family::write(source, 512);
        let files = files_of(source);
        let store = open(&mounted.at("store"));
        let mut random = fastrand::Rng::with_seed(11);
        for round in 0..10 {
            let mut child = Command::new(env!("CARGO_BIN_EXE_tonnage"))
                .arg("--store")
                .arg(store.path())
                .args(["-q", "add", "--name", "org/family"])
                .arg(source)
                .spawn()
                .unwrap();
            // Anywhere in its work; the moment is the point of it.
            std::thread::sleep(std::time::Duration::from_millis(random.u64(1..400)));
            child.kill().unwrap();
            let done = child.wait().unwrap().success();
            assert_whole(&store);
            let here = store.list().unwrap().len();
            assert!(here == usize::from(done) || here == 1, "{kind:?} {round}: {here} revisions");
        }
        add(&store, source, "org/family");
        collect(&store, true).unwrap();
        let mut found = files_of(&store.path().join("blobs"));
        let mut wanted = files;
        found.sort();
        wanted.sort();
        assert!(found == wanted);
        assert_whole(&store);
    });
}
