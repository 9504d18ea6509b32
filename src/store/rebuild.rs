//! A new index from what is on disk: blobs, manifests, refs.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::gc::blob_name;
use super::index::{Index, PATIENCE, RevisionRow};
use super::layout::{self, Access, INDEX, Layout};
use super::{Result, Store, pin};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::real::RealFs;
use crate::fs::{Dir, Fs, Kind, LockKind, Open, Rename, Stat, lock};
use crate::model::{Manifest, ModelId, RefName};

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// Revisions that are whole and in the new index.
    pub revisions: u64,
    /// Refs that point at one of them.
    pub refs: u64,
    /// Blobs that they need.
    pub blobs: u64,
    /// Revisions that are not in the new index, and why. Their blobs are garbage now; adding
    /// or pulling the model again takes in what is still here.
    pub left_out: Vec<String>,
}

impl Store {
    /// Builds the index anew. The old one, in whatever state, is replaced when the new one is
    /// complete and durable.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while any process has the store open, and what the file system says.
    pub fn rebuild_index(path: impl AsRef<Path>) -> Result<Rebuilt> {
        Self::rebuild_index_on(Arc::new(RealFs), path.as_ref())
    }

    pub(crate) fn rebuild_index_on(fs: Arc<dyn Fs>, path: &Path) -> Result<Rebuilt> {
        let no_store = || StoreError::NoStore { path: path.into() };
        let root = Dir::open(&*fs, path)
            .map_err(|e| if e.is_not_found() { no_store() } else { e.into() })?;
        if !layout::check_format(&root)? {
            return Err(no_store());
        }
        let lock_file = layout::open_lock(&root, Access::Write)?;
        if !lock::wait(&lock_file, LockKind::Exclusive, PATIENCE)? {
            return Err(StoreError::Busy { path: lock_file.path().into(), waited: PATIENCE });
        }
        let layout = Layout::open_dirs(fs, path.into(), root, lock_file)?;
        let aside = format!("{INDEX}.new");
        match layout.root.remove_file(&aside) {
            Err(e) if !e.is_not_found() => return Err(e.into()),
            _ => {}
        }
        let file = layout.root.open_file(&aside, Open::New)?;
        let index = Index::create(&file)?;
        let rebuilt = fill(&layout, &index)?;
        drop(index);
        file.sync()?;
        layout.root.rename(&aside, &layout.root, INDEX, Rename::Replace)?;
        layout.root.sync()?;
        Ok(rebuilt)
    }
}

fn fill(layout: &Layout, index: &Index) -> Result<Rebuilt> {
    let mut rebuilt = Rebuilt::default();
    let mut blobs = HashSet::new();
    let writer = index.begin_write()?;
    // One revision's manifests, when a pull added files to it: the one with the most files is it.
    let mut revisions: HashMap<_, Vec<(u64, BlobHash, Manifest)>> = HashMap::new();
    for entry in layout.manifests.list()? {
        let Some(name) = blob_name(&entry) else { continue };
        let (manifest, _) = match whole(layout, &name)? {
            Ok(whole) => whole,
            Err(why) => {
                rebuilt.left_out.push(why);
                continue;
            }
        };
        let key = (manifest.model.clone(), manifest.revision(name));
        let files = manifest.files().len() as u64;
        revisions.entry(key).or_default().push((files, name, manifest));
    }
    for mut manifests in revisions.into_values() {
        manifests.sort_unstable_by_key(|(files, name, _)| (*files, *name));
        let Some((_, name, manifest)) = manifests.pop() else { continue };
        let stats = match whole(layout, &name)? {
            Ok((_, stats)) => stats,
            Err(why) => {
                rebuilt.left_out.push(why);
                continue;
            }
        };
        let added = layout.manifests.stat(name.to_string())?.mtime_ns.div_euclid(1_000_000_000);
        let mut row = RevisionRow::new(&manifest, name, added);
        row.pinned = pin::is_noted(layout, &row.model, &row.revision);
        blobs.extend(stats.iter().map(|(blob, _)| *blob));
        let stamps: Vec<_> = stats.iter().map(|(blob, stat)| (*blob, (*stat).into())).collect();
        let allotted: Vec<_> = stats.iter().map(|(blob, stat)| (*blob, stat.allotted)).collect();
        let write = || {
            let id = writer.insert_revision(&row, &stamps)?;
            writer.set_allotted(&allotted)?;
            for file in manifest.files() {
                if let Some(digest) = &file.sha256 {
                    writer.set_sha256(digest, &file.blob)?;
                }
                if let Some(digest) = &file.git {
                    writer.set_git(digest, &file.blob)?;
                }
            }
            for (_, former, files) in &manifests {
                if manifest.includes(files) {
                    writer.insert_former(id, former)?;
                }
            }
            Ok(())
        };
        write().map_err(|e| index.error(e))?;
        rebuilt.revisions += 1;
    }
    rebuilt.blobs = blobs.len() as u64;
    for (model, name, revision) in refs(layout)? {
        let set = || {
            let Some(id) = writer.find(&model, &revision)? else { return Ok(0) };
            writer.set_ref(&model, &name, id)?;
            Ok(1)
        };
        rebuilt.refs += set().map_err(|e| index.error(e))?;
    }
    writer.commit().map_err(|e| index.error(e))?;
    rebuilt.left_out.sort_unstable();
    Ok(rebuilt)
}

type Whole = (Manifest, Vec<(BlobHash, Stat)>);

/// A manifest with all its blobs, or why it is not whole. I2, I4: a row says that its files are
/// there.
fn whole(layout: &Layout, name: &BlobHash) -> Result<std::result::Result<Whole, String>> {
    let bytes = layout.manifests.open_file(name.to_string(), Open::Read)?.read_all(1 << 30)?;
    if BlobHash::of(&bytes) != *name {
        return Ok(Err(format!("the manifest {name} does not hash to its name")));
    }
    let manifest = match Manifest::from_bytes(&bytes) {
        Ok(manifest) => manifest,
        Err(e) => return Ok(Err(format!("the manifest {name}: {e}"))),
    };
    let mut stats = Vec::new();
    for (blob, size) in manifest.blobs() {
        match layout.blobs.stat(blob.to_string()) {
            Ok(stat) if stat.kind == Kind::File && stat.size == size => {
                stats.push((blob, stat));
            }
            Ok(_) => {
                return Ok(Err(format!("{}: the blob {blob} has another size", manifest.model)));
            }
            Err(e) if e.is_not_found() => {
                return Ok(Err(format!("{}: the blob {blob} is missing", manifest.model)));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Ok((manifest, stats)))
}

/// What `refs/` says: `<org>--<name>/<ref>`, each holding a revision. What cannot be read is left
/// out; refs should come back, they need not.
fn refs(layout: &Layout) -> Result<Vec<(ModelId, RefName, crate::model::Revision)>> {
    let mut refs = Vec::new();
    for entry in layout.refs.list()? {
        let Some(model) = entry.name.to_str().and_then(ModelId::from_dir_name) else { continue };
        let dir = layout.refs.open_dir(&entry.name)?;
        for entry in dir.list()? {
            let Some(name) = entry.name.to_str().and_then(RefName::from_file_name) else {
                continue;
            };
            let bytes = dir.open_file(&entry.name, Open::Read)?.read_all(4096)?;
            let revision = std::str::from_utf8(&bytes).ok().and_then(|t| t.trim().parse().ok());
            refs.extend(revision.map(|revision| (model.clone(), name, revision)));
        }
    }
    Ok(refs)
}
