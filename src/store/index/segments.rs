//! The catalogue: which blobs have a segment. It is derived: what is wrong in it costs space, and what
//! is missing of it can be made of the blobs.

use std::collections::HashMap;

use redb::ReadableTable;

use super::read::there;
use super::tables::{SEGMENTED, SEGMENTS, SHARING};
use super::{Reader, Result, Writer};
use crate::digest::BlobHash;
use crate::digest::segments::Segment;

/// A blob that has a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub blob: BlobHash,
    pub offset: u64,
    pub len: u32,
}

/// A segment that a blob has over and over, as of zeros, is found by so many of its places.
const SAME: u32 = 4;

/// A segment that many blobs have is looked for in so many places.
const MOST: usize = 64;

/// Bytes of a segment in a row.
const PACKED: usize = 28;

impl Reader {
    /// Where a segment is.
    pub fn holders(&self, segments: &[Segment]) -> Result<Vec<Vec<Holder>>> {
        let Some(table) = there(self.0.open_multimap_table(SEGMENTS))? else {
            return Ok(vec![Vec::new(); segments.len()]);
        };
        let holders = |segment: &Segment| {
            let found = table.get(&segment.hash.to_le_bytes())?.take(MOST);
            found
                .map(|found| {
                    let found = found?;
                    let (blob, offset, len) = found.value();
                    Ok(Holder { blob: BlobHash::from_bytes(*blob), offset, len })
                })
                .collect()
        };
        segments.iter().map(holders).collect()
    }

    /// A blob's segments; `None` when nobody looked for them.
    pub fn segments(&self, blob: &BlobHash) -> Result<Option<Vec<Segment>>> {
        let Some(table) = there(self.0.open_table(SEGMENTED))? else { return Ok(None) };
        Ok(table.get(blob.as_bytes())?.map(|value| unpack(value.value())))
    }

    /// Whether a blob's extents are cut at its segments; `None` of one that took no part in sharing.
    pub fn is_cut(&self, blob: &BlobHash) -> Result<Option<bool>> {
        let Some(table) = there(self.0.open_table(SHARING))? else { return Ok(None) };
        Ok(table.get(blob.as_bytes())?.map(|cut| cut.value()))
    }

    /// The blobs that took part in sharing, and whether their extents are cut at their segments.
    pub fn sharing(&self) -> Result<HashMap<BlobHash, bool>> {
        let Some(table) = there(self.0.open_table(SHARING))? else { return Ok(HashMap::new()) };
        table
            .iter()?
            .map(|row| {
                let (blob, cut) = row?;
                Ok((BlobHash::from_bytes(*blob.value()), cut.value()))
            })
            .collect()
    }
}

impl Writer {
    pub(super) fn make_segment_tables(&self) -> Result<()> {
        self.0.open_multimap_table(SEGMENTS)?;
        self.0.open_table(SEGMENTED)?;
        self.0.open_table(SHARING)?;
        Ok(())
    }

    /// Keeps a blob's segments, in their order.
    pub fn set_segments(&self, blob: &BlobHash, segments: &[Segment]) -> Result<()> {
        let packed = pack(segments);
        let mut rows = self.0.open_table(SEGMENTED)?;
        let known = rows.get(blob.as_bytes())?.is_some_and(|known| known.value() == packed);
        if known {
            return Ok(());
        }
        self.drop_holders(blob, rows.get(blob.as_bytes())?.map(|value| unpack(value.value())))?;
        rows.insert(blob.as_bytes(), packed.as_slice())?;
        let mut table = self.0.open_multimap_table(SEGMENTS)?;
        for segment in findable(segments) {
            let value = (blob.as_bytes(), segment.offset, segment.len);
            table.insert(&segment.hash.to_le_bytes(), value)?;
        }
        Ok(())
    }

    /// Notes that blobs share with others now; what is cut stays so.
    pub fn set_sharing<'b>(
        &self,
        blobs: impl IntoIterator<Item = (&'b BlobHash, &'b bool)>,
    ) -> Result<()> {
        let segmented = self.0.open_table(SEGMENTED)?;
        let mut table = self.0.open_table(SHARING)?;
        for (blob, cut) in blobs {
            if segmented.get(blob.as_bytes())?.is_none() {
                continue; // it left meanwhile
            }
            let before = table.get(blob.as_bytes())?.is_some_and(|before| before.value());
            table.insert(blob.as_bytes(), before | *cut)?;
        }
        Ok(())
    }

    /// A blob has a new inode, which shares nothing and is not cut.
    pub fn forget_sharing(&self, blob: &BlobHash) -> Result<()> {
        self.0.open_table(SHARING)?.remove(blob.as_bytes())?;
        Ok(())
    }

    /// Drops what is known of the segments of blobs that leave.
    pub(super) fn remove_segments(&self, gone: &[(BlobHash, u64)]) -> Result<()> {
        let mut rows = self.0.open_table(SEGMENTED)?;
        if rows.first()?.is_none() {
            return Ok(());
        }
        for (blob, _) in gone {
            let Some(row) = rows.remove(blob.as_bytes())?.map(|value| unpack(value.value())) else {
                continue;
            };
            self.0.open_table(SHARING)?.remove(blob.as_bytes())?;
            self.drop_holders(blob, Some(row))?;
        }
        Ok(())
    }

    fn drop_holders(&self, blob: &BlobHash, segments: Option<Vec<Segment>>) -> Result<()> {
        let Some(segments) = segments else { return Ok(()) };
        let mut table = self.0.open_multimap_table(SEGMENTS)?;
        for segment in findable(&segments) {
            let value = (blob.as_bytes(), segment.offset, segment.len);
            table.remove(&segment.hash.to_le_bytes(), value)?;
        }
        Ok(())
    }
}

/// Those that have a row of their own.
fn findable(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    let mut seen: HashMap<u128, u32> = HashMap::new();
    segments.iter().filter(move |segment| {
        let count = seen.entry(segment.hash).or_default();
        *count += 1;
        *count <= SAME
    })
}

fn pack(segments: &[Segment]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(segments.len() * PACKED);
    for segment in segments {
        packed.extend(segment.offset.to_le_bytes());
        packed.extend(segment.len.to_le_bytes());
        packed.extend(segment.hash.to_le_bytes());
    }
    packed
}

fn unpack(packed: &[u8]) -> Vec<Segment> {
    let unpack = |bytes: &[u8; PACKED]| {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        Some(Segment {
            offset: u64::from_le_bytes(*offset),
            len: u32::from_le_bytes(*len),
            hash: u128::from_le_bytes(rest.try_into().ok()?),
        })
    };
    packed.as_chunks().0.iter().filter_map(unpack).collect()
}
