//! What the files of one import share: with what is in the store, and with each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::index::Holder;
use super::recut::recut;
use super::share::{Run, WORTH, runs, share_run, with_own};
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::digest::segments::{Regions, SEGMENT, Segment, hash_of};
use crate::fs::extents::Disk;
use crate::fs::{Dir, File, Open};
use crate::progress::Progress;

/// So many segments tell whether a file has something in common with others, each the first of a
/// region of at least so many bytes.
const PROBES: usize = 8;
const PROBED: u64 = 64 << 10;

/// How long a thread waits for another one to write a segment.
const PATIENCE: Duration = Duration::from_secs(10);

/// A segment that many files have is known at so many places.
const MOST_FRESH: usize = 64;

/// Who sees to it that an import's files share.
pub(crate) struct Sharer<'s> {
    store: &'s Store,
    /// Where the import's own files are.
    dir: &'s Dir,
    disk: Disk,
    /// The file system can.
    able: bool,
    /// On btrfs: files that are not written with cuts are written anew, where it is worth it. The
    /// bytes of what is added are the source's, too, and would take room once more.
    recuts: bool,
    state: Mutex<State>,
    /// A segment is not under way any more.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Segments that are being written.
    under_way: HashSet<u128>,
    bytes: u64,
    segments: HashMap<BlobHash, Vec<Segment>>,
    /// Blobs of the store that share now.
    others: BTreeMap<BlobHash, bool>,
    files: Vec<Arc<Staged>>,
    /// Which of these have a segment: where, and how long it is.
    fresh: HashMap<u128, Vec<(Arc<Staged>, u64, u32)>>,
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Bytes of new blobs that are shared with others.
    pub bytes: u64,
    /// The segments of new blobs.
    pub segments: HashMap<BlobHash, Vec<Segment>>,
    /// Blobs that share, and whether their extents end where their segments do.
    pub sharing: BTreeMap<BlobHash, bool>,
}

/// A file of the import.
#[derive(Debug)]
pub(crate) struct Staged {
    /// In the import's directory.
    name: Mutex<String>,
    /// When it is known.
    blob: OnceLock<BlobHash>,
    /// Its extents end where its segments do.
    cut: AtomicBool,
    /// It shares with others.
    shares: AtomicBool,
    /// Bytes of it that do.
    bytes: AtomicU64,
}

