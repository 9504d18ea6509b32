//! The import protocol: how bytes become blobs and a revision.
//!
//! S0 makes a directory in `staging/` and holds its lock; S1 brings each file's bytes there under
//! their hash, or pins a blob that is known; S2 links them into `blobs/`; S3 makes the entries
//! durable; S4 is one transaction; S5 removes the directory. A crash before S4's commit leaves
//! files without rows, which is allowed, and a directory without a lock holder, which is swept.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::index::{BlobState, RevisionRow};
use super::layout::Layout;
use super::{Lease, Result, Store, partial};
use crate::digest::segments::Segment;
use crate::digest::tree::Cv;
use crate::digest::{BlobHash, Upstream};
use crate::error::{SourceError, StoreError};
use crate::fs::durable::{self, Batch};
use crate::fs::{Dir, File, Kind, LockKind, Open, Rename, Stat};
use crate::model::{Manifest, ModelId, RefName, Revision};

pub(super) const LOCK: &str = ".lock";

/// The mode of a blob: readable by whoever may read the store, writable by nobody.
const BLOB_MODE: u32 = 0o444;

/// A staging directory, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Import {
    layout: Arc<Layout>,
    name: String,
    dir: Dir,
    _lock: File,
    batch: Batch,
    /// Blobs whose file is not as it was published: the bytes at hand take its place.
    suspects: Mutex<HashSet<BlobHash>>,
    /// Its parts are kept for a later process.
    resumable: bool,
}

/// What S2 did for a blob.
enum Linked {
    New,
    /// It was there.
    Known,
    /// What was there was not what its name says, and was replaced: that inode.
    Healed((u64, u64)),
}

/// What S2 linked, and S4 makes a revision of.
struct Published<'p> {
    row: &'p RevisionRow,
    /// The manifest that the revision has by now, as far as the caller knows.
    base: Option<&'p BlobHash>,
    blobs: &'p [(BlobHash, u64)],
    /// Blobs that took the place of damaged inodes.
    healed: &'p HashMap<BlobHash, (u64, u64)>,
}

/// What was learned of a blob while its bytes were read.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub subtrees: HashMap<BlobHash, Vec<Cv>>,
    pub aliases: HashMap<Upstream, BlobHash>,
    pub segments: HashMap<BlobHash, Vec<Segment>>,
    /// Blobs that share with others below the file, and whether their extents end where their
    /// segments do.
    pub sharing: BTreeMap<BlobHash, bool>,
}

impl Import {
    /// S0.
    pub fn begin(layout: &Arc<Layout>) -> Result<Self> {
        loop {
            let name = format!("{:016x}", fastrand::u64(..));
            match layout.staging.make_dir(&name) {
                Err(e) if e.is_exists() => continue,
                other => still_there(layout, other)?,
            }
            match hold(layout, &name) {
                Ok(Held::Ours(dir, lock)) => {
                    return Ok(Self::new(layout, name, dir, lock, false));
                }
                Ok(Held::Others | Held::Gone) => {}
                Err(e) => {
                    let _ = layout.staging.remove_dir(&name);
                    return Err(e);
                }
            }
        }
    }

    /// S0 for an import that another process can go on with: the directory is named by the caller,
    /// and its parts stay when this process ends. `None` while somebody else holds it.
    #[cfg(feature = "hub")]
    pub fn resume(layout: &Arc<Layout>, name: &str) -> Result<Option<Self>> {
        loop {
            match layout.staging.make_dir(name) {
                Err(e) if e.is_exists() => {}
                other => still_there(layout, other)?,
            }
            match hold(layout, name)? {
                Held::Ours(dir, lock) => {
                    // What a killed owner had on its way to publication.
                    remove_all(&dir, |name| !partial::is_kept(name))?;
                    return Ok(Some(Self::new(layout, name.to_owned(), dir, lock, true)));
                }
                Held::Others => return Ok(None),
                Held::Gone => {}
            }
        }
    }

    fn new(layout: &Arc<Layout>, name: String, dir: Dir, lock: File, resumable: bool) -> Self {
        Self {
            layout: layout.clone(),
            name,
            dir,
            _lock: lock,
            batch: Batch::default(),
            suspects: Mutex::default(),
            resumable,
        }
    }

