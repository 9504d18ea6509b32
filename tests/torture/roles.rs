//! What the processes of the rounds do.

use std::fs;
use std::path::Path;

use tonnage::error::{ErrorKind, StoreError, ViewError};
use tonnage::progress::Progress;
use tonnage::space::{RemoveOptions, collect, remove};
use tonnage::store::{Access, AddOptions, Resolved, Store, Take};
use tonnage::verify::{Level, verify};
use tonnage::views::{ViewOptions, checkout, managed};

use crate::models::*;
use crate::peer::*;
use crate::support::*;

pub fn adder() {
    let (home, me, rng, turns) = (argument(0), number(1), number(2), number(3));
    let mut rng = fastrand::Rng::with_seed(rng);
    let scratch = home.join(format!("scratch-{me}-{}", std::process::id()));
    let mut store = open(&home.join("store"));
    for turn in 0..turns {
        if rng.u32(..8) == 0 {
            drop(store);
            store = open(&home.join("store"));
        }
        match rng.u32(..10) {
            0..6 => add_variant(&store, &scratch, me, &mut rng),
            6..8 => check_out(&store, &home.join("views"), me, turn, &mut rng),
            8 => remove_one(&store, &mut rng),
            _ => read_only(&home, &mut rng),
        }
        say("turn");
    }
}

pub fn add_variant(store: &Store, scratch: &Path, me: u64, rng: &mut fastrand::Rng) {
    let _ = fs::remove_dir_all(scratch);
    let model = format!("org-{me}/m{}", rng.u64(..MODELS));
    let variant = rng.u64(..VARIANTS);
    let reference = if rng.bool() { "main" } else { "tag" };
    let paths = paths_of(&model, variant);
    let revision = revision_of(&model, &paths);
    for path in &paths {
        let at = scratch.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, file_bytes(path)).unwrap();
    }
    let take = *rng.choice(&[Take::Auto, Take::Copy, Take::Hardlink, Take::Move]).unwrap();
    let options = AddOptions { reference: reference.parse().unwrap(), take, ..options(&model) };
    say(&format!("adding {model} {revision} {reference}"));
    let added = try_add(store, scratch, &options).unwrap();
    assert_eq!(added.revision, revision, "{model} {variant}");
    say(&format!("added {model} {revision} {reference}"));
}

/// Somebody removed the revision between two calls.
pub fn is_gone(e: &ViewError) -> bool {
    e.kind() == ErrorKind::NotFound && matches!(e, ViewError::Store(StoreError::NotFound { .. }))
}

pub fn some_revision(store: &Store, rng: &mut fastrand::Rng) -> Option<Resolved> {
    let listed = store.list().unwrap();
    let one = rng.choice(&listed)?;
    match store.resolve(&format!("{}@{}", one.model, one.revision).parse().unwrap()) {
        Ok(revision) => Some(revision),
        Err(StoreError::NotFound { .. }) => None,
        Err(e) => panic!("{e:?}"),
    }
}

pub fn check_out(store: &Store, views: &Path, me: u64, turn: u64, rng: &mut fastrand::Rng) {
    let Some(revision) = some_revision(store, rng) else { return };
    let options = ViewOptions {
        mode: *rng.choice(&MODES).unwrap(),
        writable: rng.u32(..4) == 0,
        force: false,
    };
    let progress = Progress::new();
    let made = if rng.u32(..3) == 0 {
        managed(store, &revision, options, &progress)
    } else {
        let at = views.join(format!("{me}-{}-{turn}", std::process::id()));
        checkout(store, &revision, &at, options, &progress)
    };
    match made {
        // A managed view goes when its revision does, so only one outside is sure to stay.
        Ok(view) if view.path.starts_with(store.path()) => say("managed a view"),
        Ok(view) => {
            assert_tree(&view.path);
            if rng.bool() {
                fs::remove_dir_all(&view.path).unwrap();
            }
            say("checked out");
        }
        Err(e) if is_gone(&e) => say("gone"),
        Err(e) => panic!("checkout: {e:?}"),
    }
}

/// Fails unless each file in `dir` has the bytes that its name tells.
pub fn assert_tree(dir: &Path) {
    let tree = read_tree(dir);
    assert!(!tree.is_empty(), "{} is empty", dir.display());
    for (path, bytes) in tree {
        assert!(bytes == file_bytes(&path), "{}/{path} has other bytes", dir.display());
    }
}

pub fn remove_one(store: &Store, rng: &mut fastrand::Rng) {
    let Some(revision) = some_revision(store, rng) else { return };
    let options = RemoveOptions { force: rng.u32(..4) == 0, ..RemoveOptions::default() };
    say(&format!("removing {} {}", revision.model, revision.revision));
    let freed = remove(store, std::slice::from_ref(&revision), options).unwrap();
    for gone in freed.gone {
        say(&format!("removed {} {}", gone.model, gone.revision));
    }
}

/// A process that only reads, while the others write and die.
pub fn read_only(home: &Path, rng: &mut fastrand::Rng) {
    let store = Store::open(home.join("store"), Access::Read).unwrap();
    let Some(revision) = some_revision(&store, rng) else { return };
    let _lease = match store.lease(&revision) {
        Ok(lease) => lease,
        Err(StoreError::NotFound { .. }) => return say("gone"),
        Err(e) => panic!("lease: {e:?}"),
    };
    let found = verify(&store, &[revision], Level::Full, &Progress::new()).unwrap();
    assert!(found.damaged.is_empty(), "{found:?}");
    say("read");
}

pub fn collector() {
    let (home, rng, turns) = (argument(0), number(2), number(3));
    let mut rng = fastrand::Rng::with_seed(rng);
    let store = open(&home.join("store"));
    for _ in 0..turns {
        match rng.u32(..4) {
            0 | 1 => remove_one(&store, &mut rng),
            2 => {
                collect(&store, rng.bool()).unwrap();
                say("collected");
            }
            _ => {
                // A store in use must look whole to a check too.
                let found = store.fsck().unwrap();
                assert!(found.problems.is_empty(), "{:?}", found.problems);
            }
        }
        say("turn");
    }
}
