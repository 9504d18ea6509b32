//! Sharing on the disk, for what is in the store already.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::catalogue::learn;
use crate::digest::BlobHash;
use crate::digest::segments::{LEAST, Segment};
use crate::error::StoreError;
use crate::fs::extents::{Disk, Extent};
use crate::fs::{File, Open};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::index::BlobState;
use crate::store::share::{Run, WORTH, runs, share_run, with_own};

type Result<T> = std::result::Result<T, StoreError>;

/// After so many blobs it is noted who shares.
const BATCH: usize = 64;

/// What came of sharing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deduped {
    /// Blobs that were looked at: those of at least 64 KiB.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were read, for nobody knew the segments yet.
    pub read_bytes: u64,
    /// Bytes that share their place on the disk now, and did not before.
    pub shared_bytes: u64,
    /// Bytes the store took on the disk before.
    pub before: u64,
    /// Bytes it takes now.
    pub after: u64,
    /// Bytes of segments that are in several places of blobs, but for one place of each: what a form
    /// could save in which no bytes are kept twice.
    pub duplicate_bytes: u64,
    /// Whether the file system shares parts of files.
    pub able: bool,
    /// Blobs that are left as they are. On btrfs: a file outside the store has their blocks, as after
    /// `add`, and they would take more room when they shared with others; or there is no room to write
    /// them anew. Anywhere: they cannot be read, or shared.
    pub skipped: Vec<BlobHash>,
    /// Blobs whose bytes are not those of their name: for `verify --repair`.
    pub damaged: Vec<BlobHash>,
}

/// Shares on the disk what the store's blobs have in common. What it did before it is cancelled or
/// dies stays done, and the next one goes on.
///
/// # Errors
/// [`StoreError::ReadOnly`], [`StoreError::Busy`], [`StoreError::Cancelled`], and what the index and
/// the file system say. Files are whole whatever happens.
pub fn share(store: &Store, progress: &Progress) -> Result<Deduped> {
    store.check_writable()?;
    // What a killed one had beside a blob shares its blocks, and would be taken for somebody else's.
    store.sweep_dead_imports()?;
    let able = store.shares_parts()?;
    let mut done = Deduped { before: store.physical()?, able, ..Deduped::default() };
    let mut blobs = Vec::new();
    let mut missing = Vec::new();
    store.index().read(|reader| {
        reader.for_each_blob(|blob, row| {
            if row.state == BlobState::Present && row.stamp.size >= LEAST {
                blobs.push((blob, row.stamp.size));
            }
        })?;
        for (blob, size) in &blobs {
            if reader.segments(blob)?.is_none() {
                missing.push((*blob, *size));
            }
        }
        Ok(())
    })?;
    done.blobs = blobs.len() as u64;
    done.bytes = blobs.iter().map(|(_, size)| size).sum();
    progress.expect(blobs.len() as u64, done.bytes + sum(&missing));
    let read = learn(store, &missing, progress)?;
    done.read_bytes = read.bytes;
    done.damaged = read.damaged;

    let sharing = store.index().read(|reader| reader.sharing())?;
    let disk = store.layout().blobs.disk()?;
    let mut pass = Pass { store, disk, cut: sharing, noted: BTreeMap::new(), done };
    let result = pass.run(&blobs, progress);
    pass.note()?;
    let mut done = pass.done;
    result?;
    done.after = store.physical()?;
    Ok(done)
}

fn sum(blobs: &[(BlobHash, u64)]) -> u64 {
    blobs.iter().map(|(_, size)| size).sum()
}

struct Pass<'s> {
    store: &'s Store,
    disk: Disk,
    /// Blobs that share, and whether their extents are cut at their segments.
    cut: HashMap<BlobHash, bool>,
    /// What the index does not know yet of that.
    noted: BTreeMap<BlobHash, bool>,
    done: Deduped,
}

