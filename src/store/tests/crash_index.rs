//! The store's creation, a new index and what `verify` learns, under every fault.
//!
//! Of redb nothing is assumed but what the simulated disk gives: of the writes since the last sync
//! any subset survives, each whole, in its first half, or not at all.

use std::path::Path;

use super::check::Expect;
use super::torture::{Doing, Scenario};
use super::world::{self, world};
use crate::fs::sim::SimDisk;
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
