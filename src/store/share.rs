//! Blobs that have segments in common share them on the disk, where the file system can.
//!
//! The catalogue says where a segment may be; the kernel compares the bytes before it shares them.
//! So what is wrong in the catalogue costs a comparison, and whatever fails leaves ordinary, whole
//! files. Bytes of a blob are not rewritten by it, nor is its inode changed (I1).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::index::Holder;
use super::layout::FORMAT;
use super::recut::recut;
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::digest::segments::{Cutting, Segment};
use crate::digest::stream::Sink;
use crate::fs::extents::{Disk, MOST};
use crate::fs::{Dir, File, Open};
use crate::progress::Progress;

/// A stretch of a blob that another one, or the same one elsewhere, has too: several segments in a
/// row, if they are so in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where it begins.
    pub at: u64,
    pub len: u64,
    /// Who has it, and where.
    pub holder: BlobHash,
    pub offset: u64,
    /// The holder is the blob itself.
    pub own: bool,
}

impl Run {
    /// Bytes of it in whole blocks.
    pub fn whole_blocks(&self, block: u64) -> u64 {
        let end = self.at + self.len;
        (end - end % block).saturating_sub(self.at.next_multiple_of(block))
    }
}

impl Store {
    /// Whether parts of files can be shared here. The file system is asked, by way of a file that is
    /// to share with itself: it refuses that in one way where it can, and in another where it cannot.
    pub(crate) fn shares_parts(&self) -> Result<bool> {
        let file = self.layout.root.open_file(FORMAT, Open::Read)?;
        Ok(!file.share_from(&file, 0, 1, 0).is_err_and(|e| e.cannot_share()))
    }
}

/// Adds to each segment's holders the blob's own segments before it that are the same.
pub(crate) fn with_own(blob: &BlobHash, segments: &[Segment], holders: &mut [Vec<Holder>]) {
    let mut seen: HashMap<(u128, u32), Vec<u64>> = HashMap::new();
    for (segment, holders) in segments.iter().zip(holders) {
        let before = seen.entry((segment.hash, segment.len)).or_default();
        let holder = |offset: &u64| Holder { blob: *blob, offset: *offset, len: segment.len };
        holders.extend(before.iter().map(holder));
        // The last ones are enough: they are where the first ones are.
        if before.len() == OWN {
            before.remove(0);
        }
        before.push(segment.offset);
    }
}

/// A segment that a blob has over and over is looked for in so many of its places.
const OWN: usize = 4;

/// The stretches of a blob that can be shared, given who has each of its segments: at places that
/// lie alike within blocks of the disk.
pub(crate) fn runs(
    blob: &BlobHash,
    segments: &[Segment],
    holders: &[Vec<Holder>],
    block: u64,
) -> Vec<Run> {
    let mut found = Vec::new();
    let mut open: Vec<Run> = Vec::new();
    for (segment, holders) in segments.iter().zip(holders) {
        let len = u64::from(segment.len);
        let alike = |holder: &&Holder| {
            holder.len == segment.len && holder.offset % block == segment.offset % block
        };
        // Of all who have what came before, those who go on the same way.
        let goes_on = |run: &Run| {
            let (at, offset) = (run.at + run.len, run.offset + run.len);
            // A blob cannot share with itself what lies across.
            let across = run.offset < run.at && offset + len > run.at;
            at == segment.offset
                && !(run.own && across)
                && holders
                    .iter()
                    .any(|h| (h.blob, h.offset, h.len) == (run.holder, offset, segment.len))
        };
        if open.iter().any(goes_on) {
            open.retain(goes_on);
            open.iter_mut().for_each(|run| run.len += len);
            continue;
        }
        found.extend(open.first().copied());
        open = holders
            .iter()
            .filter(alike)
            .map(|h| {
                let own = h.blob == *blob;
                Run { at: segment.offset, len, holder: h.blob, offset: h.offset, own }
            })
            .collect();
    }
    found.extend(open.first().copied());
    found
}

