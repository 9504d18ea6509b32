//! Views under every fault: what is at a view's path is what was there, or the whole view.

use super::check::{Expect, Look};
use super::torture::{Doing, Scenario};
use super::world::{self, Model, world};
use crate::fs::sim::SimDisk;
use crate::store::{Store, Take};
use crate::views::ViewOptions;

const PATH: &str = "/home/user/view";

fn checkout(name: &str, disk: SimDisk, model: &Model, was: &Look, options: ViewOptions) {
    let had = match was {
        Look::Of(old) => vec![old.clone(), model.clone()],
        Look::Nothing => vec![model.clone()],
    };
    let views = |looks: Vec<Look>| vec![(PATH, looks)];
    let expect = Expect { must: had, ..Expect::default() };
    let new = Look::Of(model.clone());
    Scenario {
        name,
        disk,
        doing: Doing::InStore(&|store: &Store| model.checkout(store, PATH, options)),
        before: Expect { views: views(vec![was.clone(), new.clone()]), ..expect.clone() },
        after: Expect { views: views(vec![new]), ..expect },
        repeatable: true,
        reads: true,
    }
    .run();
}

fn with(model: &Model) -> SimDisk {
    world(&[model], |store| model.add(store, Take::Auto).unwrap())
}

#[test]
fn a_new_view_appears_whole() {
    let a = world::a();
    checkout("checkout, new", with(&a), &a, &Look::Nothing, ViewOptions::default());
}

#[test]
fn a_new_view_of_many_files_appears_whole() {
    let many = world::many();
    checkout("checkout, many files", with(&many), &many, &Look::Nothing, ViewOptions::default());
}

#[test]
fn a_writable_view_appears_whole() {
    let a = world::a();
    let disk = with(&a);
    disk.set_reflinks(true);
    let options = ViewOptions { writable: true, ..ViewOptions::default() };
    checkout("checkout, writable", disk, &a, &Look::Nothing, options);
}

#[test]
fn a_view_appears_over_an_empty_directory() {
    let a = world::a();
    let disk = with(&a);
    let root: std::sync::Arc<dyn crate::fs::Fs> = disk.process();
    root.make_dirs(std::path::Path::new(PATH)).unwrap();
    disk.cut_power();
    disk.reboot(crate::fs::sim::Keep::All);
    checkout("checkout, over empty", disk, &a, &Look::Nothing, ViewOptions::default());
}

#[test]
fn a_view_of_another_revision_is_replaced_in_one_step() {
    let (a, a2) = (world::a(), world::a2());
    let disk = world(&[&a, &a2], |store| {
        a.add(store, Take::Auto).unwrap();
        a.checkout(store, PATH, ViewOptions::default()).unwrap();
        a2.add(store, Take::Auto).unwrap();
    });
    checkout("checkout, replacing", disk, &a2, &Look::Of(a), ViewOptions::default());
}

#[test]
fn a_managed_view_appears_whole() {
    let a = world::a();
    let expect = Expect { must: vec![a.clone()], ..Expect::default() };
    Scenario {
        name: "checkout, managed",
        disk: with(&a),
        doing: Doing::InStore(&|store: &Store| a.managed(store)),
        before: expect.clone(),
        after: expect,
        repeatable: true,
        reads: false,
    }
    .run();
}

#[test]
fn a_managed_view_follows_its_model() {
    let (a, a2) = (world::a(), world::a2());
    let disk = world(&[&a, &a2], |store| {
        a.add(store, Take::Auto).unwrap();
        a.managed(store).unwrap();
        a2.add(store, Take::Auto).unwrap();
    });
    let expect = Expect { must: vec![a, a2.clone()], ..Expect::default() };
    Scenario {
        name: "checkout, managed, replacing",
        disk,
        doing: Doing::InStore(&|store: &Store| a2.managed(store)),
        before: expect.clone(),
        after: expect,
        repeatable: true,
        reads: false,
    }
    .run();
}
