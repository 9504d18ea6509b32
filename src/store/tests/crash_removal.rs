//! Removal and collection under every fault: nothing that somebody needs goes.

use std::time::Duration;

use super::check::{Expect, Look};
use super::torture::{Doing, Scenario};
use super::world::{self, world};
use crate::space::{self, EvictGoal, RemoveOptions};
use crate::store::{Removing, Store, Take};
use crate::views::ViewOptions;

#[test]
fn a_removed_model_takes_its_managed_view_and_nothing_else() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        a.managed(store).unwrap();
        b.managed(store).unwrap();
    });
    Scenario {
        name: "rm, managed view",
        disk,
        doing: Doing::InStore(&|store: &Store| a.remove(store)),
        before: Expect { must: vec![b.clone()], may: vec![a.clone()], ..Expect::default() },
        after: Expect { must: vec![b], ..Expect::default() },
        repeatable: true,
        reads: false,
    }
    .run();
}

#[test]
fn a_view_outlives_the_model_it_was_made_from() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        a.checkout(store, "/home/view", ViewOptions::default()).unwrap();
    });
    let views = vec![("/home/view", vec![Look::Of(a.clone())])];
    Scenario {
        name: "rm --force, external view",
        disk,
        doing: Doing::InStore(&|store: &Store| a.remove(store)),
        before: Expect {
            must: vec![b.clone()],
            may: vec![a.clone()],
            views: views.clone(),
            ..Expect::default()
        },
        after: Expect { must: vec![b], views, ..Expect::default() },
        repeatable: true,
        reads: false,
    }
    .run();
}

#[test]
fn an_eviction_of_everything_leaves_what_is_pinned() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        a.managed(store).unwrap();
        store.set_pinned(&b.resolve(store).unwrap(), true).unwrap();
    });
    let evict = |store: &Store| {
        let evicted = space::evict(store, EvictGoal::MaxBytes(0), Default::default());
        evicted.map(drop).map_err(|e| e.to_string())
    };
    Scenario {
        name: "evict, one of two pinned",
        disk,
        doing: Doing::InStore(&evict),
        before: Expect { must: vec![b.clone()], may: vec![a], ..Expect::default() },
        after: Expect { must: vec![b], ..Expect::default() },
        repeatable: true,
        reads: false,
    }
    .run();
}

#[test]
fn what_is_in_the_trash_is_kept_or_comes_back_whatever_happens() {
    let (a, b) = (world::a(), world::b());
    let keep = RemoveOptions { keep: Duration::from_secs(1 << 40), ..RemoveOptions::default() };
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        a.managed(store).unwrap();
    });
    let there_and_back = |store: &Store| {
        if let Some(revision) = a.resolve(store) {
            space::remove(store, &[revision], keep).map_err(|e| e.to_string())?;
        }
        for one in store.trashed().map_err(|e| e.to_string())? {
            store.restore(&one).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    Scenario {
        name: "rm and restore",
        disk,
        doing: Doing::InStore(&there_and_back),
        before: Expect { must: vec![b.clone()], may: vec![a.clone()], ..Expect::default() },
        // Its refs are noted as lazily as any.
        after: Expect { must: vec![a.clone(), b], main: vec![a.clone()], ..Expect::default() },
        repeatable: true,
        reads: false,
    }
    .run();
}

#[test]
fn a_collection_drops_what_was_in_the_trash_for_its_time() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        let over = Removing { until: Some(1), ..Removing::default() };
        store.remove_revisions(&[a.resolve(store).unwrap()], over).unwrap();
        assert_eq!(store.trashed().unwrap().len(), 1);
        assert_eq!(store.collectable().unwrap().blobs, 3, "b has the weights");
    });
    Scenario {
        name: "gc of the trash",
        disk,
        doing: Doing::InStore(&world::collect),
        // An index that is built anew before the collection has it as a revision.
        before: Expect { must: vec![b.clone()], may: vec![a], ..Expect::default() },
        after: Expect { must: vec![b], ..Expect::default() },
        repeatable: true,
        reads: true,
    }
    .run();
}

#[test]
fn a_pin_costs_nothing_whatever_happens() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        store.set_pinned(&b.resolve(store).unwrap(), true).unwrap();
    });
    let swap = |store: &Store| {
        let set = |model: &world::Model, pinned| match model.resolve(store) {
            Some(revision) => store.set_pinned(&revision, pinned).map_err(|e| e.to_string()),
            None => Err("the model is gone".to_owned()),
        };
        set(&a, true)?;
        set(&b, false).map(drop)
    };
    let expect = Expect { must: vec![a.clone(), b.clone()], ..Expect::default() };
    Scenario {
        name: "pin and unpin",
        disk,
        doing: Doing::InStore(&swap),
        before: expect.clone(),
        after: expect,
        repeatable: true,
        reads: false,
    }
    .run();
}

#[test]
fn a_collection_takes_only_garbage() {
    let (a, b, twins) = (world::a(), world::b(), world::twins());
    let disk = world(&[&a, &b, &twins], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        twins.add(store, Take::Auto).unwrap();
        a.managed(store).unwrap();
        // Dying rows, a managed view of what is gone, and below an orphan and a dead import.
        store.remove_revisions(&[a.resolve(store).unwrap()], Removing::default()).unwrap();
        store.remove_revisions(&[twins.resolve(store).unwrap()], Removing::default()).unwrap();
    });
    let orphan = b"left by a killed import";
    disk.write_file(format!("/store/blobs/{}", blake3::hash(orphan).to_hex()), orphan);
    disk.write_file("/store/staging/0123456789abcdef/.lock", b"");
    disk.write_file("/store/staging/0123456789abcdef/0.part", orphan);
    disk.write_file("/store/trash/left.00000000", orphan);
    let expect = Expect { must: vec![b], ..Expect::default() };
    Scenario {
        name: "gc",
        disk,
        doing: Doing::InStore(&world::collect),
        before: expect.clone(),
        after: expect,
        repeatable: true,
        reads: true,
    }
    .run();
}
