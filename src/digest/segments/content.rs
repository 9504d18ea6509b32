//! Where a file without tensors is cut: content-defined chunking.

use fastcdc::v2020::FastCDC;
use twox_hash::XxHash3_128;

use super::{SEGMENT, Segment};

/// Chunks are looked for in pieces of so many bytes, so that the pieces of a large file can be taken
/// in any order. The chunks at both ends of a piece are lost to that.
pub(super) const PIECE: u64 = 4 << 20;

const MIN: usize = 64 << 10;
const AVERAGE: usize = 256 << 10;

/// The chunks of a piece that begins at `offset`.
pub(super) fn chunks(piece: &[u8], offset: u64) -> impl Iterator<Item = Segment> {
    FastCDC::new(piece, MIN, AVERAGE, SEGMENT as usize).filter_map(move |chunk| {
        let bytes = piece.get(chunk.offset..chunk.offset + chunk.length)?;
        let hash = XxHash3_128::oneshot(bytes);
        let len = u32::try_from(chunk.length).ok()?;
        Some(Segment { offset: offset + chunk.offset as u64, len, hash })
    })
}