/// Shares the blocks of `run` between `file`, of `size` bytes, and the holder's `source`, of
/// `source_size`. Gives back how many bytes are shared now.
pub(crate) fn share_run(
    (file, size): (&File, u64),
    (source, source_size): (&File, u64),
    run: &Run,
    block: u64,
) -> crate::fs::Result<u64> {
    let (start, end) = (run.at, run.at + run.len);
    let inside = start.next_multiple_of(block)..end - end % block;
    // A block may end with both files.
    let tail = end == size && run.offset + run.len == source_size;
    let to = if tail { end } else { inside.end };
    let mut shared = 0;
    let mut part = |at: u64, end: u64| {
        let mut at = at;
        while at < end {
            let offset = run.offset + at - run.at;
            let len = (end - at).min(MOST);
            let now = file.share_from(source, offset, len, at)?;
            // They differ: the hash said otherwise, or one of them is damaged.
            at += if now == 0 { len } else { now };
            shared += now;
        }
        Ok(())
    };
    if inside.start < to {
        part(inside.start, to)?;
    }
    // The blocks at the edges have bytes of neighbours, which may be the same or not.
    let head = start - start % block;
    if head < start && run.offset >= start - head && inside.start <= to {
        let head = Run { at: head, offset: run.offset - (start - head), ..*run };
        shared += edge(file, source, &head, block.min(size - head.at), block, source_size)?;
    }
    if to == inside.end && end > to && to >= start && !tail {
        let at = Run { at: to, offset: run.offset + (to - start), ..*run };
        shared += edge(file, source, &at, block.min(size - to), block, source_size)?;
    }
    Ok(shared)
}

/// Shares one block, if it is whole in both files, and the same.
fn edge(
    file: &File,
    source: &File,
    at: &Run,
    len: u64,
    block: u64,
    source_size: u64,
) -> crate::fs::Result<u64> {
    if len < block || at.offset + block > source_size {
        return Ok(0);
    }
    file.share_from(source, at.offset, block, at.at)
}

/// On btrfs a blob is written anew so that parts of it can be shared: not for less, in bytes.
pub(crate) const WORTH: u64 = 64 << 10;

/// What an import shares.
pub(crate) struct Sharer<'s> {
    store: &'s Store,
    /// Where the import's own blobs are.
    staged: &'s Dir,
    disk: Disk,
    /// On btrfs: blobs that are not written with cuts are written anew, where it is worth it. The
    /// bytes of what is added are the source's, too, and would take room once more.
    recuts: bool,
    /// It was tried here, and does not work.
    off: AtomicBool,
    state: Mutex<Shared>,
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Bytes of new blobs that are shared with others.
    pub bytes: u64,
    /// The segments of new blobs.
    pub segments: HashMap<BlobHash, Vec<Segment>>,
    /// Blobs that share, and whether their extents end where their segments do.
    pub sharing: BTreeMap<BlobHash, bool>,
    /// Who among the new blobs has a segment.
    fresh: HashMap<u128, Vec<Holder>>,
    /// New blobs whose extents end where their segments do.
    cut: HashMap<BlobHash, bool>,
}

impl<'s> Sharer<'s> {
    pub fn new(store: &'s Store, staged: &'s Dir, recuts: bool) -> Result<Self> {
        let disk = store.layout().blobs.disk()?;
        let off = AtomicBool::new(false);
        Ok(Self { store, staged, disk, recuts, off, state: Mutex::default() })
    }

