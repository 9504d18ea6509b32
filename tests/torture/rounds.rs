//! Rounds of several processes, some of which are killed, and what holds after each.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use tonnage::progress::Progress;
use tonnage::space::collect;
use tonnage::store::{Access, Store};
use tonnage::views::{ViewOptions, checkout};

use crate::models::*;
use crate::peer::*;
use crate::roles::assert_tree;
use crate::support::*;

pub type Name = (String, String);

/// What the store must hold.
#[derive(Default)]
pub struct Expected {
    /// Revisions that are there at the beginning of the round.
    there: BTreeSet<Name>,
    /// What each ref of each model points to at the beginning of the round.
    refs: BTreeMap<Name, String>,
}

/// What the processes of one round said.
#[derive(Default)]
pub struct Said {
    adding: BTreeSet<Name>,
    added: BTreeSet<Name>,
    removing: BTreeSet<Name>,
    removed: BTreeSet<Name>,
    /// Per model and ref, in order: the revision it was to be set to, and whether that was
    /// acknowledged. Only one process sets a model's refs.
    refs: BTreeMap<Name, Vec<(String, bool)>>,
}

impl Said {
    fn take(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let name = |i: usize| (words[1].clone(), words[i].clone());
        match words[0].as_str() {
            "adding" => {
                self.adding.insert(name(2));
                self.refs.entry(name(3)).or_default().push((words[2].clone(), false));
            }
            "added" => {
                self.added.insert(name(2));
                self.refs.get_mut(&name(3)).unwrap().last_mut().unwrap().1 = true;
            }
            "removing" => drop(self.removing.insert(name(2))),
            "removed" => drop(self.removed.insert(name(2))),
            _ => {}
        }
    }
}

/// Counts of the whole run.
#[derive(Debug, Default)]
pub struct Counts {
    rounds: u64,
    kills: u64,
    adds: u64,
    removes: u64,
    views: u64,
    violations: u64,
}

#[test]
pub fn no_kill_breaks_an_invariant() {
    let rounds = std::env::var("TONNAGE_TORTURE").map_or(60, |n| n.parse().unwrap());
    let seed = std::env::var("TONNAGE_TORTURE_SEED")
        .map_or_else(|_| fastrand::u64(..), |n| n.parse().unwrap());
    let home = tempfile::Builder::new().prefix("tonnage-torture-").tempdir().unwrap();
    let began = Instant::now();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut counts = Counts::default();
    let mut expected = Expected::default();
    drop(open(&home.path().join("store")));
    for round in 0..rounds {
        let said = run_round(home.path(), &mut rng, &mut counts);
        let checked = said.and_then(|said| check_round(home.path(), &mut expected, &said, round));
        if let Err(violations) = checked {
            counts.violations += violations.len() as u64;
            let kept = home.keep();
            panic!(
                "TONNAGE_TORTURE_SEED={seed}, round {round}, {counts:?}, the store is kept at {}: {violations:#?}",
                kept.display()
            );
        }
        counts.rounds += 1;
    }
    let line = format!("torture: {counts:?} in {} s, seed {seed}", began.elapsed().as_secs());
    let _ = writeln!(std::io::stderr().lock(), "{line}");
    assert!(counts.kills > 0 && counts.adds > 0 && counts.removes > 0, "{counts:?}");
}

