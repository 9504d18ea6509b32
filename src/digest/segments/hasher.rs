//! Segments' hashes, in the pass that hashes the file.
//!
//! The pieces of a large file are hashed by several threads in any order, and tensors begin anywhere
//! in them. So a segment's hash is made of hashes of its units of 64 KiB, and who has a unit's
//! beginning hashes it: what is missing of its end at the end of a piece, less than a unit, is read
//! for it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use twox_hash::XxHash3_128;

use super::content::{PIECE, chunks};
use super::{Cutting, SEGMENT, Segment};

/// What one hash is made of at once, in bytes.
const UNIT: u64 = 64 << 10;

/// Hashes the segments of a piece of a file, whose bytes come in order.
#[derive(Clone, Debug)]
pub(crate) struct SegmentHasher {
    cutting: Arc<Cutting>,
    /// Where the next byte belongs.
    at: u64,
    /// The bytes before `at` that are not hashed yet.
    carry: Vec<u8>,
    /// Where the unit or the piece of content under way begins, and ends.
    current: Range<u64>,
    found: Vec<Segment>,
}

impl SegmentHasher {
    /// For the bytes from `at` on. A piece of content begins at a multiple of 4 MiB.
    pub fn new(cutting: Arc<Cutting>, at: u64) -> Self {
        let mut hasher =
            Self { cutting, at, carry: Vec::new(), current: at..at, found: Vec::new() };
        hasher.current = hasher.unit_from(at);
        hasher
    }

    /// The first unit that begins at `at` or behind it.
    fn unit_from(&self, at: u64) -> Range<u64> {
        let Cutting::Tensors(regions) = &*self.cutting else { return at..at + PIECE };
        let region = regions.at(at);
        let start = region.start + (at - region.start).next_multiple_of(UNIT);
        if start < region.end {
            return start..(start + UNIT).min(region.end);
        }
        let next = regions.at(region.end);
        region.end..(next.start + UNIT).min(next.end).max(region.end)
    }

    /// Adds the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        // The end of a unit that another piece has the beginning of.
        let skip = self.current.start.saturating_sub(self.at);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
        bytes = bytes.get(skip..).unwrap_or_default();
        self.at += skip as u64;
        while !bytes.is_empty() {
            let room = self.current.end.saturating_sub(self.at);
            if room == 0 {
                return; // behind the file's end
            }
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.at += now.len() as u64;
            bytes = later;
            if self.at < self.current.end {
                self.carry.extend_from_slice(now);
            } else if self.carry.is_empty() {
                self.take(now);
            } else {
                let mut whole = std::mem::take(&mut self.carry);
                whole.extend_from_slice(now);
                self.take(&whole);
                whole.clear();
                self.carry = whole;
            }
        }
    }

    /// Hashes what is whole: a unit, or a piece of content.
    fn take(&mut self, whole: &[u8]) {
        let offset = self.current.start;
        match &*self.cutting {
            Cutting::Content => self.found.extend(chunks(whole, offset)),
            Cutting::Tensors(_) => {
                let len = u32::try_from(whole.len()).unwrap_or(0);
                self.found.push(Segment { offset, len, hash: XxHash3_128::oneshot(whole) });
            }
        }
        self.current = self.unit_from(self.at);
    }

    /// What was found in the piece; `read` gives bytes behind its end.
    pub fn finish(
        mut self,
        read: impl FnOnce(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<Vec<Segment>> {
        if self.carry.is_empty() {
            return Ok(self.found);
        }
        let mut whole = std::mem::take(&mut self.carry);
        if let Cutting::Tensors(_) = &*self.cutting {
            let have = whole.len();
            let rest = usize::try_from(self.current.end - self.at).unwrap_or(0);
            whole.resize(have + rest, 0);
            read(whole.get_mut(have..).unwrap_or_default(), self.at)?;
            self.at = self.current.end;
        }
        self.take(&whole);
        Ok(self.found)
    }

    /// Takes out what was found so far.
    #[cfg(feature = "hub")]
    pub fn take_found(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.found)
    }

    /// What was found so far, of a file whose bytes all came.
    pub fn found(self) -> Vec<Segment> {
        let nothing = |_: &mut [u8], _| Ok(());
        self.finish(nothing).unwrap_or_default()
    }
}

/// What a whole segment hashes to, of a tensor or of what is between tensors.
pub(crate) fn hash_of(segment: &[u8]) -> u128 {
    let units = segment.chunks(UNIT as usize);
    if units.len() <= 1 {
        return XxHash3_128::oneshot(segment);
    }
    let hashes: Vec<_> = units.map(|unit| XxHash3_128::oneshot(unit).to_le_bytes()).collect();
    XxHash3_128::oneshot(hashes.as_flattened())
}

/// The segments that what was found in all of a file's pieces makes.
pub(crate) fn join(cutting: &Cutting, mut found: Vec<Segment>) -> Vec<Segment> {
    found.sort_unstable_by_key(|segment| segment.offset);
    let Cutting::Tensors(regions) = cutting else { return found };
    let mut joined = Vec::new();
    let mut units = found.into_iter().peekable();
    let mut hashes = Vec::new();
    while let Some(first) = units.next() {
        let region = regions.at(first.offset);
        let end = first.offset.saturating_add(SEGMENT).min(region.end);
        hashes.clear();
        hashes.extend(first.hash.to_le_bytes());
        let mut last = first.end();
        while let Some(unit) = units.next_if(|unit| unit.offset < end) {
            hashes.extend(unit.hash.to_le_bytes());
            last = unit.end();
        }
        let several = last > first.end();
        let hash = if several { XxHash3_128::oneshot(&hashes) } else { first.hash };
        let len = u32::try_from(last - first.offset).unwrap_or(u32::MAX);
        joined.push(Segment { offset: first.offset, len, hash });
    }
    joined
}
