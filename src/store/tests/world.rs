//! Models for the crash tests, and what is known of them without asking the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::engine::options;
use crate::digest::BlobHash;
use crate::fs::sim::{Keep, SimDisk, SimFs};
use crate::model::{FilePath, Manifest, ManifestFile};
use crate::progress::Progress;
use crate::store::{Access, AddOptions, Resolved, Store, Take};
use crate::views::{self, ViewOptions};

/// A model: what it is called, where its source is, and its bytes.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub name: &'static str,
    pub source: &'static str,
    pub files: BTreeMap<String, Vec<u8>>,
    pub manifest: BlobHash,
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.manifest == other.manifest
    }
}

impl Model {
    pub fn new(name: &'static str, source: &'static str, files: &[(&str, Vec<u8>)]) -> Self {
        let entries = files.iter().map(|(path, bytes)| ManifestFile {
            path: FilePath::new(*path).unwrap(),
            size: bytes.len() as u64,
            blob: BlobHash::of(bytes),
            sha256: None,
            git: None,
        });
        let manifest = Manifest::new(name.parse().unwrap(), None, entries.collect()).unwrap();
        let manifest = BlobHash::of(&manifest.to_bytes().unwrap());
        let files = files.iter().map(|(p, b)| ((*p).to_owned(), b.clone())).collect();
        Self { name, source, files, manifest }
    }

    /// Puts its source on the disk, durably, where files of it are missing.
    pub fn plant(&self, disk: &SimDisk) {
        for (path, bytes) in &self.files {
            let at = format!("{}/{path}", self.source);
            if !disk.exists(&at) {
                disk.write_file(&at, bytes);
            }
        }
    }

    pub fn options(&self, take: Take) -> AddOptions {
        AddOptions { take, ..options(self.name) }
    }

    pub fn add(&self, store: &Store, take: Take) -> Result<(), String> {
        let added = store.add(Path::new(self.source), &self.options(take), &Progress::new());
        let added = added.map_err(|e| e.to_string())?;
        assert_eq!(added.revision.as_str(), self.manifest.to_string(), "another revision");
        Ok(())
    }

    pub fn resolve(&self, store: &Store) -> Option<Resolved> {
        store.resolve(&format!("{}@{}", self.name, self.manifest).parse().unwrap()).ok()
    }

    pub fn checkout(&self, store: &Store, path: &str, options: ViewOptions) -> Result<(), String> {
        let spec = format!("{}@{}", self.name, self.manifest).parse().unwrap();
        let revision = store.resolve(&spec).map_err(|e| e.to_string())?;
        views::checkout(store, &revision, Path::new(path), options, &Progress::new())
            .map(drop)
            .map_err(|e| e.to_string())
    }

    pub fn managed(&self, store: &Store) -> Result<(), String> {
        let spec = format!("{}@{}", self.name, self.manifest).parse().unwrap();
        let revision = store.resolve(&spec).map_err(|e| e.to_string())?;
        views::managed(store, &revision, ViewOptions::default(), &Progress::new())
            .map(drop)
            .map_err(|e| e.to_string())
    }

    pub fn remove(&self, store: &Store) -> Result<(), String> {
        let options = crate::space::RemoveOptions { force: true, ..Default::default() };
        match self.resolve(store) {
            Some(revision) => crate::space::remove(store, &[revision], options)
                .map(drop)
                .map_err(|e| e.to_string()),
            None => collect(store),
        }
    }
}

pub(super) fn collect(store: &Store) -> Result<(), String> {
    crate::space::collect(store, true).map(drop).map_err(|e| e.to_string())
}

/// Bytes without repetition, so that no two blocks are equal by chance.
pub(super) fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_derive_key("tonnage tests").update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Weights large enough to be hardlinked into views, directories in directories, an empty file.
pub(super) fn a() -> Model {
    Model::new(
        "org/a",
        "/src/a",
        &[
            ("weights.bin", bytes(1, 70_000)),
            ("config.json", b"{}".to_vec()),
            ("sub/deep/part.bin", bytes(2, 5000)),
            ("sub/empty", Vec::new()),
        ],
    )
}

/// The next revision of `a`.
pub(super) fn a2() -> Model {
    Model::new(
        "org/a",
        "/src/a2",
        &[
            ("weights.bin", bytes(1, 70_000)),
            ("config.json", b"{\"v\":2}".to_vec()),
            ("new/part.bin", bytes(3, 4000)),
        ],
    )
}

/// Shares its weights with `a`.
pub(super) fn b() -> Model {
    Model::new(
        "org/b",
        "/src/b",
        &[("weights.bin", bytes(1, 70_000)), ("b.json", b"{\"b\":1}".to_vec())],
    )
}

/// One blob under three names.
pub(super) fn twins() -> Model {
    let same = bytes(4, 6000);
    Model::new(
        "org/twins",
        "/src/twins",
        &[("x.bin", same.clone()), ("y.bin", same.clone()), ("sub/z.bin", same)],
    )
}

/// More files than are made durable one by one.
pub(super) fn many() -> Model {
    let names: Vec<_> = (0..18).map(|i| format!("d{}/e/f{i}", i % 3)).collect();
    let files: Vec<_> = (0_u8..).zip(&names).map(|(i, n)| (&**n, bytes(100 + i, 300))).collect();
    Model::new("org/many", "/src/many", &files)
}

/// Large enough that `verify` has chaining values to learn.
pub(super) fn big() -> Model {
    Model::new("org/big", "/src/big", &[("weights.bin", bytes(9, (1 << 20) + 5))])
}

pub(super) fn all() -> &'static [Model] {
    static ALL: OnceLock<Vec<Model>> = OnceLock::new();
    ALL.get_or_init(|| vec![a(), a2(), b(), twins(), many(), big()])
}

pub(super) fn open(fs: &Arc<SimFs>) -> Result<Store, String> {
    Store::open_on(fs.clone(), Path::new("/store"), Access::Write, 1).map_err(|e| e.to_string())
}

/// A disk with the sources of `sources` and a store that `prepare` filled; all of it durable.
pub(super) fn world(sources: &[&Model], prepare: impl FnOnce(&Store)) -> SimDisk {
    fastrand::seed(1);
    let disk = SimDisk::new();
    for model in sources {
        model.plant(&disk);
    }
    let store = open(&disk.process()).unwrap();
    prepare(&store);
    drop(store);
    disk.cut_power();
    disk.reboot(Keep::All);
    disk
}