/// Starts five processes and kills most of them.
pub fn run_round(
    home: &Path,
    rng: &mut fastrand::Rng,
    counts: &mut Counts,
) -> Result<Said, Vec<String>> {
    let mut peers = Vec::new();
    for me in 0..5_u64 {
        let role = if me < 3 { "adder" } else { "collector" };
        let turns = 6_u64;
        let numbers = [me.to_string(), rng.u64(..).to_string(), turns.to_string()];
        let [me, seed, turns] = numbers.each_ref().map(OsStr::new);
        let peer = Peer::start(role, &[home.as_os_str(), me, seed, turns]);
        // One in five is let live; the others die within the lines that they have to say.
        let dies = (rng.u32(..5) > 0).then(|| (rng.usize(..14), rng.u32(..400_000)));
        peers.push((peer, dies));
    }
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let watch = |(peer, dies): (Peer, Option<(usize, u32)>)| watch(peer, dies);
        let threads: Vec<_> =
            peers.into_iter().map(|peer| scope.spawn(move || watch(peer))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut said = Said::default();
    let mut failed = Vec::new();
    for (lines, killed, ok) in outcomes {
        counts.kills += u64::from(killed);
        counts.adds += lines.iter().filter(|line| line.starts_with("added ")).count() as u64;
        counts.removes += lines.iter().filter(|line| line.starts_with("removed ")).count() as u64;
        counts.views += lines.iter().filter(|line| *line == "checked out").count() as u64;
        lines.iter().for_each(|line| said.take(line));
        if !ok {
            let last = lines.last().cloned().unwrap_or_default();
            failed.push(format!("a process failed by itself: {last}"));
        }
    }
    if failed.is_empty() { Ok(said) } else { Err(failed) }
}

/// Listens to a process and kills it some instants after so many lines. What it said, whether it
/// was killed, and whether it did not fail by itself.
pub fn watch(mut peer: Peer, dies: Option<(usize, u32)>) -> (Vec<String>, bool, bool) {
    let mut lines = Vec::new();
    let mut killed = false;
    loop {
        if let Some((after, instants)) = dies
            && !killed
            && lines.len() >= after
        {
            for _ in 0..instants {
                std::hint::spin_loop();
            }
            let _ = peer.child.kill();
            killed = true;
        }
        // What it said before it died still counts.
        match peer.line() {
            Some(line) => lines.push(line),
            None => break,
        }
    }
    let mut told = String::new();
    let _ = peer.child.stderr.take().unwrap().read_to_string(&mut told);
    let status = peer.child.wait().unwrap();
    let by_signal = status.code().is_none();
    if !by_signal && !status.success() {
        lines.push(told);
    }
    (lines, by_signal, by_signal || status.success())
}

pub fn check_round(
    home: &Path,
    expected: &mut Expected,
    said: &Said,
    round: u64,
) -> Result<(), Vec<String>> {
    let mut found = Vec::new();
    let path = home.join("store");
    // Who only reads comes first: the index may be as a killed writer left it.
    match Store::open(&path, Access::Read) {
        Ok(store) => found.extend(check_names(&store, expected, said)),
        Err(e) => found.push(format!("a read-only open: {e}")),
    }
    let store = Store::open(&path, Access::Write).map_err(|e| vec![e.to_string()])?;
    found.extend(violations(&store));
    if !found.is_empty() {
        return Err(found);
    }
    for (number, revision) in all(&store).iter().enumerate() {
        let at = home.join("check").join(number.to_string());
        let made = checkout(&store, revision, &at, ViewOptions::default(), &Progress::new());
        made.map_err(|e| vec![format!("{}: {e}", revision.model)])?;
        let paths: Vec<_> = read_tree(&at).into_keys().collect();
        assert_tree(&at);
        if revision_of(revision.model.as_str(), &paths) != revision.revision {
            found.push(format!("{} {} has other files", revision.model, revision.revision));
        }
    }
    for leftover in ["check", "views"] {
        let _ = fs::remove_dir_all(home.join(leftover));
    }
    found.extend(check_collected(&store));
    drop(store);
    if round % 10 == 9 {
        found.extend(check_rebuild(&path));
        // Should, not must: a kill between a commit and the ref's own file leaves the file behind,
        // and a rebuild takes what the file says.
        expected.refs = refs(&open(&path));
    }
    for entry in fs::read_dir(home).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().starts_with("scratch-") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// What each ref of each model points to.
pub fn refs(store: &Store) -> BTreeMap<Name, String> {
    let mut refs = BTreeMap::new();
    for one in store.list().unwrap() {
        for reference in &one.refs {
            let name = (one.model.to_string(), reference.to_string());
            refs.insert(name, one.revision.to_string());
        }
    }
    refs
}

/// Whether revisions and refs are what the processes were told they are.
pub fn check_names(store: &Store, expected: &mut Expected, said: &Said) -> Vec<String> {
    let mut found = Vec::new();
    let listed = store.list().unwrap().into_iter();
    let there: BTreeSet<_> =
        listed.map(|one| (one.model.to_string(), one.revision.to_string())).collect();
    let refs = refs(store);
    for name in expected.there.union(&said.added) {
        if !there.contains(name) && !said.removing.contains(name) {
            found.push(format!("{name:?} was added and nobody removed it, but it is not there"));
        }
    }
    for name in &there {
        if !expected.there.contains(name) && !said.adding.contains(name) {
            found.push(format!("{name:?} is there and nobody added it"));
        }
        if said.removed.contains(name) && !said.adding.contains(name) {
            found.push(format!("{name:?} was removed and is there"));
        }
    }
    let all_refs: BTreeSet<_> =
        expected.refs.keys().chain(said.refs.keys()).chain(refs.keys()).cloned().collect();
    for name in all_refs {
        let mut can_be = BTreeSet::new();
        can_be.extend(expected.refs.get(&name).cloned().map(Some));
        if can_be.is_empty() {
            can_be.insert(None);
        }
        for (revision, acknowledged) in said.refs.get(&name).into_iter().flatten() {
            if *acknowledged {
                can_be.clear();
            }
            can_be.insert(Some(revision.clone()));
        }
        let was_removed = |revision: &Option<String>| {
            revision.as_ref().is_some_and(|r| said.removing.contains(&(name.0.clone(), r.clone())))
        };
        if can_be.iter().any(was_removed) {
            can_be.insert(None);
        }
        let is = refs.get(&name).cloned();
        if !can_be.contains(&is) {
            found.push(format!("the ref {name:?} is {is:?} and not one of {can_be:?}"));
        }
    }
    *expected = Expected { there, refs };
    found
}

/// Collects, and whether that leaves what is needed and nothing else.
pub fn check_collected(store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    // The store's own views of revisions that are gone go with the first collection.
    collect(store, true).unwrap();
    let mut wanted = [BTreeSet::new(), BTreeSet::new()];
    for revision in all(store) {
        let manifest = store.manifest(&revision).unwrap();
        wanted[0].extend(manifest.blobs().into_iter().map(|(blob, _)| blob.to_string()));
        wanted[1].insert(revision.revision.to_string());
    }
    for (dir, wanted) in ["blobs", "manifests"].into_iter().zip(wanted) {
        let is: BTreeSet<_> = names(store.path(), dir).into_iter().collect();
        found.extend(is.difference(&wanted).map(|name| format!("garbage: {dir}/{name}")));
        found.extend(wanted.difference(&is).map(|name| format!("lost: {dir}/{name}")));
    }
    for dir in ["staging", "trash"] {
        found.extend(names(store.path(), dir).iter().map(|name| format!("garbage: {dir}/{name}")));
    }
    for name in names(store.path(), "models") {
        if name.contains(".tonnage-") {
            found.push(format!("garbage: models/{name}"));
        }
    }
    let fsck = store.fsck().unwrap();
    if (fsck.garbage, fsck.dead_imports, fsck.dead_views) != (0, 0, 0) || !fsck.problems.is_empty()
    {
        found.push(format!("after a collection: {fsck:?}"));
    }
    found
}

/// A new index says what the old one did.
pub fn check_rebuild(path: &Path) -> Vec<String> {
    let listing = || {
        let listed = open(path).list().unwrap();
        let mut names: Vec<_> = listed
            .into_iter()
            .map(|one| (one.model, one.revision.to_string(), one.files, one.size, one.exclusive))
            .collect();
        names.sort_unstable();
        names
    };
    let before = listing();
    let rebuilt = Store::rebuild_index(path).unwrap();
    if !rebuilt.left_out.is_empty() || listing() != before {
        return vec![format!("the index is another after it was rebuilt: {rebuilt:?}")];
    }
    Vec::new()
}