    pub fn into_shared(self) -> Shared {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether files must be written in their order, with their extents cut.
    pub fn cuts(&self) -> bool {
        self.disk.whole_extents
    }

    pub fn block(&self) -> u64 {
        self.disk.block
    }

    /// A blob is complete in staging: `file`, of `size` bytes, with these segments. It shares with
    /// others what it can, and others can share with it. One at a time: two that share with each
    /// other before one of them does with a third would not share with all.
    pub fn add(
        &self,
        blob: &BlobHash,
        (file, size): (&File, u64),
        segments: Vec<Segment>,
        mut cut: bool,
    ) -> Result<()> {
        if segments.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        let able = cut || self.recuts || !self.disk.whole_extents;
        if able && !self.off.load(Ordering::Relaxed) && !state.segments.contains_key(blob) {
            let mut holders = self.store.index().read(|reader| reader.holders(&segments))?;
            if self.disk.whole_extents && !self.recuts {
                // Nothing comes back of an extent that goes on behind the segment.
                let known = self.store.index().read(|reader| reader.sharing())?;
                let is_cut = |holder: &Holder| known.get(&holder.blob) == Some(&true);
                holders.iter_mut().for_each(|holders| holders.retain(is_cut));
            }
            for (segment, holders) in segments.iter().zip(&mut holders) {
                holders.extend(state.fresh.get(&segment.hash).into_iter().flatten());
            }
            with_own(blob, &segments, &mut holders);
            let runs = runs(blob, &segments, &holders, self.disk.block);
            cut = self.cut(&mut state, blob, file, &runs, cut)?;
            if cut || !self.disk.whole_extents {
                let shared = self.share(&mut state, blob, (file, size), &runs);
                state.bytes += shared;
            }
        }
        for segment in &segments {
            let holder = Holder { blob: *blob, offset: segment.offset, len: segment.len };
            let known = state.fresh.entry(segment.hash).or_default();
            if known.len() < 64 {
                known.push(holder);
            }
        }
        state.cut.insert(*blob, cut);
        if cut {
            state.sharing.insert(*blob, true);
        }
        state.segments.insert(*blob, segments);
        Ok(())
    }

    /// Whether the blob's extents are cut, or are by now, and those of its holders.
    fn cut(
        &self,
        state: &mut Shared,
        blob: &BlobHash,
        file: &File,
        runs: &[Run],
        cut: bool,
    ) -> Result<bool> {
        let worth = || runs.iter().map(|run| run.len).sum::<u64>() >= WORTH;
        if cut || !self.disk.whole_extents || !worth() {
            return Ok(cut);
        }
        let unwatched = Progress::new();
        let holders: BTreeSet<_> = runs.iter().map(|run| run.holder).collect();
        for holder in holders.iter().filter(|holder| *holder != blob) {
            let is_cut = state.cut.get(holder) == Some(&true);
            let done = match self.open(holder) {
                _ if is_cut => true,
                Some((file, _)) => self.store.make_cut(holder, &file, &unwatched)?,
                None => false,
            };
            if !done {
                return Ok(false);
            }
            state.cut.insert(*holder, true);
            state.sharing.insert(*holder, true);
        }
        recut(self.store, file, self.disk.block, &unwatched)
    }

    fn share(
        &self,
        state: &mut Shared,
        blob: &BlobHash,
        (file, size): (&File, u64),
        runs: &[Run],
    ) -> u64 {
        let mut sources: HashMap<BlobHash, Option<(File, u64)>> = HashMap::new();
        let mut bytes = 0;
        for run in runs {
            let source = sources.entry(run.holder).or_insert_with(|| self.open(&run.holder));
            let Some((source, source_size)) = source else { continue };
            match share_run((file, size), (source, *source_size), run, self.disk.block) {
                Ok(0) => {}
                Ok(shared) => {
                    bytes += shared;
                    let cut = |blob| state.cut.get(blob).copied().unwrap_or(false);
                    let (theirs, ours) = (cut(&run.holder), cut(blob));
                    *state.sharing.entry(run.holder).or_default() |= theirs;
                    *state.sharing.entry(*blob).or_default() |= ours;
                }
                // Not here: what is shared below the file saves space, and nothing depends on it.
                Err(e) if e.cannot_share() => {
                    self.off.store(true, Ordering::Relaxed);
                    break;
                }
                Err(_) => {}
            }
        }
        bytes
    }

    fn open(&self, blob: &BlobHash) -> Option<(File, u64)> {
        let open = |dir: &Dir| {
            let file = dir.open_file(blob.hex(), Open::Read).ok()?;
            let size = file.stat().ok()?.size;
            Some((file, size))
        };
        open(self.staged).or_else(|| open(&self.store.layout().blobs))
    }

    fn state(&self) -> MutexGuard<'_, Shared> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shorter segments do not get an extent of their own, in bytes: it has a price.
const SHORTEST: u64 = 16 << 10;

/// A file that is written in its order, and whose extents end where segments do.
#[derive(Debug)]
pub(crate) struct CutFile {
    file: File,
    /// Ascending.
    edges: Vec<u64>,
}

impl CutFile {
    pub fn new(file: File, cutting: &Cutting, block: u64) -> Self {
        let mut edges: Vec<u64> = Vec::new();
        if let Cutting::Tensors(regions) = cutting {
            let long = regions.each().filter(|region| region.end - region.start >= SHORTEST);
            // The blocks between two segments belong to neither.
            let around = |edge: u64| [edge - edge % block, edge.next_multiple_of(block)];
            edges.extend(long.flat_map(|region| [region.start, region.end]).flat_map(around));
            edges.sort_unstable();
            edges.dedup();
        }
        Self { file, edges }
    }
}

impl Sink for CutFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> std::io::Result<()> {
        let (mut from, end) = (offset, offset + buf.len() as u64);
        let first = self.edges.partition_point(|edge| *edge <= offset);
        for (index, edge) in self.edges.iter().enumerate().skip(first) {
            if *edge > end {
                break;
            }
            let (a, b) = (from - offset, edge - offset);
            let now = usize::try_from(a).ok().zip(usize::try_from(b).ok());
            let bytes = now.and_then(|(a, b)| buf.get(a..b)).unwrap_or_default();
            Sink::write_at(&self.file, bytes, from)?;
            let before = index.checked_sub(1).and_then(|before| self.edges.get(before));
            self.file.cut(before.copied().unwrap_or(0), *edge);
            from = *edge;
        }
        let rest = usize::try_from(from - offset).ok().and_then(|at| buf.get(at..));
        Sink::write_at(&self.file, rest.unwrap_or_default(), from)
    }
}