impl Staged {
    pub fn count(&self, bytes: u64) {
        self.shares.store(true, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A file that has a segment.
#[derive(Clone, Debug)]
pub(crate) enum Of {
    Blob(BlobHash),
    Staged(Arc<Staged>),
}

impl<'s> Sharer<'s> {
    pub fn new(store: &'s Store, dir: &'s Dir, recuts: bool) -> Result<Self> {
        let disk = store.layout().blobs.disk()?;
        let able = store.shares_parts()?;
        Ok(Self { store, dir, disk, able, recuts, state: Mutex::default(), news: Condvar::new() })
    }

    /// Whether files can share here at all.
    pub fn is_able(&self) -> bool {
        self.able
    }

    /// Whether a file that is a reflink of `source` may have something in common with others: some of
    /// its segments are looked for. On btrfs its extents are its source's, and nothing of them would
    /// come back.
    pub fn expects(&self, source: &File, regions: &Regions) -> bool {
        if !self.able || self.disk.whole_extents {
            return false;
        }
        let long: Vec<_> = regions.each().filter(|r| r.end - r.start >= PROBED).collect();
        let each = long.len().div_ceil(PROBES).max(1);
        let mut bytes = Vec::new();
        long.into_iter().step_by(each).any(|region| {
            let len = (region.end - region.start).min(SEGMENT);
            bytes.resize(usize::try_from(len).unwrap_or(0), 0);
            let read = source.read_at(&mut bytes, region.start);
            let segment = Segment {
                offset: region.start,
                len: u32::try_from(len).unwrap_or(0),
                hash: hash_of(&bytes),
            };
            read.is_ok_and(|count| count == bytes.len()) && self.is_known(&segment)
        })
    }

    fn is_known(&self, segment: &Segment) -> bool {
        let fresh = self.state().fresh.contains_key(&segment.hash);
        fresh || {
            let of = std::slice::from_ref(segment);
            let holders = self.store.index().read(|reader| reader.holders(of));
            holders.is_ok_and(|holders| holders.iter().any(|holders| !holders.is_empty()))
        }
    }

    pub fn disk(&self) -> Disk {
        self.disk
    }

    pub fn into_shared(self) -> Shared {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut sharing = state.others;
        for file in state.files {
            let cut = file.cut.load(Ordering::Relaxed);
            if let Some(blob) = file.blob.get()
                && (cut || file.shares.load(Ordering::Relaxed))
            {
                *sharing.entry(*blob).or_default() |= cut;
            }
        }
        Shared { bytes: state.bytes, segments: state.segments, sharing }
    }

    /// A file that is about to be written, in its order and with its extents cut where that matters.
    pub fn begin(&self, name: &str) -> Arc<Staged> {
        let file = self.staged(name, self.disk.whole_extents);
        self.state().files.push(file.clone());
        file
    }

    fn staged(&self, name: &str, cut: bool) -> Arc<Staged> {
        Arc::new(Staged {
            name: Mutex::new(name.to_owned()),
            blob: OnceLock::new(),
            cut: AtomicBool::new(cut),
            shares: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        })
    }

    /// A segment was written to a file, or could not be: nobody waits for it any more.
    pub fn written(&self, file: &Arc<Staged>, segment: &Segment, done: bool) {
        let mut state = self.state();
        state.under_way.remove(&segment.hash);
        self.news.notify_all();
        let known = state.fresh.entry(segment.hash).or_default();
        if done && known.len() < MOST_FRESH {
            known.push((file.clone(), segment.offset, segment.len));
        }
    }

    /// Whether a place lies alike within blocks.
    fn is_alike(&self, segment: &Segment, offset: u64, len: u32) -> bool {
        len == segment.len && offset % self.disk.block == segment.offset % self.disk.block
    }

    /// Who has a segment at a place that lies alike within blocks. When nobody has, the caller is to
    /// write it and to say so by [`written`](Self::written): who else looks for it waits meanwhile,
    /// and finds it.
    pub fn find(&self, segment: &Segment) -> Result<Vec<(Of, u64)>> {
        let mut found = Vec::new();
        self.store.index().read(|reader| {
            for holder in reader.holders(std::slice::from_ref(segment))?.into_iter().flatten() {
                // Nothing comes back of an extent that goes on behind the segment.
                let is_cut = !self.disk.whole_extents || reader.is_cut(&holder.blob)? == Some(true);
                if self.is_alike(segment, holder.offset, holder.len) && is_cut {
                    found.push((Of::Blob(holder.blob), holder.offset));
                }
            }
            Ok(())
        })?;
        let mut state = self.state();
        while state.under_way.contains(&segment.hash) {
            let waited = self.news.wait_timeout(state, PATIENCE);
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if waited.timed_out() {
                break; // a slow disk, or a thread that came to its end: it is written twice
            }
        }
        for (file, offset, len) in state.fresh.get(&segment.hash).into_iter().flatten() {
            let is_cut = !self.disk.whole_extents || file.cut.load(Ordering::Relaxed);
            if self.is_alike(segment, *offset, *len) && is_cut {
                found.push((Of::Staged(file.clone()), *offset));
            }
        }
        if found.is_empty() {
            state.under_way.insert(segment.hash);
        }
        Ok(found)
    }

    /// Opens a file that has a segment, unless it is gone by now; and how long it is.
    pub fn open(&self, of: &Of) -> Option<(File, u64)> {
        let open = |dir: &Dir, name: &str| {
            let file = dir.open_file(name, Open::Read).ok()?;
            let size = file.stat().ok()?.size;
            Some((file, size))
        };
        match of {
            Of::Blob(blob) => {
                let hex = blob.hex();
                open(self.dir, hex.as_ref())
                    .or_else(|| open(&self.store.layout().blobs, hex.as_ref()))
                    .filter(|(file, _)| self.is_as_published(blob, file))
            }
            Of::Staged(file) => {
                let name = file.name.lock().unwrap_or_else(PoisonError::into_inner).clone();
                open(self.dir, &name)
            }
        }
    }

    /// Whether nobody touched a blob since it was published, or it is not yet. What somebody writes to
    /// is not shared: it may change between the look at it and the sharing.
    fn is_as_published(&self, blob: &BlobHash, file: &File) -> bool {
        let row = self.store.index().read(|reader| reader.blob(blob));
        row.is_ok_and(|row| {
            row.is_none_or(|row| file.stat().is_ok_and(|stat| row.stamp == stat.into()))
        })
    }

    /// A file shares with this one now.
    pub fn mark(&self, of: &Of) {
        match of {
            Of::Blob(blob) => {
                self.state().others.entry(*blob).or_insert(self.disk.whole_extents);
            }
            Of::Staged(file) => file.shares.store(true, Ordering::Relaxed),
        }
    }

    /// A blob is complete in staging: `file`, of `size` bytes, with these segments. Unless it was
    /// written as a `written` one, it shares with others now. One at a time: two that share with
    /// each other before one of them does with a third would not share with all.
    pub fn add(
        &self,
        blob: &BlobHash,
        (file, size): (&File, u64),
        segments: Vec<Segment>,
        written: Option<&Arc<Staged>>,
    ) {
        let mut state = self.state();
        if segments.is_empty() || state.segments.contains_key(blob) {
            return;
        }
        if let Some(written) = written {
            let _ = written.blob.set(*blob);
            *written.name.lock().unwrap_or_else(PoisonError::into_inner) = blob.to_string();
            state.bytes += written.bytes.load(Ordering::Relaxed);
        } else {
            let staged = self.staged(&blob.to_string(), false);
            let _ = staged.blob.set(*blob);
            if self.able && (self.recuts || !self.disk.whole_extents) {
                // What is shared below the file saves space, and nothing depends on it: the file is whole
                // whatever fails here.
                let shared = self.share(&mut state, &staged, blob, (file, size), &segments);
                let bytes = shared.unwrap_or(0);
                staged.bytes.store(bytes, Ordering::Relaxed);
                state.bytes += bytes;
            }
            for segment in &segments {
                let known = state.fresh.entry(segment.hash).or_default();
                if known.len() < MOST_FRESH {
                    known.push((staged.clone(), segment.offset, segment.len));
                }
            }
            state.files.push(staged);
        }
        state.segments.insert(*blob, segments);
    }

    fn share(
        &self,
        state: &mut State,
        staged: &Staged,
        blob: &BlobHash,
        (file, size): (&File, u64),
        segments: &[Segment],
    ) -> Result<u64> {
        let mut holders = self.store.index().read(|reader| reader.holders(segments))?;
        // Files that are under way, by a name that stands in for their blob's.
        let mut under_way: HashMap<BlobHash, Arc<Staged>> = HashMap::new();
        for (segment, holders) in segments.iter().zip(&mut holders) {
            for (file, offset, len) in state.fresh.get(&segment.hash).into_iter().flatten() {
                let blob = file.blob.get().copied().unwrap_or_else(|| {
                    let name = file.name.lock().unwrap_or_else(PoisonError::into_inner);
                    let stand_in = BlobHash::of(name.as_bytes());
                    under_way.insert(stand_in, file.clone());
                    stand_in
                });
                holders.push(Holder { blob, offset: *offset, len: *len });
            }
        }
        with_own(blob, segments, &mut holders);
        let runs = runs(blob, segments, &holders, self.disk.block);
        if self.disk.whole_extents && !self.cut(state, blob, file, &runs)? {
            return Ok(0);
        }
        staged.cut.store(self.disk.whole_extents, Ordering::Relaxed);
        let mut sources: HashMap<BlobHash, Option<(File, u64)>> = HashMap::new();
        let mut bytes = 0;
        for run in runs {
            let staged_holder = under_way.get(&run.holder).cloned();
            let of = staged_holder.map_or(Of::Blob(run.holder), Of::Staged);
            let source = sources.entry(run.holder).or_insert_with(|| self.open(&of));
            let Some((source, source_size)) = source else { continue };
            let done = share_run((file, size), (source, *source_size), &run, self.disk.block);
            if let Ok(shared) = done
                && shared > 0
            {
                bytes += shared;
                staged.shares.store(true, Ordering::Relaxed);
                match of {
                    Of::Staged(other) => other.shares.store(true, Ordering::Relaxed),
                    Of::Blob(blob) => {
                        state.others.entry(blob).or_insert(self.disk.whole_extents);
                    }
                }
            }
        }
        Ok(bytes)
    }

    /// Sees to it that the extents of a blob, and of those it is to share with, end where segments
    /// do. False when it is not worth it, or is not to be.
    fn cut(&self, state: &mut State, blob: &BlobHash, file: &File, runs: &[Run]) -> Result<bool> {
        if runs.iter().map(|run| run.len).sum::<u64>() < WORTH {
            return Ok(false);
        }
        let unwatched = Progress::new();
        let holders: BTreeSet<_> = runs.iter().map(|run| run.holder).collect();
        for holder in holders.iter().filter(|holder| *holder != blob) {
            let own = state.files.iter().find(|file| file.blob.get() == Some(holder));
            if own.is_some_and(|file| file.cut.load(Ordering::Relaxed)) {
                continue;
            }
            let Some((file, _)) = self.open(&Of::Blob(*holder)) else { return Ok(false) };
            if !self.store.make_cut(holder, &file, &unwatched)? {
                return Ok(false);
            }
            if let Some(own) = own {
                own.cut.store(true, Ordering::Relaxed);
            }
        }
        recut(self.store, file, self.disk.block, &unwatched)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
