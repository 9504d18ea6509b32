//! What must hold after any fault, looked at from outside the code that is tested: the disk's bytes
//! against what the models are known to be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::world::{self, Model};
use crate::digest::BlobHash;
use crate::fs::sim::SimDisk;
use crate::model::Manifest;
use crate::store::index::BlobState;
use crate::store::{Access, Store, Take};
use crate::views::ViewOptions;

/// What may be at a place that a user chose.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Look {
    /// No name, or an empty directory.
    Nothing,
    /// A whole view.
    Of(Model),
}

/// What a store may hold after a fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Expect {
    /// Revisions that must be there.
    pub must: Vec<Model>,
    /// Revisions that may be there besides.
    pub may: Vec<Model>,
    /// External places and what may be there.
    pub views: Vec<(&'static str, Vec<Look>)>,
    /// A model whose source files may be gone, as far as its revision has their bytes.
    pub moved: Option<Model>,
    /// What `main` of a model must be.
    pub main: Vec<Model>,
}

/// How the fault was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    pub power: bool,
    /// The operation had returned success.
    pub acknowledged: bool,
    /// Something failed meanwhile: what is written lazily may be missing.
    pub failed: bool,
    /// Leaves out what takes long and depends least on the fault.
    pub quick: bool,
}

type Outcome = Result<(), String>;

macro_rules! ensure {
    ($ok:expr, $($message:tt)*) => {
        if !$ok {
            return Err(format!($($message)*));
        }
    };
}

/// Everything. The disk is used up.
pub(super) fn check(disk: &SimDisk, expect: &Expect, kind: Kind) -> Outcome {
    let step = |name: &'static str| move |e: String| format!("{name}: {e}");
    names_tell_bytes(disk).map_err(step("before recovery"))?;
    views_are_whole(disk, expect).map_err(step("before recovery"))?;
    sources_are_safe(disk, expect).map_err(step("before recovery"))?;
    readers_see_it(&disk.fork(), expect).map_err(step("read-only"))?;

    let process = disk.process();
    let store = world::open(&process).map_err(step("open"))?;
    revisions(disk, &store, expect).map_err(step("recovered"))?;
    index_agrees(disk, &store, false).map_err(step("recovered"))?;
    world::collect(&store).map_err(step("collect"))?;
    revisions(disk, &store, expect).map_err(step("collected"))?;
    index_agrees(disk, &store, true).map_err(step("collected"))?;
    views_are_whole(disk, expect).map_err(step("collected"))?;
    sources_are_safe(disk, expect).map_err(step("collected"))?;
    if kind.quick {
        return names_tell_bytes(disk).map_err(step("at the end"));
    }
    let before = catalog(&store)?;
    drop(store);

    Store::rebuild_index_on(process.clone(), Path::new("/store"))
        .map_err(|e| format!("rebuild: {e}"))?;
    let store = world::open(&process).map_err(step("open rebuilt"))?;
    let after = catalog(&store)?;
    same_catalog(&before, &after, expect, kind).map_err(step("rebuilt"))?;
    revisions(disk, &store, &Expect { main: Vec::new(), ..expect.clone() })
        .map_err(step("rebuilt"))?;
    index_agrees(disk, &store, true).map_err(step("rebuilt"))?;

    for model in expect.must.iter().chain(&expect.may) {
        model.plant(disk);
        model.add(&store, Take::Auto).map_err(step("add again"))?;
    }
    if let Some(model) = expect.may.first().or(expect.must.first()) {
        model.checkout(&store, "/check/view", ViewOptions::default()).map_err(step("check out"))?;
        is_view_of(disk, "/check/view", model).map_err(step("checked out"))?;
    }
    index_agrees(disk, &store, false).map_err(step("added again"))?;
    names_tell_bytes(disk).map_err(step("at the end"))
}

/// I1: every file in `blobs/` and `manifests/` hashes to its name.
pub(super) fn names_tell_bytes(disk: &SimDisk) -> Outcome {
    for dir in ["/store/blobs", "/store/manifests"] {
        for name in disk.tree(dir) {
            let bytes = disk.read_file(format!("{dir}/{name}")).ok_or("no file")?;
            let found = blake3::hash(&bytes).to_hex();
            ensure!(*name == *found, "{dir}/{name} has {} bytes hashing to {found}", bytes.len());
        }
    }
    Ok(())
}

