//! Pulls without a network on a simulated disk: every operation meets every fault, and the next pull
//! goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::digest::Sha256;
use crate::digest::tree::GroupHasher;
use crate::error::ErrorKind;
use crate::fs::sim::{Fault, Keep, Plan, SimDisk, SimFs};
use crate::hub::hasher::Hasher;
use crate::hub::part::{Next, Writer};
use crate::hub::plan::look;
use crate::model::RefName;
use crate::store::Access;

const MIB: usize = 1 << 20;

/// A repository with a large file, one that is there twice, and small ones.
fn content() -> BTreeMap<&'static str, Vec<u8>> {
    let bytes = |seed: u8, len: usize| {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        bytes
    };
    BTreeMap::from([
        ("README.md", b"hello\n".to_vec()),
        ("empty", Vec::new()),
        ("model.bin", bytes(1, 2 * MIB + 77)),
        ("twin-a.bin", bytes(2, 3000)),
        ("twin-b.bin", bytes(2, 3000)),
    ])
}

fn listing(selected: impl Fn(&str) -> bool) -> Listing {
    let tree: Vec<_> = content()
        .into_iter()
        .map(|(path, bytes)| {
            let kind = if path.ends_with(".bin") {
                Upstream::Sha256(Sha256::from_bytes([0; 32]))
            } else {
                Upstream::Git(crate::digest::GitSha1::from_bytes([0; 20]))
            };
            let (size, upstream) = (bytes.len() as u64, Hasher::of(&kind, &bytes));
            RemoteFile { path: FilePath::new(path).unwrap(), size, upstream }
        })
        .collect();
    Listing {
        commit: "a".repeat(40).parse().unwrap(),
        is_public: None,
        reference: Some(RefName::main()),
        selected: Arc::new(
            tree.iter().filter(|file| selected(file.path.as_str())).cloned().collect(),
        ),
        tree: Arc::new(tree),
    }
}

fn model() -> ModelId {
    "org/name".parse().unwrap()
}

/// What the workers and the digesting threads do, in one thread. Gives back how many bytes had to be
/// fetched.
fn fetch(dir: &Dir, staged: &Staged) -> Result<(Vec<Fetched>, u64), PullError> {
    let content = content();
    let (mut all, mut bytes) = (Vec::new(), 0);
    for (file, _) in staged.missing() {
        let data = &content[file.path.as_str()];
        let name = partial::part_name(&file.upstream);
        if data.len() <= MIB {
            let kept = dir.open_file(&name, Open::Read).and_then(|part| part.read_all(file.size));
            if kept.ok().as_ref() != Some(data) {
                Part::discard(dir, &file.upstream)?;
                dir.open_file(&name, Open::New)?.write_at(data, 0)?;
                bytes += data.len() as u64;
            }
            let (upstream, size, blob) = (file.upstream, file.size, BlobHash::of(data));
            all.push(Fetched { upstream, size, blob, groups: Vec::new(), segments: None });
            continue;
        }
        let mut part = Part::open(dir, &file.upstream, file.size, true)?;
        part.begin_digest();
        loop {
            while let Some(range) = part.take() {
                bytes += range.end - range.start;
                let range = range.start as usize..range.end as usize;
                let mut writer = Writer::new(&part, range.start as u64);
                for frame in data[range].chunks(300_000) {
                    writer.write(frame)?;
                }
                part.begin_digest();
            }
            match part.next_to_digest() {
                Next::Group { range, prove } => {
                    let mut read = vec![0; (range.end - range.start) as usize];
                    let n = part.file().read_at(&mut read, range.start)?;
                    let mut group = GroupHasher::new(range.start).unwrap();
                    group.update(&read).unwrap();
                    if n < read.len() || prove.is_some_and(|cv| group.finish().unwrap() != cv) {
                        if !part.refuted() {
                            Part::discard(dir, &file.upstream)?;
                            part = Part::open(dir, &file.upstream, file.size, true)?;
                        }
                        continue;
                    }
                    part.hasher().update(&read);
                    part.digested();
                }
                Next::Wait => {}
                Next::End => break,
            }
        }
        assert_eq!(part.hasher().clone().finish(), file.upstream);
        let (root, groups) = part.root().unwrap();
        let (upstream, size, blob) = (file.upstream, file.size, BlobHash::from_bytes(root));
        all.push(Fetched { upstream, size, blob, groups, segments: None });
    }
    Ok((all, bytes))
}

