use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::digest::Sha256;
use crate::fs::sim::{Fault, Keep, Plan, SimDisk, SimFs};
use crate::hub::RemoteFile;
use crate::model::FilePath;
use crate::store::{Access, partial};

fn open(process: &Arc<SimFs>) -> Result<Store, PullError> {
    Ok(Store::open_on(process.clone(), Path::new("/store"), Access::Write, 1)?)
}

fn model() -> ModelId {
    "org/name".parse().unwrap()
}

/// A commit with files of these sizes, each of which is a digest too.
fn commit(digit: char, sizes: &[u8]) -> Listing {
    let file = |size: &u8| RemoteFile {
        path: FilePath::new(format!("{size}.bin")).unwrap(),
        size: u64::from(*size),
        upstream: Upstream::Sha256(Sha256::from_bytes([*size; 32])),
    };
    let tree: Vec<_> = sizes.iter().map(file).collect();
    let commit = digit.to_string().repeat(40).parse().unwrap();
    let tree = Arc::new(tree);
    Listing { commit, is_public: None, reference: None, selected: tree.clone(), tree }
}

fn ask(store: &Store, listing: &Listing) -> Result<Turn, PullError> {
    let missing = listing.selected.iter().map(|file| (file.upstream, file.size)).collect();
    turn(store, &model(), listing, &name(listing), &missing)
}

fn name(listing: &Listing) -> String {
    partial::dir_name(&model(), &listing.commit)
}

#[track_caller]
fn waits_for(store: &Store, listing: &Listing, other: Option<&Listing>) {
    let Turn::Theirs(found) = ask(store, listing).unwrap() else { panic!("it is its turn") };
    assert_eq!(found, other.map(name));
}

#[track_caller]
fn begins(store: &Store, listing: &Listing) -> Import {
    let Turn::Ours(import) = ask(store, listing).unwrap() else { panic!("it waits") };
    import
}

#[test]
fn who_fetches_most_of_it_is_waited_for_and_holds_up_nobody_else() {
    let disk = SimDisk::new();
    let (one, two) = (disk.process(), disk.process());
    let (one, two) = (open(&one).unwrap(), open(&two).unwrap());
    let (old, new, other) = (commit('a', &[9, 1]), commit('b', &[9, 8]), commit('c', &[9, 10]));
    let first = begins(&one, &old);
    for store in [&one, &two] {
        waits_for(store, &old, Some(&old));
        waits_for(store, &new, Some(&old));
    }
    assert_eq!(disk.tree("/store/staging").len(), 3, "who waits has no directory");
    let second = begins(&two, &other);
    drop(first);
    // Of 17 bytes, nine: now somebody else has them.
    waits_for(&one, &new, Some(&other));
    drop(second);
    drop(begins(&one, &new));
    assert_eq!(disk.tree("/store/staging"), [""; 0]);
}

#[test]
fn one_decides_at_a_time() {
    let disk = SimDisk::new();
    let store = open(&disk.process()).unwrap();
    let staging = store.layout().root.open_dir("staging").unwrap();
    assert!(staging.try_lock(LockKind::Exclusive).unwrap());
    waits_for(&store, &commit('a', &[9]), None);
    drop(staging);
    let import = begins(&store, &commit('a', &[9]));
    assert_eq!(store.pulls_under_way("").unwrap().len(), 1, "it has said what it fetches");
    drop(import);
}

#[test]
fn who_dies_at_any_moment_is_not_waited_for() {
    let (old, new) = (commit('a', &[9]), commit('b', &[9]));
    let template = SimDisk::new();
    drop(open(&template.process()).unwrap());
    for at in 0.. {
        let mut fired = false;
        for fault in [Fault::Kill, Fault::PowerLoss] {
            let disk = template.fork();
            let process = disk.process();
            let store = open(&process).unwrap();
            disk.arm(Plan::any(at, fault));
            let died = ask(&store, &old);
            fired = disk.fired();
            if !fired {
                disk.arm(Plan::count_mutations());
                disk.kill(&process);
            } else if fault == Fault::PowerLoss {
                disk.reboot(Keep::Random(at));
            }
            drop((died, store));
            let next = open(&disk.process()).unwrap();
            drop(begins(&next, &new));
            drop(begins(&next, &old));
            assert_eq!(next.fsck().unwrap().problems, []);
            assert_eq!(disk.tree("/store/staging"), [""; 0], "{at}");
        }
        if !fired {
            assert!(at > 10, "only {at} operations");
            break;
        }
    }
}