/// I7: what is at a final path is whole.
fn views_are_whole(disk: &SimDisk, expect: &Expect) -> Outcome {
    for (path, looks) in &expect.views {
        let mut problems = Vec::new();
        for look in looks {
            match look {
                Look::Nothing if disk.tree(path).is_empty() => problems.clear(),
                Look::Nothing => problems.push("something is there".to_owned()),
                Look::Of(model) => match is_view_of(disk, path, model) {
                    Ok(()) => problems.clear(),
                    Err(e) => problems.push(e),
                },
            }
            if problems.is_empty() {
                break;
            }
        }
        ensure!(problems.is_empty(), "the view {path}: {problems:?}");
    }
    let models = world::all();
    for path in managed(disk) {
        let known = models.iter().filter(|m| path.contains(&m.name.replace('/', "--")));
        let looks: Vec<_> = known.map(|model| is_view_of(disk, &path, model)).collect();
        ensure!(looks.iter().any(Result::is_ok), "the view {path}: {looks:?}");
    }
    Ok(())
}

/// The managed views at their final paths.
fn managed(disk: &SimDisk) -> BTreeSet<String> {
    let tree = disk.tree("/store/models");
    let parts = tree.iter().map(|path| path.split('/').collect::<Vec<_>>());
    let places = parts.filter_map(|parts| match parts[..] {
        [".revisions", model, revision, ..] => Some(vec![".revisions", model, revision]),
        [".revisions", ..] => None,
        [model, ..] => Some(vec![model]),
        [] => None,
    });
    places
        .map(|parts| parts.join("/"))
        .filter(|path| !path.contains(".tonnage-"))
        .map(|path| format!("/store/models/{path}"))
        .collect()
}

/// Nothing missing, nothing extra, all bytes right.
fn is_view_of(disk: &SimDisk, path: &str, model: &Model) -> Outcome {
    let mut expected = BTreeSet::new();
    for (file, bytes) in &model.files {
        let parts: Vec<_> = file.split('/').collect();
        expected.extend((1..=parts.len()).map(|n| parts[..n].join("/")));
        let found = disk.read_file(format!("{path}/{file}"));
        ensure!(found.is_some(), "{file} is missing");
        ensure!(found.as_ref() == Some(bytes), "{file} has other bytes");
    }
    let found: BTreeSet<_> = disk.tree(path).into_iter().collect();
    ensure!(found == expected, "names: {found:?}");
    Ok(())
}

/// Bytes that were to be moved are where they were, or in a blob of a revision that is there.
fn sources_are_safe(disk: &SimDisk, expect: &Expect) -> Outcome {
    let Some(model) = &expect.moved else { return Ok(()) };
    let has_manifest = disk.exists(format!("/store/manifests/{}", model.manifest));
    for (path, bytes) in &model.files {
        if disk.read_file(format!("{}/{path}", model.source)).as_ref() == Some(bytes) {
            continue;
        }
        let blob = disk.read_file(format!("/store/blobs/{}", BlobHash::of(bytes)));
        ensure!(
            has_manifest && blob.as_ref() == Some(bytes),
            "{path} is neither at its source nor in the store"
        );
    }
    Ok(())
}

fn readers_see_it(disk: &SimDisk, expect: &Expect) -> Outcome {
    if expect.must.is_empty() {
        return Ok(()); // perhaps there is no store
    }
    let store = Store::open_on(disk.process(), Path::new("/store"), Access::Read, 1)
        .map_err(|e| e.to_string())?;
    revisions(disk, &store, expect)
}

/// Every revision that must be there is, each with its bytes, and there is no other.
fn revisions(disk: &SimDisk, store: &Store, expect: &Expect) -> Outcome {
    let listed = store.list().map_err(|e| e.to_string())?;
    let listed: BTreeSet<_> = listed.iter().map(|l| l.manifest).collect();
    for model in &expect.must {
        ensure!(listed.contains(&model.manifest), "{} at {} is lost", model.name, model.source);
    }
    for manifest in &listed {
        let mut known = expect.must.iter().chain(&expect.may);
        let Some(model) = known.find(|model| model.manifest == *manifest) else {
            let all = world::all();
            let who = all.iter().find(|m| m.manifest == *manifest).map(|m| m.source);
            return Err(format!("{who:?} should not be there"));
        };
        for (path, bytes) in &model.files {
            let blob = disk.read_file(format!("/store/blobs/{}", BlobHash::of(bytes)));
            ensure!(blob.is_some(), "the blob of {path} of {} is lost", model.name);
            ensure!(blob.as_ref() == Some(bytes), "the blob of {path} has other bytes");
        }
        ensure!(model.resolve(store).is_some(), "{} does not resolve", model.name);
    }
    for model in &expect.main {
        let main = store.resolve(&format!("{}@main", model.name).parse().unwrap());
        let main = main.map_err(|e| e.to_string())?.manifest;
        ensure!(main == model.manifest, "main of {} is {main}", model.name);
    }
    Ok(())
}