impl Pass<'_> {
    fn run(&mut self, blobs: &[(BlobHash, u64)], progress: &Progress) -> Result<()> {
        let place: HashMap<_, _> = blobs.iter().zip(0_usize..).map(|(b, i)| (b.0, i)).collect();
        let mut seen: HashMap<(u128, u32), u64> = HashMap::new();
        for (index, (blob, size)) in blobs.iter().enumerate() {
            if progress.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let (segments, mut holders) = self.store.index().read(|reader| {
                let segments = reader.segments(blob)?.unwrap_or_default();
                let holders = reader.holders(&segments)?;
                Ok((segments, holders))
            })?;
            for Segment { hash, len, .. } in &segments {
                let count = seen.entry((*hash, *len)).or_default();
                *count += 1;
                if *count > 1 {
                    self.done.duplicate_bytes += u64::from(*len);
                }
            }
            // Each shares with those before it: so all end up on the blocks of the first.
            for holders in &mut holders {
                holders.retain(|h| place.get(&h.blob).is_some_and(|place| *place < index));
            }
            with_own(blob, &segments, &mut holders);
            let runs = runs(blob, &segments, &holders, self.disk.block);
            if self.done.able && !runs.is_empty() {
                match self.share(blob, *size, &runs, progress) {
                    Err(StoreError::Fs(_)) => self.done.skipped.push(*blob), // the others are not to wait
                    other => other?,
                }
            }
            progress.add_bytes(*size);
            progress.add_file();
            if self.noted.len() >= BATCH {
                self.note()?;
            }
        }
        Ok(())
    }

    fn share(
        &mut self,
        blob: &BlobHash,
        size: u64,
        runs: &[Run],
        progress: &Progress,
    ) -> Result<()> {
        if self.disk.whole_extents {
            let worth = runs.iter().map(|run| run.len).sum::<u64>() >= WORTH;
            if !worth || !self.make_cut(blob, progress)? {
                return Ok(());
            }
        }
        let Some(file) = self.open(blob)? else { return Ok(()) };
        let own = file.extents().unwrap_or_default();
        let mut others: HashMap<BlobHash, Option<(File, u64, Vec<Extent>)>> = HashMap::new();
        for run in runs {
            if self.disk.whole_extents && !self.make_cut(&run.holder, progress)? {
                continue;
            }
            if let Entry::Vacant(vacant) = others.entry(run.holder) {
                vacant.insert(self.open(&run.holder)?.map(|other| {
                    let size = other.stat().map(|stat| stat.size).unwrap_or(0);
                    let extents = other.extents().unwrap_or_default();
                    (other, size, extents)
                }));
            }
            let Some(Some((other, other_size, extents))) = others.get(&run.holder) else {
                continue;
            };
            if is_same_place(&own, extents, run, self.disk.block) {
                self.mark(blob, &run.holder);
                continue;
            }
            match share_run((&file, size), (other, *other_size), run, self.disk.block) {
                Ok(0) => {}
                Ok(shared) => {
                    self.done.shared_bytes += shared;
                    self.mark(blob, &run.holder);
                }
                Err(e) if e.cannot_share() => {
                    self.done.able = false;
                    return Ok(());
                }
                Err(e) if e.is_unsupported() => {}
                Err(e) => return Err(e.into()),
            }
            if progress.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
        }
        Ok(())
    }

    fn open(&self, blob: &BlobHash) -> Result<Option<File>> {
        match self.store.layout().blobs.open_file(blob.hex(), Open::Read) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.is_not_found() => Ok(None), // evicted meanwhile
            Err(e) => Err(e.into()),
        }
    }

    fn mark(&mut self, blob: &BlobHash, other: &BlobHash) {
        for blob in [blob, other] {
            let cut = self.cut.get(blob).copied();
            if cut.is_none() {
                self.cut.insert(*blob, false);
                self.noted.insert(*blob, false);
            }
        }
    }

    /// Sees to it that a blob's extents end where its segments do. False when that is not to be.
    fn make_cut(&mut self, blob: &BlobHash, progress: &Progress) -> Result<bool> {
        if self.cut.get(blob) == Some(&true) {
            return Ok(true);
        }
        if self.done.skipped.contains(blob) || self.done.damaged.contains(blob) {
            return Ok(false);
        }
        let Some(file) = self.open(blob)? else { return Ok(false) };
        let cut = self.store.make_cut(blob, &file, progress)?;
        if cut {
            self.cut.insert(*blob, true);
        } else {
            self.done.skipped.push(*blob);
        }
        Ok(cut)
    }

    fn note(&mut self) -> Result<()> {
        if self.noted.is_empty() {
            return Ok(());
        }
        let index = self.store.index();
        let writer = index.begin_write()?;
        writer.set_sharing(&self.noted).map_err(|e| index.error(e))?;
        writer.commit().map_err(|e| index.error(e))?;
        self.noted.clear();
        Ok(())
    }
}

/// Whether all blocks of a run are those of its holder already.
fn is_same_place(own: &[Extent], other: &[Extent], run: &Run, block: u64) -> bool {
    let mut at = run.at.next_multiple_of(block);
    let end = (run.at + run.len) / block * block;
    if at >= end {
        return false;
    }
    while at < end {
        let ours = place(own, at);
        let theirs = place(other, run.offset + (at - run.at));
        match (ours, theirs) {
            (Some((a, len)), Some((b, more))) if a == b => at += len.min(more),
            _ => return false,
        }
    }
    true
}

/// Where a byte of a file is on the disk, and how many behind it follow there.
fn place(extents: &[Extent], at: u64) -> Option<(u64, u64)> {
    let next = extents.partition_point(|extent| extent.logical <= at);
    let extent = extents.get(next.checked_sub(1)?)?;
    let within = at - extent.logical;
    (within < extent.len).then(|| (extent.physical + within, extent.len - within))
}
