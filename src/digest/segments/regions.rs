//! Where a file with tensors is cut.

use std::ops::Range;

use super::SEGMENT;
use crate::tensors::Tensor;

/// What is between tensors, the header above all, is cut into pieces of so many bytes: headers of
/// one family are of one length and differ in a few values.
const GAP: u64 = 16 << 10;

/// A tensor, or a piece of what is between tensors, from each of these places to the next: all of a
/// file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Regions {
    /// Ascending, the first is 0.
    starts: Vec<u64>,
    len: u64,
}

impl Regions {
    /// Of a file of `len` bytes with these tensors, in the order of their bytes, as
    /// [`Format::parse`](crate::tensors::Format::parse) has checked them.
    pub fn new(tensors: &[Tensor], len: u64) -> Self {
        let mut regions = Self { starts: Vec::new(), len };
        let mut end = 0;
        for tensor in tensors.iter().filter(|tensor| !tensor.range.is_empty()) {
            regions.fill(end..tensor.range.start);
            regions.starts.push(tensor.range.start);
            end = tensor.range.end;
        }
        regions.fill(end..len);
        regions
    }

    fn fill(&mut self, gap: Range<u64>) {
        // A file may be one large gap; then its pieces are as long as segments can be.
        let step = if gap.end - gap.start > 4096 * GAP { SEGMENT } else { GAP };
        let mut at = gap.start;
        while at < gap.end {
            self.starts.push(at);
            at = at.saturating_add(step);
        }
    }

    /// The region that has the byte at `offset`.
    pub fn at(&self, offset: u64) -> Range<u64> {
        let next = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(next.wrapping_sub(1)).copied().unwrap_or(0);
        start..self.starts.get(next).copied().unwrap_or(self.len)
    }

    /// All of them, in their order.
    pub fn each(&self) -> impl Iterator<Item = Range<u64>> {
        let ends = self.starts.iter().skip(1).copied().chain([self.len]);
        self.starts.iter().copied().zip(ends).map(|(start, end)| start..end)
    }
}