/// I2 and I4, by a mark and sweep of our own: manifests' bytes from the disk against the index.
fn index_agrees(disk: &SimDisk, store: &Store, collected: bool) -> Outcome {
    let fsck = store.fsck().map_err(|e| e.to_string())?;
    ensure!(fsck.problems.is_empty(), "fsck: {:?}", fsck.problems);
    let (rows, edges, revisions) = store
        .index()
        .read(|reader| {
            let mut rows = BTreeMap::new();
            reader.for_each_blob(|blob, row| {
                rows.insert(blob, row);
            })?;
            let mut edges = BTreeMap::new();
            reader.for_each_edge(|blob, ids| {
                edges.insert(blob, ids.to_vec());
            })?;
            let mut revisions = reader.revisions()?;
            revisions.extend(reader.trashed()?.into_iter().map(|(id, one)| (id, one.row)));
            Ok((rows, edges, revisions))
        })
        .map_err(|e| e.to_string())?;
    let mut needed: BTreeMap<BlobHash, Vec<u64>> = BTreeMap::new();
    let mut manifests = BTreeSet::new();
    for (id, row) in &revisions {
        let bytes = disk.read_file(format!("/store/manifests/{}", row.manifest));
        let manifest = Manifest::from_bytes(&bytes.ok_or("a manifest is missing")?).unwrap();
        let blobs: BTreeSet<_> = manifest.files().iter().map(|f| f.blob).collect();
        for blob in blobs {
            let ids = needed.entry(blob).or_default();
            ids.push(*id);
            ids.sort_unstable();
        }
        manifests.insert(row.manifest.to_string());
    }
    ensure!(edges == needed, "edges {edges:?}, needed {needed:?}");
    for (blob, row) in &rows {
        let file = disk.read_file(format!("/store/blobs/{blob}"));
        let present = row.state == BlobState::Present;
        ensure!(present == needed.contains_key(blob), "{blob} is {:?}", row.state);
        ensure!(!present || file.is_some(), "{blob} is Present without a file");
    }
    ensure!(needed.keys().all(|blob| rows.contains_key(blob)), "a needed blob has no row");
    if collected {
        let blobs: BTreeSet<_> = disk.tree("/store/blobs").into_iter().collect();
        let wanted: BTreeSet<_> = needed.keys().map(ToString::to_string).collect();
        ensure!(blobs == wanted, "blobs {blobs:?}, needed {wanted:?}");
        ensure!(rows.len() == wanted.len(), "{} rows for {} blobs", rows.len(), wanted.len());
        let there: BTreeSet<_> = disk.tree("/store/manifests").into_iter().collect();
        ensure!(there == manifests, "manifests {there:?}, needed {manifests:?}");
        for dir in ["/store/staging", "/store/trash"] {
            ensure!(disk.tree(dir).is_empty(), "{dir}: {:?}", disk.tree(dir));
        }
    }
    Ok(())
}

type Catalog = (BTreeSet<BlobHash>, BTreeSet<(String, String, BlobHash)>);

fn catalog(store: &Store) -> Result<Catalog, String> {
    let listed = store.list().map_err(|e| e.to_string())?;
    let refs = listed
        .iter()
        .flat_map(|l| l.refs.iter().map(|r| (l.model.to_string(), r.to_string(), l.manifest)));
    // A new index has what was in the trash as revisions without refs.
    let trashed = store.trashed().map_err(|e| e.to_string())?;
    let manifests = listed.iter().map(|l| l.manifest).chain(trashed.iter().map(|t| t.manifest));
    Ok((manifests.collect(), refs.collect()))
}

/// Refs that the operation itself sets are written lazily: they come back after a success, if the
/// power stayed on.
fn same_catalog(before: &Catalog, after: &Catalog, expect: &Expect, kind: Kind) -> Outcome {
    ensure!(before.0 == after.0, "revisions {:?} became {:?}", before.0, after.0);
    let touched = |model: &str| expect.may.iter().chain(&expect.main).any(|m| m.name == model);
    let exact = kind.acknowledged && !kind.power && !kind.failed;
    let kept = |refs: &Catalog| -> BTreeSet<_> {
        refs.1.iter().filter(|(model, ..)| exact || !touched(model)).cloned().collect()
    };
    ensure!(kept(before) == kept(after), "refs {:?} became {:?}", before.1, after.1);
    Ok(())
}
