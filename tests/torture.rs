//! Real processes on one store, killed at any moment.
//!
//! The processes are this test binary again, told by the environment what to be. They report on
//! their standard output, in lines that begin with `@`; what they report there is what the test
//! holds the store to.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::panic, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use tonnage::digest::BlobHash;
use tonnage::error::{ErrorKind, StoreError, ViewError};
use tonnage::model::{FilePath, Manifest, ManifestFile, Revision};
use tonnage::progress::Progress;
use tonnage::space::{RemoveOptions, collect, remove};
use tonnage::store::{Access, AddOptions, Resolved, Store, Take};
use tonnage::verify::{Level, verify};
use tonnage::views::{Mode, ViewOptions, checkout, managed};

use support::*;

const ROLE: &str = "TONNAGE_TORTURE_ROLE";

/// Says a line to the process that started this one.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@{line}").unwrap();
    out.flush().unwrap();
}

/// Waits for a line from the process that started this one.
fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// This test binary as another process.
struct Peer {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn start(role: &str, arguments: &[&OsStr]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "role_of_another_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (index, argument) in arguments.iter().enumerate() {
            command.env(format!("{ROLE}_{index}"), argument);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line it says; `None` when it is gone.
    fn line(&mut self) -> Option<String> {
        loop {
            // A killed process may leave half a line that is not text.
            let line = self.lines.next()?.ok()?;
            if let Some(said) = line.strip_prefix('@') {
                return Some(said.to_owned());
            }
        }
    }

    fn expect(&mut self, wanted: &str) {
        assert_eq!(self.line().as_deref(), Some(wanted));
    }

    fn tell(&mut self, line: &str) {
        let to = self.child.stdin.as_mut().unwrap();
        writeln!(to, "{line}").unwrap();
        to.flush().unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it end by itself.
    fn finish(mut self) {
        while self.line().is_some() {}
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {told}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn argument(index: usize) -> PathBuf {
    std::env::var_os(format!("{ROLE}_{index}")).unwrap().into()
}

fn number(index: usize) -> u64 {
    argument(index).to_str().unwrap().parse().unwrap()
}

/// Not a test: what a started process does. Without its environment it does nothing.
#[test]
fn role_of_another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.as_str() {
        "adder" => adder(),
        "collector" => collector(),
        "add-one" => add_one(),
        "hold-lease" => hold_lease(),
        "hold-open" => hold_open(),
        "add-when-told" => add_when_told(),
        "add-and-remove-forever" => add_and_remove_forever(),
        "same-place" => same_place(),
        other => panic!("{other}"),
    }
}

// ---- The models: a file's name tells its bytes. ----

/// A file of a model: 1 byte to 3 MiB, most of them small.
fn file_name(id: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(id);
    let len = match rng.u32(..10) {
        0 => rng.u64((1 << 20)..(3 << 20)),
        1..4 => rng.u64((60 << 10)..(70 << 10)),
        4 => 1,
        _ => rng.u64(1..5000),
    };
    format!("{id}-{len}.bin")
}

/// The bytes of the file with this name.
fn file_bytes(path: &str) -> Vec<u8> {
    let name = path.rsplit('/').next().unwrap().strip_suffix(".bin").unwrap();
    let (id, len) = name.split_once('-').unwrap();
    bytes(id.parse().unwrap(), len.parse().unwrap())
}

/// How many different files there are: few, so that models share them.
const FILES: u64 = 24;
/// How many models an adder has.
const MODELS: u64 = 3;
/// How many variants, and so revisions, a model has.
const VARIANTS: u64 = 6;

/// The paths of a model's variant.
fn paths_of(model: &str, variant: u64) -> Vec<String> {
    let seed = BlobHash::of(format!("{model} {variant}").as_bytes());
    let mut rng = fastrand::Rng::with_seed(u64::from_le_bytes(
        seed.to_string().as_bytes().first_chunk::<8>().copied().unwrap(),
    ));
    let mut paths: Vec<_> = (0..rng.u64(1..6)).map(|_| file_name(rng.u64(..FILES))).collect();
    if rng.bool() {
        paths.push(format!("below/{}", file_name(rng.u64(..FILES))));
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// The revision that adding these paths must give.
fn revision_of(model: &str, paths: &[String]) -> Revision {
    let files = paths
        .iter()
        .map(|path| {
            let bytes = file_bytes(path);
            ManifestFile {
                path: FilePath::new(path.as_str()).unwrap(),
                size: bytes.len() as u64,
                blob: BlobHash::of(&bytes),
                sha256: None,
                git: None,
            }
        })
        .collect();
    let manifest = Manifest::new(model.parse().unwrap(), None, files).unwrap();
    let name = BlobHash::of(&manifest.to_bytes().unwrap());
    manifest.revision(name)
}

// ---- The roles of the loop. ----

fn adder() {
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

fn add_variant(store: &Store, scratch: &Path, me: u64, rng: &mut fastrand::Rng) {
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
fn is_gone(e: &ViewError) -> bool {
    e.kind() == ErrorKind::NotFound && matches!(e, ViewError::Store(StoreError::NotFound { .. }))
}

fn some_revision(store: &Store, rng: &mut fastrand::Rng) -> Option<Resolved> {
    let listed = store.list().unwrap();
    let one = rng.choice(&listed)?;
    match store.resolve(&format!("{}@{}", one.model, one.revision).parse().unwrap()) {
        Ok(revision) => Some(revision),
        Err(StoreError::NotFound { .. }) => None,
        Err(e) => panic!("{e:?}"),
    }
}

fn check_out(store: &Store, views: &Path, me: u64, turn: u64, rng: &mut fastrand::Rng) {
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
fn assert_tree(dir: &Path) {
    let tree = read_tree(dir);
    assert!(!tree.is_empty(), "{} is empty", dir.display());
    for (path, bytes) in tree {
        assert!(bytes == file_bytes(&path), "{}/{path} has other bytes", dir.display());
    }
}

fn remove_one(store: &Store, rng: &mut fastrand::Rng) {
    let Some(revision) = some_revision(store, rng) else { return };
    let options = RemoveOptions { force: rng.u32(..4) == 0, ..RemoveOptions::default() };
    say(&format!("removing {} {}", revision.model, revision.revision));
    let freed = remove(store, std::slice::from_ref(&revision), options).unwrap();
    for gone in freed.gone {
        say(&format!("removed {} {}", gone.model, gone.revision));
    }
}

/// A process that only reads, while the others write and die.
fn read_only(home: &Path, rng: &mut fastrand::Rng) {
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

fn collector() {
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

// ---- The loop. ----

type Name = (String, String);

/// What the store must hold.
#[derive(Default)]
struct Expected {
    /// Revisions that are there at the beginning of the round.
    there: BTreeSet<Name>,
    /// What each ref of each model points to at the beginning of the round.
    refs: BTreeMap<Name, String>,
}

/// What the processes of one round said.
#[derive(Default)]
struct Said {
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
struct Counts {
    rounds: u64,
    kills: u64,
    adds: u64,
    removes: u64,
    views: u64,
    violations: u64,
}

#[test]
fn no_kill_breaks_an_invariant() {
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
fn run_round(
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
fn watch(mut peer: Peer, dies: Option<(usize, u32)>) -> (Vec<String>, bool, bool) {
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

fn check_round(
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
fn refs(store: &Store) -> BTreeMap<Name, String> {
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
fn check_names(store: &Store, expected: &mut Expected, said: &Said) -> Vec<String> {
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
fn check_collected(store: &Store) -> Vec<String> {
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
fn check_rebuild(path: &Path) -> Vec<String> {
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

// ---- One promise each. ----

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_tree(
            &dir.path().join("tree"),
            &[("config.json", b"{}"), ("weights.bin", &bytes(1, 3 << 20))],
        );
        drop(open(&dir.path().join("store")));
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, role: &str) -> Peer {
        Peer::start(role, &[self.dir.path().as_os_str()])
    }
}

fn add_one() {
    let home = argument(0);
    let store = open(&home.join("store"));
    say("ready");
    hear();
    let added = add(&store, &home.join("tree"), "org/model");
    say(&format!("added {}", added.revision));
}

#[test]
fn two_processes_that_add_the_same_model_both_succeed() {
    for _ in 0..5 {
        let home = Home::new();
        let mut peers = [home.start("add-one"), home.start("add-one")];
        peers.iter_mut().for_each(|peer| peer.expect("ready"));
        peers.iter_mut().for_each(|peer| peer.tell("go"));
        let said = peers.each_mut().map(|peer| peer.line().unwrap());
        assert_eq!(said[0], said[1]);
        peers.into_iter().for_each(Peer::finish);
        let store = open(&home.at("store"));
        assert_eq!(store.list().unwrap().len(), 1);
        assert_eq!(names(store.path(), "blobs").len(), 2);
        assert_eq!(names(store.path(), "manifests").len(), 1);
        assert_nothing_staged(store.path());
        assert_whole(&store);
    }
}

fn hold_lease() {
    let store = Store::open(argument(0).join("store"), Access::Read).unwrap();
    let lease = store.lease(&resolve(&store, "org/model")).unwrap();
    say("leased");
    hear();
    drop(lease);
    say("released");
    hear();
}

fn remove_all(store: &Store, dry_run: bool) -> (usize, Vec<String>) {
    let options = RemoveOptions { dry_run, force: true, ..RemoveOptions::default() };
    let freed = remove(store, &all(store), options).unwrap();
    (freed.gone.len(), freed.kept.into_iter().map(|kept| kept.why).collect())
}

#[test]
fn a_leased_revision_stays_until_its_holder_dies() {
    let home = Home::new();
    let store = open(&home.at("store"));
    let added = add(&store, &home.at("tree"), "org/model");
    for ends_by_kill in [true, false] {
        let mut holders = [home.start("hold-lease"), home.start("hold-lease")];
        holders.iter_mut().for_each(|holder| holder.expect("leased"));
        for dry_run in [true, false] {
            let why = vec!["a running process uses it".to_owned()];
            assert_eq!(remove_all(&store, dry_run), (0, why));
        }
        collect(&store, true).unwrap();
        assert_eq!(names(store.path(), "blobs").len(), 2);
        assert_whole(&store);
        // One holder of two is enough.
        holders[0].kill();
        assert_eq!(remove_all(&store, false).0, 0);
        if ends_by_kill {
            holders[1].kill();
        } else {
            holders[1].tell("release");
            holders[1].expect("released");
        }
        assert_eq!(remove_all(&store, true), (1, Vec::new()));
        assert_eq!(remove_all(&store, false), (1, Vec::new()));
        assert_eq!(names(store.path(), "blobs"), Vec::<String>::new());
        assert_eq!(add(&store, &home.at("tree"), "org/model").revision, added.revision);
    }
}

fn add_when_told() {
    let home = argument(0);
    let store = open(&home.join("store"));
    add(&store, &home.join("tree"), "org/model");
    say("ready");
    hear();
    fs::write(home.join("tree/new.bin"), bytes(3, 100_000)).unwrap();
    match try_add(&store, &home.join("tree"), &options("org/model")) {
        Ok(_) => say("added"),
        Err(e) => say(&format!("error {e}")),
    }
    match collect(&store, true) {
        Ok(_) => say("collected"),
        Err(e) => say(&format!("error {e}")),
    }
}

#[test]
fn a_store_that_was_deleted_while_open_takes_nothing_in() {
    // The directory may be gone, or another store may stand in its place.
    for another in [false, true] {
        let home = Home::new();
        let mut peer = home.start("add-when-told");
        peer.expect("ready");
        fs::remove_dir_all(home.at("store")).unwrap();
        if another {
            drop(open(&home.at("store")));
        }
        peer.tell("go");
        let said = peer.line().unwrap();
        let path = home.at("store").canonicalize().unwrap_or_else(|_| home.at("store"));
        let wanted = format!("error the store at {} was removed while in use", path.display());
        assert_eq!(said, wanted);
        assert!(peer.line().is_some(), "a collection must not panic");
        peer.finish();
        if another {
            let store = open(&home.at("store"));
            assert!(store.list().unwrap().is_empty());
            assert_eq!(names(store.path(), "blobs"), Vec::<String>::new());
        } else {
            assert!(!home.at("store").exists());
        }
    }
}

fn hold_open() {
    let home = argument(0);
    let store = open(&home.join("store"));
    say("open");
    while hear() == "add" {
        let added = add(&store, &home.join("tree"), "org/model");
        say(&format!("added {}", added.revision));
    }
}

#[test]
fn a_shared_reader_sees_a_peers_writes() {
    let home = Home::new();
    let reader = Store::open(home.at("store"), Access::Read).unwrap();
    assert!(reader.list().unwrap().is_empty());
    let mut peer = home.start("hold-open");
    peer.expect("open");
    for turn in 0..20 {
        fs::write(home.at("tree/config.json"), format!("{{\"turn\":{turn}}}")).unwrap();
        peer.tell("add");
        let said = peer.line().unwrap();
        let at_main = resolve(&reader, "org/model");
        assert_eq!(said, format!("added {}", at_main.revision));
        assert_eq!(reader.list().unwrap().len(), turn + 1);
        let at = home.at("view");
        view(&reader, "org/model", &at, ViewOptions::default());
        assert_eq!(read_tree(&at), read_tree(&home.at("tree")));
    }
    // What a third process removes, the reader no longer has.
    remove_all(&open(&home.at("store")), false);
    assert!(reader.list().unwrap().is_empty());
    peer.kill();
}

/// Waits out the patience of 30 seconds, so it runs only when asked.
#[test]
#[ignore = "waits 30 s"]
fn the_index_of_a_store_in_use_is_not_rebuilt() {
    let home = Home::new();
    let mut peer = home.start("hold-open");
    peer.expect("open");
    let e = Store::rebuild_index(home.at("store")).unwrap_err();
    assert!(matches!(&e, StoreError::Busy { path, .. } if *path == home.at("store/lock")), "{e}");
    peer.tell("add");
    assert!(peer.line().unwrap().starts_with("added "));
    peer.kill();
    assert_eq!(Store::rebuild_index(home.at("store")).unwrap().revisions, 1);
    assert_whole(&open(&home.at("store")));
}

/// A rebuild must wait for who has the store open, also when that one only reads, and go on when
/// the last of them dies.
#[test]
fn a_rebuild_waits_for_a_process_that_dies() {
    let home = Home::new();
    add(&open(&home.at("store")), &home.at("tree"), "org/model");
    let mut peer = home.start("hold-lease");
    peer.expect("leased");
    let inode = |path: PathBuf| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).unwrap().ino()
    };
    let before = inode(home.at("store/index.redb"));
    std::thread::scope(|scope| {
        let rebuild = scope.spawn(|| Store::rebuild_index(home.at("store")));
        // Other work meanwhile, so that the rebuild has had its chance to go wrong.
        for _ in 0..20 {
            let reader = Store::open(home.at("store"), Access::Read).unwrap();
            assert_eq!(reader.list().unwrap().len(), 1);
        }
        assert!(!rebuild.is_finished());
        assert_eq!(inode(home.at("store/index.redb")), before);
        peer.kill();
        assert_eq!(rebuild.join().unwrap().unwrap().revisions, 1);
    });
    assert_ne!(inode(home.at("store/index.redb")), before);
    assert_whole(&open(&home.at("store")));
}

fn add_and_remove_forever() {
    let home = argument(0);
    let store = open(&home.join("store"));
    let small = home.join("small");
    for turn in 0_u64.. {
        write_tree(&small, &[("a", &turn.to_le_bytes()), ("b", b"b")]);
        let added = add(&store, &small, "org/small");
        say(&format!("added {}", added.revision));
        if turn % 3 == 2 {
            let olds: Vec<_> =
                all(&store).into_iter().filter(|r| r.revision != added.revision).collect();
            remove(&store, &olds, RemoveOptions::default()).unwrap();
        }
    }
}

/// After a kill redb refuses a read-only open until somebody has repaired the index.
#[test]
fn an_index_whose_writer_was_killed_opens_for_readers() {
    let home = Home::new();
    let mut rng = fastrand::Rng::new();
    for _ in 0..25 {
        let mut peer = home.start("add-and-remove-forever");
        let mut last = String::new();
        for _ in 0..rng.u32(1..12) {
            last = peer.line().unwrap();
        }
        for _ in 0..rng.u32(..2_000_000) {
            std::hint::spin_loop();
        }
        let _ = peer.child.kill();
        while let Some(line) = peer.line() {
            last = line;
        }
        let reader = Store::open(home.at("store"), Access::Read).unwrap();
        let revision: Revision = last.strip_prefix("added ").unwrap().parse().unwrap();
        let listed = reader.list().unwrap();
        assert!(listed.iter().any(|one| one.revision == revision), "{last} is not there");
        let found = verify(&reader, &all(&reader), Level::Full, &Progress::new()).unwrap();
        assert!(found.damaged.is_empty(), "{found:?}");
        drop(reader);
        assert_whole(&open(&home.at("store")));
    }
}

fn same_place() {
    let (home, turns) = (argument(0), number(1));
    let store = open(&home.join("store"));
    say("ready");
    hear();
    for turn in 0..turns {
        let spec = if turn % 2 == 0 { "org/model" } else { "org/other" };
        let options = in_mode(if turn % 3 == 0 { Mode::Copy } else { Mode::Auto });
        match try_view(&store, spec, &home.join("place"), options) {
            Ok(_) => say("made"),
            Err(e) => panic!("{e:?}"),
        }
    }
}

/// A build that was just put in place was, to a neighbour who had opened it a moment before, a
/// dead process's leftover: it emptied the finished view.
#[test]
fn processes_that_make_one_view_at_one_place_leave_a_whole_one() {
    let home = Home::new();
    let store = open(&home.at("store"));
    write_tree(&home.at("tree-2"), &[("x.json", b"[]"), ("weights.bin", &bytes(2, 100_000))]);
    add(&store, &home.at("tree"), "org/model");
    add(&store, &home.at("tree-2"), "org/other");
    let turns = OsStr::new("40");
    let mut peers: Vec<_> =
        (0..3).map(|_| Peer::start("same-place", &[home.dir.path().as_os_str(), turns])).collect();
    peers.iter_mut().for_each(|peer| peer.expect("ready"));
    peers.iter_mut().for_each(|peer| peer.tell("go"));
    peers.into_iter().for_each(Peer::finish);
    let is = read_tree(&home.at("place"));
    assert!(is == read_tree(&home.at("tree")) || is == read_tree(&home.at("tree-2")), "{is:?}");
    let left: Vec<_> =
        names(home.dir.path(), ".").into_iter().filter(|name| name.contains(".tonnage-")).collect();
    assert_eq!(left, Vec::<String>::new());
    assert_whole(&store);
}