fn open(process: &Arc<SimFs>) -> Result<Arc<Store>, PullError> {
    Ok(Arc::new(Store::open_on(process.clone(), Path::new("/store"), Access::Write, 1)?))
}

/// A process's pull. Gives back how many bytes it fetched.
fn pull(process: &Arc<SimFs>, listing: &Listing) -> Result<u64, PullError> {
    let store = open(process)?;
    let progress = PullProgress::new();
    let here = look(&store, &model(), listing, &progress)?;
    if here.is_complete(listing) {
        let (revision, _) = here.base.unwrap();
        point(&store, listing, &revision)?;
        return Ok(0);
    }
    let name = partial::dir_name(&model(), &listing.commit);
    let import = Import::resume(store.layout_arc(), &name)?.expect("nobody else is there");
    let import = Arc::new(import);
    let staged = stage(&store, &model(), listing, here, &import, &progress)?;
    let (fetched, bytes) = fetch(import.dir(), &staged)?;
    publish(&store, &model(), listing, import, staged, fetched)?;
    Ok(bytes)
}

/// I1 from outside, and that the revision, if it is there, has the right bytes.
fn check(disk: &SimDisk, paths: &[&str], must: bool) {
    for dir in ["/store/blobs", "/store/manifests"] {
        for name in disk.tree(dir) {
            let bytes = disk.read_file(format!("{dir}/{name}")).unwrap();
            assert_eq!(blake3::hash(&bytes).to_hex().as_str(), name, "{dir}");
        }
    }
    let store = open(&disk.process()).unwrap();
    assert_eq!(store.fsck().unwrap().problems, []);
    let Ok(revision) = store.resolve(&"org/name".parse().unwrap()) else {
        assert!(!must, "it is lost");
        return;
    };
    let content = content();
    let manifest = store.manifest(&revision).unwrap();
    let there: Vec<_> = manifest.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(there, paths);
    for file in manifest.files() {
        let bytes = disk.read_file(format!("/store/blobs/{}", file.blob)).unwrap();
        assert_eq!(bytes, content[file.path.as_str()], "{}", file.path);
    }
}

fn all_paths() -> Vec<&'static str> {
    content().into_keys().collect()
}

#[test]
fn a_pull_comes_whole_or_goes_on_after_any_crash() {
    let whole = listing(|_| true);
    let total: u64 = 2 * MIB as u64 + 77 + 3000 + 6;
    let template = SimDisk::new();
    drop(open(&template.process()).unwrap());
    for at in 0.. {
        let mut fired = false;
        for torn in [false, true] {
            let disk = template.fork();
            let plan = Plan::mutation(at, Fault::Kill);
            disk.arm(if torn { plan.torn() } else { plan });
            fastrand::seed(7);
            let lived = pull(&disk.process(), &whole);
            fired = disk.fired();
            let acknowledged = lived.is_ok() && !fired;
            check(&disk.fork(), &all_paths(), acknowledged);

            // The next process fetches no more than what was on its way.
            let next = disk.fork();
            let bytes = pull(&next.process(), &whole).unwrap();
            assert!(bytes <= total, "{at}: {bytes}");
            check(&next, &all_paths(), true);
            assert_eq!(next.tree("/store/staging"), [""; 0], "{at}");

            for keep in [Keep::None, Keep::All, Keep::Random(at), Keep::Torn(at)] {
                let after = disk.fork();
                after.cut_power();
                after.reboot(keep);
                check(&after.fork(), &all_paths(), acknowledged);
                pull(&after.process(), &whole).unwrap();
                check(&after, &all_paths(), true);
                assert_eq!(after.tree("/store/staging"), [""; 0], "{at}, {keep:?}");
            }
        }
        if !fired {
            assert!(at > 30, "only {at} operations");
            break;
        }
    }
}

