use proptest::prelude::*;
use std::ops::Range;
use std::sync::Arc;

use super::*;
use crate::tensors::Dtype;

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| random.u8(..)).collect()
}

fn regions(ranges: &[Range<u64>], len: u64) -> Arc<Cutting> {
    let tensors: Vec<_> = ranges.iter().map(|range| tensor(range.clone())).collect();
    Arc::new(Cutting::Tensors(Arc::new(Regions::new(&tensors, len))))
}

fn tensor(range: Range<u64>) -> Tensor {
    let dtype = Dtype::of_safetensors("U8").unwrap();
    Tensor { name: String::new(), dtype, shape: vec![range.end - range.start], range }
}

/// The segments of `file`, hashed in pieces of `piece` bytes that come in slices of `slice`.
fn hashed(cutting: &Arc<Cutting>, file: &[u8], piece: usize, slice: usize) -> Vec<Segment> {
    let mut found = Vec::new();
    // From the last piece to the first: no order is promised.
    for (index, bytes) in file.chunks(piece).enumerate().rev() {
        let mut hasher = SegmentHasher::new(cutting.clone(), (index * piece) as u64);
        bytes.chunks(slice).for_each(|slice| hasher.update(slice));
        let read = |rest: &mut [u8], at: u64| {
            let at = at as usize;
            rest.copy_from_slice(&file[at..at + rest.len()]);
            Ok(())
        };
        found.extend(hasher.finish(read).unwrap());
    }
    join(cutting, found)
}

#[test]
fn segments_cover_a_file_without_gaps() {
    let file = bytes(1, 9 << 20);
    let len = file.len() as u64;
    let ranges = [100_000..100_000, 100_000..3_500_001, 3_500_001..3_500_033, 3_600_000..8_000_000];
    for cutting in [regions(&ranges, len), regions(&[], len), Arc::new(Cutting::Content)] {
        let segments = hashed(&cutting, &file, 4 << 20, 1 << 20);
        let mut at = 0;
        for segment in segments {
            assert_eq!(segment.offset, at);
            assert!(segment.len > 0 && u64::from(segment.len) <= SEGMENT);
            at = segment.end();
        }
        assert_eq!(at, len);
    }
    let cutting = regions(&ranges, len);
    for segment in hashed(&cutting, &file, 4 << 20, 1 << 20) {
        let bytes = &file[segment.offset as usize..segment.end() as usize];
        assert_eq!(hash_of(bytes), segment.hash);
    }
}

#[test]
fn a_tensor_has_the_same_hashes_wherever_it_is() {
    let tensor = bytes(2, 3_333_333);
    let at = |offset: usize| {
        let mut file = bytes(offset as u64, offset);
        file.extend(&tensor);
        file.extend(bytes(4, 200_000));
        let range = offset as u64..(offset + tensor.len()) as u64;
        let cutting = regions(std::slice::from_ref(&range), file.len() as u64);
        let segments = hashed(&cutting, &file, 4 << 20, 1 << 20);
        let inside = segments.into_iter().filter(|s| range.contains(&s.offset));
        inside.map(|s| (s.offset - range.start, s.len, s.hash)).collect::<Vec<_>>()
    };
    let first = at(70_000);
    assert_eq!(first.len(), 4);
    for offset in [1, 4096, 1 << 20, 3_000_001, 5 << 20] {
        assert_eq!(at(offset), first, "at {offset}");
    }
}

#[test]
fn content_is_found_again_behind_an_insertion() {
    let file = bytes(5, 12 << 20);
    let mut longer = bytes(6, 1000);
    longer.extend(&file);
    let cutting = Arc::new(Cutting::Content);
    let hashes = |file| {
        let segments = hashed(&cutting, file, 4 << 20, 1 << 20);
        segments.iter().map(|s| (s.hash, s.len)).collect::<std::collections::HashMap<_, _>>()
    };
    let (before, after) = (hashes(&file), hashes(&longer));
    let again = after.iter().filter(|(hash, _)| before.contains_key(*hash));
    let bytes: u64 = again.map(|(_, len)| u64::from(*len)).sum();
    assert!(bytes > 8 << 20, "{bytes} bytes of 12 MiB were found again");
}

#[test]
fn a_header_that_lies_makes_content_of_a_file() {
    let mut file = bytes(7, 2 << 20);
    file[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let of = |file: &Vec<u8>| Cutting::of(&Slice(file), file.len() as u64).unwrap();
    assert!(matches!(of(&file), Some(Cutting::Content)));
    file[..8].copy_from_slice(b"GGUF\x03\0\0\0");
    file[8..24].fill(0xff);
    assert!(matches!(of(&file), Some(Cutting::Content)));
    file.truncate(100_000);
    assert!(of(&file).is_none());
}

struct Slice<'b>(&'b [u8]);

impl Bytes for Slice<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// How the bytes come changes nothing.
    #[test]
    fn pieces_and_slices_do_not_matter(
        lens in prop::collection::vec(1_u64..700_000, 0..12),
        gap in 0_u64..50_000,
        piece in 1_usize..3_000_000,
        slice in 1_000_usize..1_500_000,
    ) {
        let mut at = gap;
        let ranges: Vec<_> = lens
            .iter()
            .map(|len| {
                let range = at..at + len;
                at += len + gap % 7 * 11;
                range
            })
            .collect();
        let file = bytes(gap, at as usize);
        let cutting = regions(&ranges, at);
        let whole = hashed(&cutting, &file, file.len().max(1), file.len().max(1));
        prop_assert_eq!(hashed(&cutting, &file, piece, slice), whole);
    }
}
