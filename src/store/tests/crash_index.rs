//! The store's creation, a new index and what `verify` learns, under every fault.
//!
//! Of redb nothing is assumed but what the simulated disk gives: of the writes since the last sync
//! any subset survives, each whole, in its first half, or not at all.

use std::path::Path;

use super::check::Expect;
use super::torture::{Doing, Scenario};
use super::world::{self, world};
use crate::fs::sim::{Fault, Plan, SimDisk};
use crate::progress::Progress;
use crate::store::{Store, Take};
use crate::verify::{Level, verify};

#[test]
fn a_store_is_made_whole_or_can_be_made_again() {
    let a = world::a();
    let disk = SimDisk::new();
    a.plant(&disk);
    Scenario {
        name: "creation",
        disk,
        doing: Doing::Alone(&|process| world::open(process).map(drop)),
        before: Expect { may: vec![a.clone()], ..Expect::default() },
        after: Expect { may: vec![a], ..Expect::default() },
        repeatable: true,
        reads: true,
    }
    .run();
}

#[test]
fn the_first_import_makes_the_store_and_is_safe() {
    let a = world::a();
    let disk = SimDisk::new();
    a.plant(&disk);
    Scenario {
        name: "creation and first import",
        disk,
        doing: Doing::InStore(&|store: &Store| a.add(store, Take::Auto)),
        before: Expect { may: vec![a.clone()], ..Expect::default() },
        after: Expect { must: vec![a.clone()], main: vec![a.clone()], ..Expect::default() },
        repeatable: true,
        reads: false,
    }
    .run();
}

#[test]
fn a_new_index_replaces_the_old_one_whole() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
    });
    let expect = Expect { must: vec![a.clone(), b.clone()], main: vec![a, b], ..Expect::default() };
    Scenario {
        name: "rebuild of the index",
        disk,
        doing: Doing::Alone(&|process| {
            let rebuilt = Store::rebuild_index_on(process.clone(), Path::new("/store"));
            rebuilt.map(drop).map_err(|e| e.to_string())
        }),
        before: expect.clone(),
        after: expect,
        repeatable: true,
        reads: true,
    }
    .run();
}

#[test]
fn a_store_that_met_a_full_disk_works_on_when_there_is_room() {
    let (a, b) = (world::a(), world::b());
    let before = world(&[&a, &b], |store| a.add(store, Take::Auto).unwrap());
    let mut at = 0;
    loop {
        let disk = before.fork();
        let store = world::open(&disk.process()).unwrap();
        disk.arm(Plan::mutation(at, Fault::Enospc));
        let first = b.add(&store, Take::Auto);
        if !disk.fired() {
            first.unwrap();
            return;
        }
        // The same process goes on.
        assert!(a.resolve(&store).is_some(), "{at}: {:?}", store.list());
        b.add(&store, Take::Auto).unwrap_or_else(|e| panic!("{at}: after {first:?}: {e}"));
        a.remove(&store).unwrap();
        assert_eq!(store.fsck().unwrap().problems, [], "{at}");
        drop(store);
        let store = world::open(&disk.process()).unwrap();
        assert!(a.resolve(&store).is_none() && b.resolve(&store).is_some(), "{at}");
        at += 1;
    }
}

#[test]
fn verify_learns_without_harm() {
    let big = world::big();
    let disk = world(&[&big], |store| {
        big.add(store, Take::Auto).unwrap();
    });
    // A new index has no chaining values yet.
    Store::rebuild_index_on(disk.process(), Path::new("/store")).unwrap();
    disk.cut_power();
    disk.reboot(crate::fs::sim::Keep::All);
    let expect = Expect { must: vec![big.clone()], ..Expect::default() };
    Scenario {
        name: "verify --full",
        disk,
        doing: Doing::InStore(&|store: &Store| {
            let all = [big.resolve(store).ok_or("not there")?];
            let verified = verify(store, &all, Level::Full, &Progress::new());
            let damaged = verified.map_err(|e| e.to_string())?.damaged;
            if damaged.is_empty() { Ok(()) } else { Err(format!("{damaged:?}")) }
        }),
        before: expect.clone(),
        after: expect,
        repeatable: true,
        reads: true,
    }
    .run();
}
