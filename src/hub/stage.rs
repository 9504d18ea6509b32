//! What comes before and after fetching, in the pull's directory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::RemoteFile;
use super::fetch::Fetched;
use super::part::Part;
use super::plan::{Here, Listing};
use super::progress::PullProgress;
use super::turn::Missing;
use crate::digest::segments::segments_of;
use crate::digest::{BlobHash, Upstream};
use crate::error::{FsError, PullError, SourceError, StoreError};
use crate::fs::{Dir, Open, durable};
use crate::model::{FilePath, Manifest, ManifestFile, ModelId};
use crate::space::{Gone, TRIES, make_room};
use crate::store::import::{Import, Learned};
use crate::store::partial::{self, LIST, List, ListedFile};
use crate::store::sharer::Sharer;
use crate::store::{Lease, Resolved, Store};

/// What a pull works on: each upstream digest once, with a file that has it, and how many have.
pub(super) type Files = BTreeMap<Upstream, (RemoteFile, u64)>;

/// What is in a pull's directory before anything is fetched.
#[derive(Debug)]
pub(super) struct Staged {
    /// All files of the revision as it will be.
    pub files: Files,
    /// Blobs that are pinned.
    pub blobs: HashMap<Upstream, BlobHash>,
    /// What the revision has already, when it is there, and that manifest's hash.
    base: Option<(Manifest, BlobHash)>,
    /// What had to go for it.
    pub evicted: Vec<Gone>,
}

impl Staged {
    /// What is to be fetched, in the repository's order.
    pub fn missing(&self) -> impl Iterator<Item = &(RemoteFile, u64)> {
        let missing = self.files.iter().filter(|(upstream, _)| !self.blobs.contains_key(upstream));
        let mut missing: Vec<_> = missing.map(|(_, file)| file).collect();
        missing.sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        missing.into_iter()
    }
}

/// Pins what is here, takes over what dead pulls of other commits left, and sees to it that the
/// rest fits on the disk.
pub(super) fn stage(
    store: &Store,
    model: &ModelId,
    listing: &Listing,
    here: Here,
    import: &Import,
    progress: &PullProgress,
) -> Result<Staged, PullError> {
    let base = here.base.map(|(revision, manifest)| (manifest, revision.manifest));
    let mut files = Files::new();
    for file in union(listing, base.as_ref().map(|(base, _)| base)).into_values() {
        files.entry(file.upstream).or_insert_with(|| (file.clone(), 0)).1 += 1;
    }
    let mut known = here.blobs;
    if let Some((base, _)) = &base {
        for file in listing.tree.iter() {
            if let Some(kept) = base.file(&file.path) {
                known.entry(file.upstream).or_insert(kept.blob);
            }
        }
    }
    let mut staged = Staged { files, blobs: HashMap::new(), base, evicted: Vec::new() };
    for (upstream, blob) in known {
        let Some((file, _)) = staged.files.get(&upstream) else { continue };
        // What cannot be pinned is damaged, or gone by now: it is fetched.
        if import.pin(store, &blob, file.size)? {
            staged.blobs.insert(upstream, blob);
        }
    }
    let wanted: Vec<_> = staged.missing().map(|(file, _)| file.upstream).collect();
    store.adopt_parts(import.dir(), &wanted)?;
    let missing = || staged.missing().map(|(file, _)| (file.upstream, file.size));
    staged.evicted = reserve(store, import, missing)?;
    if !wanted.is_empty() {
        write_list(import.dir(), model, listing, staged.missing().map(|(file, _)| file))?;
    }
    count(listing, import.dir(), &staged, progress);
    Ok(staged)
}

/// The selected files, and those that the revision has already.
fn union<'l>(
    listing: &'l Listing,
    base: Option<&Manifest>,
) -> BTreeMap<&'l FilePath, &'l RemoteFile> {
    let has = |file: &&RemoteFile| base.is_some_and(|base| base.file(&file.path).is_some());
    let kept = listing.tree.iter().filter(has);
    listing.selected.iter().chain(kept).map(|file| (&file.path, file)).collect()
}

