//! What the tests of real processes and real file systems share.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod family;
pub mod mounts;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tonnage::digest::BlobHash;
use tonnage::error::StoreError;
use tonnage::model::{Manifest, ModelSpec, RefName};
use tonnage::progress::Progress;
use tonnage::store::{Access, AddOptions, Added, Resolved, Store, Take};
use tonnage::verify::{Level, verify};
use tonnage::views::{Mode, View, ViewOptions, checkout};

/// The files of a directory, by their path in it.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Says that a test, or a part of one, could not run here.
pub fn skipped(what: &str) {
    // Straight to the descriptor: the harness shows what a passing test prints only on request.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {what}");
}

/// `len` bytes that are the same for the same seed.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut out);
    out
}

/// Writes files below `dir`, which is made.
pub fn write_tree(dir: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir_all(dir).unwrap();
    for (path, bytes) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Everything below `dir`.
pub fn read_tree(dir: &Path) -> Tree {
    fn visit(dir: &Path, prefix: &str, out: &mut Tree) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                visit(&entry.path(), &format!("{name}/"), out);
            } else {
                out.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut out = Tree::new();
    visit(dir, "", &mut out);
    out
}

pub fn open(path: &Path) -> Store {
    Store::open(path, Access::Write).unwrap()
}

/// The options of a plain add of `org/model`.
pub fn options(model: &str) -> AddOptions {
    AddOptions {
        model: model.parse().unwrap(),
        reference: RefName::main(),
        take: Take::Auto,
        follow_links: false,
        sha256: false,
    }
}

pub fn try_add(store: &Store, path: &Path, options: &AddOptions) -> Result<Added, StoreError> {
    store.add(path, options, &Progress::new())
}

pub fn add(store: &Store, path: &Path, model: &str) -> Added {
    try_add(store, path, &options(model)).unwrap()
}

pub fn resolve(store: &Store, spec: &str) -> Resolved {
    store.resolve(&spec.parse::<ModelSpec>().unwrap()).unwrap()
}

pub fn manifest(store: &Store, spec: &str) -> Manifest {
    store.manifest(&resolve(store, spec)).unwrap()
}

pub fn in_mode(mode: Mode) -> ViewOptions {
    ViewOptions { mode, ..ViewOptions::default() }
}

pub fn try_view(
    store: &Store,
    spec: &str,
    at: &Path,
    options: ViewOptions,
) -> Result<View, tonnage::error::ViewError> {
    checkout(store, &resolve(store, spec), at, options, &Progress::new())
}

pub fn view(store: &Store, spec: &str, at: &Path, options: ViewOptions) -> View {
    try_view(store, spec, at, options).unwrap()
}

/// Every revision in the store.
pub fn all(store: &Store) -> Vec<Resolved> {
    let listed = store.list().unwrap();
    listed.iter().map(|one| resolve(store, &format!("{}@{}", one.model, one.revision))).collect()
}

/// The names in one of the store's directories.
pub fn names(store: &Path, dir: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(store.join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// What breaks an invariant in the store at rest at `path`: in words, and nothing when it is
/// whole. Each blob is read by its plain path and hashed here, without the store's help.
pub fn violations(store: &Store) -> Vec<String> {
    let mut found: Vec<_> = match store.fsck() {
        Ok(fsck) => fsck
            .problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.invariant, problem.what))
            .collect(),
        Err(e) => vec![format!("fsck: {e}")],
    };
    for dir in ["blobs", "manifests"] {
        for name in names(store.path(), dir) {
            let hash = BlobHash::of(&fs::read(store.path().join(dir).join(&name)).unwrap());
            if hash.to_string() != name {
                found.push(format!("I1: {dir}/{name} hashes to {hash}"));
            }
        }
    }
    match verify(store, &all(store), Level::Full, &Progress::new()) {
        Ok(verified) => found.extend(
            verified.damaged.into_iter().map(|d| format!("{} {}: {}", d.model, d.path, d.why)),
        ),
        Err(e) => found.push(format!("verify: {e}")),
    }
    found
}

/// Fails unless the store is whole.
pub fn assert_whole(store: &Store) {
    let found = violations(store);
    assert!(found.is_empty(), "{}: {found:#?}", store.path().display());
}

/// Fails unless nothing of an import is left.
pub fn assert_nothing_staged(store: &Path) {
    assert_eq!(names(store, "staging"), Vec::<String>::new());
}

/// A path whose bytes are no text.
pub fn raw_name(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(std::ffi::OsStr::from_bytes(name))
}

/// Every way of materializing.
pub const MODES: [Mode; 4] = [Mode::Auto, Mode::Hardlink, Mode::Reflink, Mode::Copy];

pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
