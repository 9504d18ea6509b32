//! Imports under every fault: the store is as it was, or has the whole revision.

use super::check::Expect;
use super::torture::{Doing, Scenario};
use super::world::{self, Model, world};
use crate::fs::sim::SimDisk;
use crate::store::{Removing, Store, Take};

fn import(name: &str, disk: SimDisk, model: &Model, had: &[Model], take: Take) {
    let moved = (take == Take::Move).then(|| model.clone());
    Scenario {
        name,
        disk,
        doing: Doing::InStore(&|store: &Store| model.add(store, take)),
        before: Expect {
            must: had.to_vec(),
            may: vec![model.clone()],
            moved: moved.clone(),
            ..Expect::default()
        },
        after: Expect {
            must: had.iter().cloned().chain([model.clone()]).collect(),
            main: vec![model.clone()],
            moved,
            ..Expect::default()
        },
        repeatable: take != Take::Move,
        reads: true,
    }
    .run();
}

#[test]
fn a_new_model_comes_whole_or_not_at_all() {
    let a = world::a();
    import("import, fresh", world(&[&a], |_| {}), &a, &[], Take::Auto);
}

#[test]
fn a_model_that_shares_blobs_leaves_the_other_alone() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| a.add(store, Take::Auto).unwrap());
    import("import, sharing", disk, &b, &[a], Take::Auto);
}

/// More files than are synced one by one.
#[test]
fn a_new_model_of_many_files_comes_whole_or_not_at_all() {
    let many = world::many();
    import("import, many files", world(&[&many], |_| {}), &many, &[], Take::Copy);
}

#[test]
fn equal_files_in_one_model_are_one_blob() {
    let twins = world::twins();
    import("import, twins", world(&[&twins], |_| {}), &twins, &[], Take::Copy);
}

#[test]
fn a_revision_comes_back_over_its_dying_blobs() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        store.remove_revisions(&[a.resolve(store).unwrap()], Removing::default()).unwrap();
    });
    import("import, dying", disk, &a, &[b], Take::Auto);
}

#[test]
fn a_revision_comes_over_what_a_killed_import_left() {
    let a = world::a();
    let disk = world(&[&a], |_| {});
    for bytes in a.files.values().skip(1) {
        disk.write_file(format!("/store/blobs/{}", blake3::hash(bytes).to_hex()), bytes);
    }
    import("import, orphans", disk, &a, &[], Take::Auto);
}

#[test]
fn the_next_revision_takes_the_ref_with_it() {
    let (a, a2) = (world::a(), world::a2());
    let disk = world(&[&a, &a2], |store| a.add(store, Take::Auto).unwrap());
    import("import, next revision", disk, &a2, &[a], Take::Auto);
}

#[test]
fn a_model_is_taken_by_reflink() {
    let a = world::a();
    let disk = world(&[&a], |_| {});
    disk.set_reflinks(true);
    import("import, reflink", disk, &a, &[], Take::Auto);
}

#[test]
fn a_model_is_taken_by_hardlink() {
    let a = world::a();
    import("import, hardlink", world(&[&a], |_| {}), &a, &[], Take::Hardlink);
}

#[test]
fn a_moved_model_is_at_its_source_or_in_the_store() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| b.add(store, Take::Auto).unwrap());
    import("import, move", disk, &a, &[b], Take::Move);
}