/// Reserves room for what is to be fetched, before a byte is, and evicts what has to go for it.
pub(super) fn reserve<I: Iterator<Item = (Upstream, u64)>>(
    store: &Store,
    import: &Import,
    missing: impl Fn() -> I,
) -> Result<Vec<Gone>, PullError> {
    let mut evicted = Vec::new();
    let mut tries = 0;
    loop {
        match import.reserve(store, needs(Some(import.dir()), missing())) {
            Ok(()) => return Ok(evicted),
            Err(StoreError::NoSpace { required, available, .. }) => {
                return Err(insufficient(store, required, available));
            }
            Err(e) if tries == TRIES => return Err(e.into()),
            Err(e) => evicted.extend(make_room(store, e)?.freed.gone),
        }
        tries += 1;
    }
}

/// What these files need of the disk. What a part has been given already is not needed again.
fn needs(
    dir: Option<&Dir>,
    files: impl Iterator<Item = (Upstream, u64)>,
) -> impl Iterator<Item = u64> {
    files.map(move |(upstream, size)| {
        let part = dir.and_then(|dir| dir.stat(partial::part_name(&upstream)).ok());
        size.saturating_sub(part.map_or(0, |stat| stat.allotted))
    })
}

fn insufficient(store: &Store, required: u64, available: u64) -> PullError {
    PullError::InsufficientSpace { path: store.path().into(), required, available }
}

/// What a disk that is full now means to who pulls: how much is `missing` yet, and how much there
/// is. An error that these numbers belie stays as it is: it was about a quota, or inodes.
pub(super) fn full(store: &Store, name: &str, missing: &Missing, error: PullError) -> PullError {
    let dir = store.pull_dir(name).ok().flatten();
    let missing = missing.iter().map(|(upstream, size)| (*upstream, *size));
    let required = needs(dir.as_ref(), missing).fold(0, u64::saturating_add);
    match store.layout().root.room() {
        Ok(room) if required > room.available => insufficient(store, required, room.available),
        _ => error,
    }
}

/// Says what the directory is for. Parts of a pull of other files of the same commit stay listed.
pub(super) fn write_list<'f>(
    dir: &Dir,
    model: &ModelId,
    listing: &Listing,
    missing: impl Iterator<Item = &'f RemoteFile>,
) -> Result<(), PullError> {
    let before = partial::read_list(dir);
    let mut files: BTreeMap<_, _> = before
        .iter()
        .flat_map(|list| list.files.iter().cloned())
        .map(|file| (file.upstream, file))
        .collect();
    for file in missing {
        let (path, size, upstream) = (file.path.clone(), file.size, file.upstream);
        files.entry(upstream).or_insert(ListedFile { path, size, upstream });
    }
    let files = files.into_values().collect();
    let list = List { model: model.clone(), commit: listing.commit.clone(), files };
    if before.as_ref() == Some(&list) { Ok(()) } else { save(dir, &list) }
}

fn save(dir: &Dir, list: &List) -> Result<(), PullError> {
    let text = serde_json::to_vec(list).map_err(|e| PullError::Stopped { what: e.to_string() })?;
    Ok(durable::replace(dir, LIST, &text)?)
}

/// Says how much there is to do.
fn count(listing: &Listing, dir: &Dir, staged: &Staged, progress: &PullProgress) {
    let asked: HashSet<_> = listing.selected.iter().map(|file| file.upstream).collect();
    let (mut total, mut done) = ((0, 0), (0, 0));
    for (upstream, (file, copies)) in &staged.files {
        let here = staged.blobs.contains_key(upstream);
        if here && !asked.contains(upstream) {
            continue; // the revision's own, and not asked for
        }
        total = (total.0 + copies, total.1 + file.size);
        done = if here {
            (done.0 + copies, done.1 + file.size)
        } else {
            (done.0, done.1 + partial::have(dir, upstream, file.size))
        };
    }
    progress.set(total, done);
}

