//! Blobs that have segments in common share them on the disk, where the file system can.
//!
//! The catalogue says where a segment may be; the kernel compares the bytes before it shares them.
//! So what is wrong in the catalogue costs a comparison, and whatever fails leaves ordinary, whole
//! files. Bytes of a blob are not rewritten by it, nor is its inode changed (I1).

use std::collections::HashMap;

use super::index::Holder;
use super::layout::FORMAT;
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::digest::segments::Segment;
use crate::fs::extents::MOST;
use crate::fs::{File, Open};

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