#[test]
fn a_pull_that_meets_an_error_can_be_done_again() {
    let whole = listing(|_| true);
    let template = SimDisk::new();
    drop(open(&template.process()).unwrap());
    for fault in [Fault::Eio, Fault::Enospc] {
        for at in 0.. {
            let disk = template.fork();
            disk.arm(Plan::mutation(at, fault));
            let process = disk.process();
            let first = pull(&process, &whole);
            if !disk.fired() {
                first.unwrap();
                break;
            }
            check(&disk.fork(), &all_paths(), first.is_ok());
            if let Err(e) = pull(&process, &whole) {
                // The index takes no more writes through a handle that failed.
                pull(&process, &whole).unwrap_or_else(|_| panic!("{at} {fault:?}: {e}"));
            }
            check(&disk.fork(), &all_paths(), true);
            // And then it is safe.
            disk.cut_power();
            disk.reboot(Keep::None);
            check(&disk, &all_paths(), true);
        }
    }
}

#[test]
fn a_disk_that_fills_meanwhile_says_what_is_missing_yet_and_costs_nothing_that_came() {
    let whole = listing(|_| true);
    let wanted: Missing = whole.tree.iter().map(|f| (f.upstream, f.size)).collect();
    let total: u64 = wanted.values().sum();
    let name = partial::dir_name(&model(), &whole.commit);
    let template = SimDisk::new();
    drop(open(&template.process()).unwrap());
    let (mut required, mut fetched) = (Vec::new(), Vec::new());
    for at in 0.. {
        let disk = template.fork();
        disk.arm(Plan::mutation(at, Fault::Enospc));
        let process = disk.process();
        let first = pull(&process, &whole);
        if !disk.fired() {
            first.unwrap();
            break;
        }
        let Err(error) = first else { continue };
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{at}: {error}");
        let (store, before) = (open(&disk.process()).unwrap(), error.to_string());
        // There is room by now, or it was not about room: that error says more.
        let same = full(&store, &name, &wanted, error);
        assert_eq!(same.to_string(), before);
        disk.set_room(0, 1 << 30);
        match full(&store, &name, &wanted, same) {
            PullError::InsufficientSpace { required: more, available: 0, .. } => {
                required.push(more)
            }
            // All bytes are here: it was the index that could not grow.
            other => assert_eq!(other.to_string(), before),
        }
        disk.set_room(1 << 30, 1 << 30);
        drop(store);
        fetched.push(pull(&disk.process(), &whole).unwrap());
        check(&disk, &all_paths(), true);
    }
    for counts in [&required, &fetched] {
        assert_eq!(counts.first(), Some(&total), "{counts:?}");
        assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    }
    assert!(required.last().is_some_and(|last| *last <= 3006), "{required:?}");
    assert_eq!(fetched.last(), Some(&0));
}

#[test]
fn a_kill_costs_only_what_was_on_its_way() {
    let whole = listing(|_| true);
    let disk = SimDisk::new();
    drop(open(&disk.process()).unwrap());
    // Somewhere behind the last byte.
    let mut fetched = Vec::new();
    for at in 0.. {
        let fork = disk.fork();
        fork.arm(Plan::mutation(at, Fault::Kill));
        let _ = pull(&fork.process(), &whole);
        if !fork.fired() {
            break;
        }
        fetched.push(pull(&fork.process(), &whole).unwrap());
    }
    assert_eq!(fetched.first(), Some(&(2 * MIB as u64 + 77 + 3000 + 6)));
    assert_eq!(fetched.last(), Some(&0));
    // It never gets worse, and there is something in between.
    assert!(fetched.is_sorted_by(|a, b| a >= b), "{fetched:?}");
    assert!(fetched.iter().collect::<std::collections::BTreeSet<_>>().len() > 4, "{fetched:?}");
}