/// Publishes what is here and what came as a revision. Tells how many bytes of it share their place on
/// the disk with others.
pub(super) fn publish(
    store: &Store,
    model: &ModelId,
    listing: &Listing,
    import: Arc<Import>,
    mut staged: Staged,
    fetched: Vec<Fetched>,
) -> Result<(Resolved, Lease, u64), PullError> {
    let mut learned = Learned::default();
    let sharer = Sharer::new(store, import.dir(), true)?;
    for file in fetched {
        let part = import.dir().open_file(partial::part_name(&file.upstream), Open::Read)?;
        // Bytes that are here under another name are not kept twice.
        if !import.pin(store, &file.blob, file.size)? {
            import.seal_by_link(&partial::part_name(&file.upstream), &part, &file.blob)?;
            let segments = match file.segments {
                Some(segments) => segments,
                None => segments_of(&part, file.size)
                    .map_err(|e| FsError::new("read", part.path(), e))
                    .map_err(StoreError::from)?,
            };
            sharer.add(&file.blob, (&part, file.size), segments, None);
        }
        if !file.groups.is_empty() {
            learned.subtrees.insert(file.blob, file.groups);
        }
        staged.blobs.insert(file.upstream, file.blob);
    }
    if let Err(e) = import.settle() {
        // The disk failed: what it has of them is not known, and the next pull must not take them
        // for what came.
        for (file, _) in staged.files.values() {
            let _ = Part::discard(import.dir(), &file.upstream);
        }
        return Err(e.into());
    }
    learned.aliases = staged.blobs.clone();
    let shared = sharer.into_shared();
    learned.segments = shared.segments;
    learned.sharing = shared.sharing;
    let manifest = manifest(model, listing, &staged)?;
    let refs: Vec<_> = listing.reference.iter().cloned().collect();
    let manifests = (&manifest, staged.base.as_ref().map(|(_, hash)| hash));
    let now = crate::store::now();
    let (name, lease) = import.publish(store, manifests, &learned, &refs, now)?;
    tidy(import.dir(), staged.files.keys())?;
    // S5
    drop(import);
    let revision = manifest.revision(name);
    let all = store.revisions_of(model)?;
    let found = all.into_iter().find(|known| known.revision == revision);
    let spec = || format!("{model}@{}", revision.short());
    let found = found.ok_or_else(|| StoreError::NotFound { spec: spec() })?;
    Ok((found, lease, shared.bytes))
}

fn manifest(model: &ModelId, listing: &Listing, staged: &Staged) -> Result<Manifest, PullError> {
    let mut files = Vec::new();
    let base = staged.base.as_ref().map(|(base, _)| base);
    for file in union(listing, base).into_values() {
        if let Some(kept) = base.and_then(|base| base.file(&file.path)) {
            files.push(kept.clone());
            continue;
        }
        let Some(blob) = staged.blobs.get(&file.upstream).copied() else {
            return Err(PullError::Stopped { what: format!("{} did not come", file.path) });
        };
        let (sha256, git) = match file.upstream {
            Upstream::Sha256(digest) => (Some(digest), None),
            Upstream::Git(digest) => (None, Some(digest)),
        };
        files.push(ManifestFile { path: file.path.clone(), size: file.size, blob, sha256, git });
    }
    Manifest::new(model.clone(), Some(listing.commit.clone()), files).map_err(|source| {
        let path = model.as_str().into();
        StoreError::from(SourceError::Manifest { path, source }).into()
    })
}

/// All that was asked for is here: only the ref is to be set, and what a killed pull left behind its
/// publication is removed.
pub(super) fn point(
    store: &Store,
    listing: &Listing,
    revision: &Resolved,
) -> Result<Lease, PullError> {
    let lease = store.lease(revision)?;
    store.point(revision, listing.reference.as_ref())?;
    let name = partial::dir_name(&revision.model, &listing.commit);
    if store.pull_dir(&name)?.is_some()
        && let Some(import) = Import::resume(store.layout_arc(), &name)?
    {
        tidy(import.dir(), listing.selected.iter().map(|file| &file.upstream))?;
    }
    Ok(lease)
}

/// Removes the parts of what is published. Others, of a pull of other files, stay.
fn tidy<'u>(dir: &Dir, whole: impl Iterator<Item = &'u Upstream>) -> Result<(), PullError> {
    for upstream in whole {
        Part::discard(dir, upstream)?;
    }
    let Some(mut list) = partial::read_list(dir) else { return Ok(()) };
    list.files.retain(|file| dir.stat(partial::part_name(&file.upstream)).is_ok());
    if list.files.is_empty() { Ok(()) } else { save(dir, &list) }
}

#[cfg(test)]
mod tests;