    /// The directory's name in `staging/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory that parts are made in.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// S1 for known bytes: links the blob here, so that no collector can take it. False when it
    /// is not in `blobs/`, is not as it was published, or has no link to spare.
    pub fn pin(&self, store: &Store, blob: &BlobHash, size: u64) -> Result<bool> {
        let name = blob.hex();
        match self.layout.blobs.link(name, &self.dir, name) {
            Ok(()) => {}
            Err(e) if e.is_exists() => return Ok(true),
            Err(e) if e.is_not_found() || e.is(rustix::io::Errno::MLINK) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        let stat = self.dir.stat(name)?;
        let row = store.index().read(|reader| reader.blob(blob))?;
        if stat.size == size && row.is_none_or(|row| row.stamp == stat.into()) {
            return Ok(true);
        }
        self.dir.remove_file(name)?;
        self.suspects().insert(*blob);
        Ok(false)
    }

    fn suspects(&self) -> MutexGuard<'_, HashSet<BlobHash>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// S1 for new bytes, which `part` holds complete. They become durable together, before S2.
    pub fn seal(&self, part: &str, file: &File, blob: &BlobHash) -> Result<()> {
        file.set_mode(BLOB_MODE)?;
        self.batch.add(file);
        Ok(self.dir.rename(part, &self.dir, blob.hex(), Rename::Replace)?)
    }

    /// As [`seal`](Self::seal), and the part keeps its name: should this process die while the bytes
    /// become durable, which can take long, the next one goes on with it.
    #[cfg(feature = "hub")]
    pub fn seal_by_link(&self, part: &str, file: &File, blob: &BlobHash) -> Result<()> {
        file.set_mode(BLOB_MODE)?;
        self.batch.add(file);
        match self.dir.link(part, &self.dir, blob.hex()) {
            Err(e) if !e.is_exists() => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Makes what was sealed so far durable. When that fails, no later sync can be believed for it.
    #[cfg(feature = "hub")]
    pub fn settle(&self) -> Result<()> {
        Ok(self.batch.finish(&self.dir)?)
    }

    pub fn discard(&self, part: &str) -> Result<()> {
        match self.dir.remove_file(part) {
            Err(e) if !e.is_not_found() => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// S2 to S4: publishes the staged blobs as a revision, and sets `refs` to it. The revision may
    /// be there with a part of these files, by the manifest `base`. It is leased from the instant it
    /// appears.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is there by another manifest.
    pub fn publish(
        &self,
        store: &Store,
        (manifest, base): (&Manifest, Option<&BlobHash>),
        learned: &Learned,
        refs: &[RefName],
        now: i64,
    ) -> Result<(BlobHash, Lease)> {
        // From now on what was staged is counted with the blobs.
        self.release()?;
        let source = |source| SourceError::Manifest { path: self.dir.path().into(), source };
        let bytes = manifest.to_bytes().map_err(source)?;
        let name = BlobHash::of(&bytes);
        self.stage_manifest(&name, &bytes)?;
        let blobs = manifest.blobs();

        self.batch.finish(&self.dir)?; // I1
        let mut healed = HashMap::new();
        let mut linked = Vec::new();
        for (blob, size) in &blobs {
            match self.link_blob(blob, *size)? {
                Linked::New => linked.push(*blob),
                Linked::Known => {}
                Linked::Healed(old) => {
                    healed.insert(*blob, old);
                }
            }
        }
        for blob in store.index().read(|reader| reader.quarantined())? {
            let old = store.open_quarantined(&blob).and_then(|file| file.stat().ok());
            if let Some(old) = old.filter(|_| linked.contains(&blob)) {
                healed.insert(blob, (old.dev, old.ino));
            }
        }
        self.link_new(manifest_name(&name), &self.layout.manifests, name.hex())?;
        // S3
        if let Err(e) = self.layout.blobs.sync().and_then(|()| self.layout.manifests.sync()) {
            self.take_back(store, &linked, &name);
            return Err(e.into());
        }

        let row = RevisionRow::new(manifest, name, now);
        let linked = Published { row: &row, base, blobs: &blobs, healed: &healed };
        let lease = self.commit(store, &linked, learned, refs)?; // S4
        store.note_refs(&row.model, &row.revision, refs);
        store.touch(&name);
        // Should, not must: what fails here is found by a look at the view.
        let _ = store.relink_views(&healed.into_iter().collect::<Vec<_>>());
        Ok((name, lease))
    }

    /// Puts what was sealed as `blob` in the place of its damaged file: I1's exception. False when the
    /// blob left the store meanwhile.
    pub fn heal(&self, store: &Store, blob: &BlobHash, groups: &[Cv]) -> Result<bool> {
        self.batch.finish(&self.dir)?; // I1
        let index = store.index();
        let writer = index.begin_write()?;
        let row = writer.blob(blob).map_err(|e| index.error(e))?;
        // No collector can commit while this transaction is open (I3).
        if row.is_none_or(|row| row.state != BlobState::Present) {
            return Ok(false);
        }
        self.replace_blob(blob)?;
        self.layout.blobs.sync()?;
        let stat = self.layout.blobs.stat(blob.hex())?;
        let write = || {
            writer.release_from_quarantine(blob, stat.into())?;
            writer.set_stamp(blob, stat.into())?;
            writer.set_allotted(&[(*blob, stat.allotted)])?;
            writer.forget_sharing(blob)?;
            if groups.is_empty() { Ok(()) } else { writer.set_subtrees(blob, groups) }
        };
        write().map_err(|e| index.error(e))?;
        writer.commit().map_err(|e| index.error(e))?;
        Ok(true)
    }

    /// A second link is renamed, because the first must stay for S4.
    fn replace_blob(&self, blob: &BlobHash) -> Result<()> {
        let aside = format!("{blob}.repair");
        self.dir.link(blob.hex(), &self.dir, &aside)?;
        Ok(self.dir.rename(&aside, &self.layout.blobs, blob.hex(), Rename::Replace)?)
    }

    fn stage_manifest(&self, name: &BlobHash, bytes: &[u8]) -> Result<()> {
        let file = self.dir.open_file(manifest_name(name), Open::New)?;
        file.write_at(bytes, 0)?;
        file.set_mode(BLOB_MODE)?;
        self.batch.add(&file);
        Ok(())
    }

    /// After a sync that failed no later one can be believed for the same names: they go, so that
    /// another try does not take them for what is here. I3: in a transaction that sees no row for
    /// them; what has one by now is another import's.
    fn take_back(&self, store: &Store, linked: &[BlobHash], manifest: &BlobHash) {
        let Ok(writer) = store.index().begin_write() else { return };
        for blob in linked {
            if writer.blob(blob).is_ok_and(|row| row.is_none_or(|r| r.state == BlobState::Dying)) {
                let _ = store.trash(&self.layout.blobs, &blob.to_string());
            }
        }
        if writer.manifests().is_ok_and(|needed| !needed.contains(manifest)) {
            let _ = store.trash(&self.layout.manifests, &manifest.to_string());
        }
    }

    /// S2.
    fn link_blob(&self, blob: &BlobHash, size: u64) -> Result<Linked> {
        let name = blob.hex();
        if self.link_new(name, &self.layout.blobs, name)? {
            return Ok(Linked::New);
        }
        let there = match self.layout.blobs.stat(name) {
            Ok(stat) => stat,
            Err(e) if e.is_not_found() => return Ok(Linked::Known), // collected just now: S4 links again
            Err(e) => return Err(e.into()),
        };
        let suspect = self.suspects().contains(blob);
        if there.kind == Kind::File && there.size == size && !suspect {
            return Ok(Linked::Known);
        }
        // I1's exception: repair of a damaged blob publishes a new inode.
        self.replace_blob(blob)?;
        Ok(Linked::Healed((there.dev, there.ino)))
    }

    /// False when the name is there already: a dedup hit.
    fn link_new(&self, name: impl AsRef<OsStr>, to: &Dir, new: impl AsRef<OsStr>) -> Result<bool> {
        match self.dir.link(name, to, new) {
            Ok(()) => Ok(true),
            Err(e) if e.is_exists() => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// S4. No collector can commit while this transaction is open (I3), so what is stated here is
    /// there when it commits (I2).
    fn commit(
        &self,
        store: &Store,
        linked: &Published<'_>,
        learned: &Learned,
        refs: &[RefName],
    ) -> Result<Lease> {
        let Published { row, base, blobs, healed } = *linked;
        let index = store.index();
        let writer = index.begin_write()?;
        self.layout.check_still_there()?;
        let known = writer.find(&row.model, &row.revision).and_then(|id| match id {
            Some(id) => writer.revision(id),
            None => Ok(None),
        });
        if let Some(known) = known.map_err(|e| index.error(e))?
            && known.manifest != row.manifest
            && Some(&known.manifest) != base
        {
            // Somebody added files that `row` does not have: they would be lost.
            let spec = format!("{}@{}", row.model, row.revision.short());
            return Err(StoreError::Changed { spec });
        }
        let mut stamps = Vec::with_capacity(blobs.len());
        let mut allotted = Vec::with_capacity(blobs.len());
        let mut again = false;
        for (blob, _) in blobs {
            let (stat, relinked) = self.stat(&self.layout.blobs, blob.hex().as_ref(), None)?;
            stamps.push((*blob, stat.into()));
            allotted.push((*blob, stat.allotted));
            again |= relinked;
        }
        let name = row.manifest.to_string();
        let staged = manifest_name(&row.manifest);
        again |= self.stat(&self.layout.manifests, &name, Some(&staged))?.1;
        if again {
            self.layout.blobs.sync()?;
            self.layout.manifests.sync()?;
        }
        let write = || {
            let id = writer.insert_revision(row, &stamps)?;
            writer.set_allotted(&allotted)?;
            for (blob, stamp) in stamps.iter().filter(|(blob, _)| healed.contains_key(blob)) {
                writer.set_stamp(blob, *stamp)?;
                writer.forget_sharing(blob)?;
            }
            // What was in quarantine is whole again.
            for blob in writer.quarantined()? {
                if let Some((_, stamp)) = stamps.iter().find(|(stamped, _)| *stamped == blob) {
                    writer.release_from_quarantine(&blob, *stamp)?;
                }
            }
            for (blob, subtrees) in &learned.subtrees {
                writer.set_subtrees(blob, subtrees)?;
            }
            for (blob, segments) in &learned.segments {
                writer.set_segments(blob, segments)?;
            }
            writer.set_sharing(&learned.sharing)?;
            for (digest, blob) in &learned.aliases {
                writer.set_alias(digest, blob)?;
            }
            for name in refs {
                writer.set_ref(&row.model, name, id)?;
            }
            Ok(())
        };
        write().map_err(|e| index.error(e))?;
        let lease = store.lease_to_be(&row.manifest)?;
        writer.commit().map_err(|e| index.error(e))?;
        Ok(lease)
    }

    /// A look at a published file; one that a collector took since S2 is linked again.
    fn stat(&self, dir: &Dir, name: &str, staged: Option<&str>) -> Result<(Stat, bool)> {
        match dir.stat(name) {
            Ok(stat) => return Ok((stat, false)),
            Err(e) if !e.is_not_found() => return Err(e.into()),
            Err(_) => {}
        }
        self.dir.link(staged.unwrap_or(name), dir, name)?;
        Ok((dir.stat(name)?, true))
    }
}

/// What a manifest is called in staging: beside it a blob of the same bytes may stand.
fn manifest_name(manifest: &BlobHash) -> String {
    format!("{manifest}.manifest")
}

impl Drop for Import {
    /// S5. What cannot be removed here is swept as a dead import later.
    fn drop(&mut self) {
        let _ = if self.resumable {
            partial::leave(&self.layout.staging, &self.name, &self.dir)
        } else {
            remove_import(&self.layout.staging, &self.name, &self.dir)
        };
    }
}

/// Empties and removes an import's directory; the lock file goes last.
pub(super) fn remove_import(staging: &Dir, name: &str, dir: &Dir) -> Result<()> {
    remove_all(dir, |_| true)?;
    dir.remove_file(LOCK)?;
    Ok(staging.remove_dir(name)?)
}

/// Removes what `which` says, but for the lock file.
pub(super) fn remove_all(dir: &Dir, which: impl Fn(&OsStr) -> bool) -> Result<()> {
    for entry in dir.list()? {
        if entry.name != LOCK && which(&entry.name) {
            dir.remove_file(&entry.name)?;
        }
    }
    Ok(())
}

/// What came of the wish to hold a staging directory.
enum Held {
    Ours(Dir, File),
    /// Somebody else holds it.
    Others,
    /// It was removed meanwhile.
    Gone,
}

fn hold(layout: &Layout, name: &str) -> Result<Held> {
    // A sweeper that came between mkdir and lock took the directory for a dead import's: then the
    // lock is taken, or the file that is locked is not the one that is there.
    let held = layout.staging.open_dir(name).and_then(|dir| {
        let lock = dir.open_file(LOCK, Open::Ensure)?;
        if !lock.try_lock(LockKind::Exclusive)? {
            return Ok(Held::Others);
        }
        let same = dir.stat(LOCK)?.ino == lock.stat()?.ino;
        Ok(if same { Held::Ours(dir, lock) } else { Held::Gone })
    });
    match held {
        Err(e) if e.is_not_found() => {
            layout.check_still_there()?;
            Ok(Held::Gone)
        }
        other => Ok(other?),
    }
}

/// `done`, or, when nothing is there any more, that the store was removed.
fn still_there(layout: &Layout, done: crate::fs::Result<()>) -> Result<()> {
    match done {
        Err(e) if e.is_not_found() => {
            layout.check_still_there()?;
            Err(e.into())
        }
        other => Ok(other?),
    }
}

impl Store {
    /// Notes what refs point to. Should, not must: what a rebuild of the index takes refs from.
    pub(super) fn note_refs(&self, model: &ModelId, revision: &Revision, refs: &[RefName]) {
        for name in refs {
            let _ = self.layout.refs.ensure_dir(model.dir_name()).and_then(|dir| {
                durable::replace_lazily(&dir, &name.file_name(), revision.as_str().as_bytes())
            });
        }
    }

    /// An error when this process may not write to the store.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.index.is_writable() {
            Ok(())
        } else {
            Err(StoreError::ReadOnly { path: self.layout.path.clone() })
        }
    }
}
