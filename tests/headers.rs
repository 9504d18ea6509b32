//! Headers that lie: nothing they say makes the parsers fail, or take more memory than a small
//! machine has to spare.
//!
//! `fuzz/` looks for such headers without end; here they are made from a seed, so that each run sees
//! the same ones. `TONNAGE_HEADERS` says how many.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fastrand::Rng;
use peak_alloc::PeakAlloc;
use tonnage::tensors::{Format, HeaderError};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MOST: usize = 64 << 20;

/// One test at a time: memory is counted of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// A real file's header, and the file's length.
fn header(path: &str) -> (Format, Vec<u8>, u64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path);
    let mut bytes = fs::read(&path).unwrap();
    let len = bytes.len() as u64;
    let format = Format::of(path.to_str().unwrap()).unwrap();
    let first = format.parse(&bytes, len).unwrap()[0].range.start;
    bytes.truncate(usize::try_from(first).unwrap());
    (format, bytes, len)
}

/// Numbers that counts, lengths and offsets go wrong with.
fn number(random: &mut Rng, len: u64) -> u64 {
    let edges = [0, 1, len - 1, len, len + 1, u64::MAX, u64::MAX / 2, 1 << 32, i64::MAX as u64];
    match random.u8(0..3) {
        0 => edges[random.usize(0..edges.len())],
        1 => random.u64(..) >> random.u32(0..64),
        _ => random.u64(0..len),
    }
}

fn mutate(header: &mut Vec<u8>, len: u64, random: &mut Rng) {
    for _ in 0..random.usize(1..8) {
        let at = random.usize(0..header.len().saturating_sub(8).max(1));
        // What is at the front decides about all that follows.
        let at = if random.bool() { at.min(random.usize(0..64)) } else { at };
        match random.u8(0..6) {
            0 => header[at] ^= 1 << random.u8(0..8),
            1 if at + 8 <= header.len() => {
                let number = number(random, len).to_le_bytes();
                header[at..at + 8].copy_from_slice(&number);
            }
            2 if at + 4 <= header.len() => {
                header[at..at + 4].copy_from_slice(&random.u32(0..64).to_le_bytes());
            }
            3 => {
                // A piece once more, somewhere else: names twice, tensors over each other.
                let piece = header[at..(at + random.usize(1..64)).min(header.len())].to_vec();
                let to = random.usize(0..header.len() - piece.len() + 1);
                header[to..to + piece.len()].copy_from_slice(&piece);
            }
            4 => {
                let digits = number(random, len).to_string().into_bytes();
                let to = at..(at + digits.len()).min(header.len());
                let count = to.len();
                header[to].copy_from_slice(&digits[..count]);
            }
            _ => header.truncate(random.usize(1..=header.len())),
        }
    }
}

#[test]
fn no_header_makes_a_parser_fail_or_take_much_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = std::env::var("TONNAGE_HEADERS").ok().and_then(|n| n.parse().ok());
    let count: u64 = count.unwrap_or(200_000);
    let headers = [
        header("tiny-llama-GGUF/tiny-llama-Q4_K_M.gguf"),
        header("tiny-llama-ft-last/model.safetensors"),
    ];
    let (mut whole, mut short, mut peak) = (0_u64, 0_u64, 0);
    for seed in 0..count {
        let mut random = Rng::with_seed(seed);
        let (format, header, len) = &headers[random.usize(0..2)];
        let mut bytes = header.clone();
        mutate(&mut bytes, *len, &mut random);
        let len = if random.u8(0..4) == 0 { number(&mut random, *len) } else { *len };
        let len = len.max(bytes.len() as u64);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let parsed = format.parse(&bytes, len);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        peak = taken.max(peak);
        assert!(taken < MOST, "seed {seed} took {taken} bytes");
        match parsed {
            Ok(tensors) => {
                whole += 1;
                let mut end = 0;
                for tensor in tensors.iter().filter(|tensor| !tensor.range.is_empty()) {
                    let range = &tensor.range;
                    assert!(range.start >= end && range.end <= len, "seed {seed}: {tensor:?}");
                    end = range.end;
                }
            }
            Err(HeaderError::Short { needed }) => {
                short += 1;
                assert!(needed > bytes.len() as u64 && needed <= len, "seed {seed}: {needed}");
            }
            Err(_) => {}
        }
    }
    // What is refused at the first byte tests nothing.
    assert!(whole * 50 > count && short * 50 > count, "{whole} whole, {short} short, of {count}");
    assert!(peak > 0);
}

#[test]
fn a_header_of_nothing_but_counts_takes_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // As many tensors as there may be, and more; each as small as it can be.
    let of = |entries: usize| {
        let entry =
            |n: usize| format!("\"{n}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}");
        let json = format!("{{{}}}", (0..entries).map(entry).collect::<Vec<_>>().join(","));
        [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat()
    };
    for (entries, is_ok) in [(1 << 16, true), ((1 << 16) + 1, false), (400_000, false)] {
        let bytes = of(entries);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let parsed = Format::Safetensors.parse(&bytes, bytes.len() as u64);
        assert_eq!(parsed.is_ok(), is_ok, "{entries}");
        assert!(MEMORY.peak_usage() - before < MOST);
    }
    // A shape without end.
    let sides = vec!["1"; 4_000_000].join(",");
    let json = format!("{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{sides}],\"data_offsets\":[0,1]}}}}");
    let bytes = [&(json.len() as u64).to_le_bytes(), json.as_bytes(), b"x"].concat();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    assert!(Format::Safetensors.parse(&bytes, bytes.len() as u64).is_err());
    assert!(MEMORY.peak_usage() - before < MOST);
}