#[test]
fn files_of_one_commit_add_up() {
    let disk = SimDisk::new();
    let process = disk.process();
    let bytes = pull(&process, &listing(|path| path == "README.md")).unwrap();
    assert_eq!(bytes, 6);
    check(&disk, &["README.md"], true);
    let store = open(&process).unwrap();
    let before = store.resolve(&"org/name".parse().unwrap()).unwrap();
    let lease = store.lease(&before).unwrap();
    drop(store);

    let bytes = pull(&process, &listing(|path| path.starts_with("twin"))).unwrap();
    assert_eq!(bytes, 3000);
    let all = ["README.md", "twin-a.bin", "twin-b.bin"];
    check(&disk, &all, true);

    // A lease on the revision as it was still holds it, also after a collection.
    let store = open(&process).unwrap();
    let now = store.resolve(&"org/name".parse().unwrap()).unwrap();
    assert_ne!(now, before);
    crate::space::collect(&store, true).unwrap();
    let remove = || {
        let options = crate::space::RemoveOptions::default();
        crate::space::remove(&store, std::slice::from_ref(&now), options).unwrap()
    };
    assert_eq!(remove().gone, []);
    drop(lease);
    let again = store.lease(&before).unwrap();
    assert_eq!(remove().gone, []);
    drop(again);

    // A rebuild knows both, and a removal takes both.
    drop(store);
    let fs: Arc<dyn crate::fs::Fs> = process.clone();
    let rebuilt = Store::rebuild_index_on(fs, Path::new("/store")).unwrap();
    assert_eq!((rebuilt.revisions, rebuilt.left_out.len()), (1, 0));
    check(&disk, &all, true);
    let store = open(&process).unwrap();
    let now = store.resolve(&"org/name".parse().unwrap()).unwrap();
    crate::space::remove(&store, &[now], Default::default()).unwrap();
    assert_eq!(disk.tree("/store/manifests"), [""; 0]);
    assert_eq!(disk.tree("/store/blobs"), [""; 0]);
    assert_eq!(store.fsck().unwrap().problems, []);
}

#[test]
fn what_is_here_under_any_name_is_not_fetched() {
    let disk = SimDisk::new();
    let content = content();
    disk.write_file("/src/weights", &content["model.bin"]);
    disk.write_file("/src/read.me", &content["README.md"]);
    let process = disk.process();
    let store = open(&process).unwrap();
    let options = crate::store::AddOptions {
        model: "own/model".parse().unwrap(),
        reference: RefName::main(),
        take: crate::store::Take::Auto,
        follow_links: false,
        sha256: false,
    };
    store.add(Path::new("/src"), &options, &crate::progress::Progress::new()).unwrap();
    drop(store);
    assert_eq!(pull(&process, &listing(|path| path.contains('.'))).unwrap(), 3000);
    check(&disk, &["README.md", "model.bin", "twin-a.bin", "twin-b.bin"], true);
}

