//! Which parts of the disk several blobs are on.
//!
//! A file system that shares parts of files counts them with each file. What the store takes, and
//! what comes back when a blob goes, is counted here.

use std::collections::HashMap;

use super::{Result, Store};
use crate::digest::BlobHash;
use crate::fs::Open;
use crate::fs::extents::Extent;

/// The parts of the disk that blobs which share are on.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    parts: Vec<Part>,
    /// Each blob's parts, one as often as it has it.
    of: HashMap<BlobHash, Vec<u32>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    len: u64,
    /// How often blobs have it.
    held: u32,
}

impl Store {
    /// Where the blobs are that took part in sharing.
    pub(crate) fn shared_extents(&self) -> Result<Extents> {
        let sharing = self.index.read(|reader| reader.sharing())?;
        let mut extents = Vec::new();
        for blob in sharing.keys() {
            let found = self.layout.blobs.open_file(blob.hex(), Open::Read);
            match found.and_then(|file| file.extents()) {
                Ok(found) => extents.push((*blob, found)),
                // Evicted meanwhile, or the store is on another file system now.
                Err(e) if e.is_not_found() || e.is_unsupported() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Extents::new(&extents))
    }
}

impl Extents {
    pub fn new(blobs: &[(BlobHash, Vec<Extent>)]) -> Self {
        let all = || blobs.iter().flat_map(|(_, extents)| extents);
        let mut edges: Vec<u64> =
            all().flat_map(|extent| [extent.physical, extent.physical + extent.len]).collect();
        edges.sort_unstable();
        edges.dedup();
        let len = |two: &[u64]| two.last().zip(two.first()).map_or(0, |(b, a)| b - a);
        let mut parts: Vec<_> =
            edges.windows(2).map(|two| Part { len: len(two), held: 0 }).collect();
        let mut of: HashMap<BlobHash, Vec<u32>> = HashMap::new();
        for (blob, extents) in blobs {
            let own = of.entry(*blob).or_default();
            for extent in extents {
                let first = edges.partition_point(|edge| *edge < extent.physical);
                let last = edges.partition_point(|edge| *edge < extent.physical + extent.len);
                for (index, part) in parts.iter_mut().enumerate().take(last).skip(first) {
                    part.held += 1;
                    own.extend(u32::try_from(index));
                }
            }
        }
        Self { parts, of }
    }

    /// Bytes that are counted more than once when each blob's are counted.
    pub fn saved(&self) -> u64 {
        self.parts.iter().map(|part| part.len * u64::from(part.held.saturating_sub(1))).sum()
    }

    /// A blob goes: so many of its bytes stay on the disk, because other blobs have them, too.
    pub fn take(&mut self, blob: &BlobHash) -> u64 {
        let mut stay = 0;
        for index in self.of.remove(blob).unwrap_or_default() {
            if let Some(part) = self.parts.get_mut(index as usize) {
                part.held = part.held.saturating_sub(1);
                if part.held > 0 {
                    stay += part.len;
                }
            }
        }
        stay
    }

    /// Bytes of `blobs` on the disk that other blobs have, too, and bytes that they have together
    /// more than once.
    pub fn between<'b>(&self, blobs: impl Iterator<Item = &'b BlobHash>) -> (u64, u64) {
        let mut own: HashMap<u32, u32> = HashMap::new();
        for index in blobs.filter_map(|blob| self.of.get(blob)).flatten() {
            *own.entry(*index).or_default() += 1;
        }
        let (mut with_others, mut twice) = (0, 0);
        for (index, count) in own {
            let part = self.parts.get(index as usize).copied().unwrap_or_default();
            twice += part.len * u64::from(count - 1);
            if part.held > count {
                with_others += part.len;
            }
        }
        (with_others, twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(physical: u64, len: u64) -> Extent {
        Extent { logical: 0, physical, len, shared: true }
    }

    #[test]
    fn what_several_blobs_have_is_counted_once() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|name| BlobHash::of(name));
        let mut extents = Extents::new(&[
            (a, vec![extent(0, 100), extent(200, 50)]),
            (b, vec![extent(50, 100), extent(0, 10)]),
            (c, vec![extent(60, 20), extent(60, 20), extent(1000, 5)]),
        ]);
        // 0–10 and 50–100 are a's and b's; 60–80 c's, twice, too.
        assert_eq!(extents.saved(), 10 + 50 + 2 * 20);
        assert_eq!(extents.between([&a].into_iter()), (60, 0));
        assert_eq!(extents.between([&c].into_iter()), (20, 20));
        assert_eq!(extents.between([&a, &b, &c].into_iter()), (0, 100));
        assert_eq!(extents.take(&a), 60);
        assert_eq!(extents.take(&c), 20 + 20);
        assert_eq!(extents.saved(), 0);
        assert_eq!(extents.take(&b), 0);
    }
}
