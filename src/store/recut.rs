//! Extents that end where segments do, for a blob that has others.
//!
//! btrfs frees nothing of an extent while any part of it is in use. So a blob is written once more,
//! with its extents cut, and the kernel is asked to put the blob on these: it compares before it does,
//! the blob's bytes are never written (I1), and the second file goes.

use super::import::Import;
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::digest::segments::{Cutting, Regions};
use crate::digest::stream::Sink;
use crate::error::{FsError, StoreError};
use crate::fs::extents::MOST;
use crate::fs::{File, Open};
use crate::progress::Progress;

const PART: &str = "recut.part";
const BUFFER: usize = 1 << 20;

impl Store {
    /// Sees to it that a blob's extents end where its segments do, on a file system where that
    /// matters, and notes it. False when that is not to be: a file outside the store has a part in
    /// its blocks, and writing it anew would take more room; or there is no room for it.
    pub(crate) fn make_cut(
        &self,
        blob: &BlobHash,
        file: &File,
        progress: &Progress,
    ) -> Result<bool> {
        match self.index.read(|reader| reader.is_cut(blob))? {
            Some(true) => return Ok(true),
            None if file.extents()?.iter().any(|extent| extent.shared) => return Ok(false),
            _ => {}
        }
        let disk = self.layout.blobs.disk()?;
        if !recut(self, file, disk.block, progress)? {
            return Ok(false);
        }
        // Before it shares: whoever goes on after this process must not take it for a file that
        // others have a part in.
        let index = &self.index;
        let writer = index.begin_write()?;
        writer.set_sharing([(blob, &true)]).map_err(|e| index.error(e))?;
        writer.commit().map_err(|e| index.error(e))?;
        Ok(true)
    }
}

/// False when there is no room for the second file, or it did not take the blob's place everywhere.
pub(super) fn recut(store: &Store, blob: &File, block: u64, progress: &Progress) -> Result<bool> {
    let size = blob.stat()?.size;
    let unreadable = |e| FsError::new("read", blob.path(), e);
    let Some(cutting) = Cutting::of(blob, size).map_err(unreadable)? else { return Ok(false) };
    let import = Import::begin(store.layout_arc())?;
    match import.reserve(store, [size].into_iter()) {
        Err(StoreError::NoSpace { .. } | StoreError::OverLimit { .. }) => return Ok(false),
        other => other?,
    }
    let part = import.dir().open_file(PART, Open::New)?;
    let regions = if let Cutting::Tensors(regions) = &cutting { Some(&**regions) } else { None };
    let sink = CutFile::new(part.clone(), regions, block);
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    while at < size {
        if progress.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let count = blob.read_at(&mut buffer, at)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(false); // it got shorter: damage, for verify to find
        }
        let written = Sink::write_at(&sink, bytes, at);
        written.map_err(|e| FsError::new("write", part.path(), e))?;
        at += count as u64;
    }
    part.sync()?;
    let mut at = 0;
    while at < size {
        let len = (size - at).min(MOST);
        let now = blob.share_from(&part, at, len, at)?;
        if now == 0 {
            return Ok(false);
        }
        at += now;
    }
    Ok(true)
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
    /// Of a file that is not cut by its tensors, they end anywhere.
    pub fn new(file: File, regions: Option<&Regions>, block: u64) -> Self {
        let mut edges: Vec<u64> = Vec::new();
        if let Some(regions) = regions {
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