#[test]
fn parts_are_found_listed_adopted_and_removed() {
    let disk = SimDisk::new();
    let process = disk.process();
    let mut older = listing(|path| path == "model.bin");
    older.commit = "b".repeat(40).parse().unwrap();
    // Killed behind the first group.
    let store = open(&process).unwrap();
    let name = partial::dir_name(&model(), &older.commit);
    let import = Import::resume(store.layout_arc(), &name).unwrap().unwrap();
    assert!(Import::resume(store.layout_arc(), &name).unwrap().is_none(), "it is held");
    let progress = PullProgress::new();
    let here = look(&store, &model(), &older, &progress).unwrap();
    let staged = stage(&store, &model(), &older, here, &import, &progress).unwrap();
    let (file, _) = staged.missing().next().unwrap();
    let part = Part::open(import.dir(), &file.upstream, file.size, true).unwrap();
    part.take().unwrap();
    Writer::new(&part, 0).write(&content()["model.bin"][..MIB + 5]).unwrap();
    assert!(store.partials().unwrap()[0].in_use);
    assert_eq!(store.remove_partials(None).unwrap(), 0);
    drop((part, import));

    let partials = store.partials().unwrap();
    let [one] = &partials[..] else { panic!("{partials:?}") };
    assert_eq!((one.files, one.bytes, one.have), (1, 2 * MIB as u64 + 77, MIB as u64));
    assert!(!one.in_use && one.last_change > 0);
    assert_eq!(store.sweep_dead_imports().unwrap(), 0);
    assert_eq!(store.fsck().unwrap().dead_imports, 0);
    let copy = disk.fork();
    let other = open(&copy.process()).unwrap();
    assert_eq!(other.remove_partials(Some(&"org/other".parse().unwrap())).unwrap(), 0);
    assert!(other.remove_partials(Some(&model())).unwrap() >= 2 * MIB as u64);
    assert_eq!(other.partials().unwrap(), []);
    assert_eq!(copy.tree("/store/staging"), [""; 0]);
    drop(store);

    // The next commit has the same file.
    assert_eq!(pull(&process, &listing(|path| path == "model.bin")).unwrap(), MIB as u64 + 77);
    assert_eq!(disk.tree("/store/staging"), [""; 0]);
    check(&disk, &["model.bin"], true);
}

#[test]
fn a_partial_download_goes_when_its_time_is_over() {
    let disk = SimDisk::new();
    let store = open(&disk.process()).unwrap();
    let whole = listing(|_| true);
    let name = partial::dir_name(&model(), &whole.commit);
    let import = Import::resume(store.layout_arc(), &name).unwrap().unwrap();
    let part = import.dir().open_file("x.part", Open::New).unwrap();
    part.write_at(b"x", 0).unwrap();
    let now = part.stat().unwrap().mtime_ns;
    drop(import);
    assert_eq!(store.sweep_dead_imports().unwrap(), 0);
    let ttl = i64::try_from(partial::TIME_TO_LIVE.as_nanos()).unwrap();
    part.set_mtime(Some(now - ttl)).unwrap();
    assert_eq!(store.sweep_dead_imports().unwrap(), 1);
    assert_eq!(disk.tree("/store/staging"), [""; 0]);
}

#[test]
fn files_that_others_publish_meanwhile_are_not_lost() {
    let disk = SimDisk::new();
    let process = disk.process();
    let store = open(&process).unwrap();
    let progress = PullProgress::new();
    let (one, other) = (all_paths()[0], all_paths()[1]);
    let both = [one, other].map(|path| listing(|p| p == path));
    // Two that begin with nothing, in directories of their own.
    let staged: Vec<_> = both
        .iter()
        .enumerate()
        .map(|(i, listing)| {
            let name = format!("pull-{i:016}");
            let import = Import::resume(store.layout_arc(), &name).unwrap().unwrap();
            let here = look(&store, &model(), listing, &progress).unwrap();
            let staged = stage(&store, &model(), listing, here, &import, &progress).unwrap();
            let (fetched, _) = fetch(import.dir(), &staged).unwrap();
            (Arc::new(import), staged, fetched)
        })
        .collect();
    let mut done = Vec::new();
    for (listing, (import, staged, fetched)) in both.iter().zip(staged) {
        let again = (import.clone(), fetched.clone());
        match publish(&store, &model(), listing, import, staged, fetched) {
            Ok(_) => done.push("at once"),
            Err(PullError::Store(StoreError::Changed { .. })) => {
                let (import, fetched) = again;
                let here = look(&store, &model(), listing, &progress).unwrap();
                let staged = stage(&store, &model(), listing, here, &import, &progress).unwrap();
                publish(&store, &model(), listing, import, staged, fetched).unwrap();
                done.push("again");
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!(done, ["at once", "again"]);
    drop(store);
    check(&disk, &[one, other], true);
}
