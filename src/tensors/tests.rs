use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn fixtures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for model in std::fs::read_dir(root).unwrap() {
        let model = model.unwrap().path();
        if model.is_dir() {
            let files = std::fs::read_dir(model).unwrap().map(|file| file.unwrap().path());
            found.extend(files.filter(|path| Format::of(path.to_str().unwrap()).is_some()));
        }
    }
    found.sort();
    found
}

fn parse(format: Format, bytes: &[u8]) -> Result<Vec<Tensor>, HeaderError> {
    format.parse(bytes, bytes.len() as u64)
}

#[test]
fn real_files_are_tensors_from_end_to_end() {
    let files = fixtures();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let format = Format::of(path.to_str().unwrap()).unwrap();
        let tensors = parse(format, &bytes).unwrap();
        assert!(!tensors.is_empty(), "{}", path.display());
        // A wrong size of a type would leave a hole, or end behind the file.
        for two in tensors.windows(2) {
            let gap = two[1].range.start - two[0].range.end;
            assert!(gap < 32, "{}: {gap} bytes between {two:?}", path.display());
        }
        assert!(bytes.len() as u64 - tensors.last().unwrap().range.end < 32, "{}", path.display());
    }
}

#[test]
fn a_beginning_says_how_much_more_is_needed_until_it_is_enough() {
    for path in fixtures().into_iter().take(3) {
        let bytes = std::fs::read(&path).unwrap();
        let (format, len) = (Format::of(path.to_str().unwrap()).unwrap(), bytes.len() as u64);
        let whole = format.parse(&bytes, len).unwrap();
        let header = whole[0].range.start as usize;
        let mut given = 0;
        let from_start = loop {
            match format.parse(&bytes[..given], len) {
                Ok(tensors) => break tensors,
                Err(HeaderError::Short { needed }) => {
                    assert!(needed as usize > given && needed as usize <= header);
                    given = needed as usize;
                }
                Err(e) => panic!("{e}"),
            }
        };
        assert_eq!(from_start, whole);
    }
}

fn safetensors(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(bytes.len() + data, 7);
    bytes
}

#[test]
fn safetensors_headers_that_lie_are_refused() {
    let good =
        r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert_eq!(parse(Format::Safetensors, &safetensors(good, 8)).unwrap()[0].shape, [2]);
    let scalar = r#"{"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}"#;
    assert_eq!(
        parse(Format::Safetensors, &safetensors(scalar, 2)).unwrap()[0].dtype.name(),
        "BF16"
    );
    assert_eq!(parse(Format::Safetensors, &safetensors("{}", 0)).unwrap(), []);
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for (json, data) in [
        (one("F32", "[2]", "[0,8]"), 7),
        (one("F32", "[2]", "[0,8]"), 9),
        (one("F32", "[2]", "[0,12]"), 12),
        (one("F32", "[3]", "[8,0]"), 8),
        (one("F32", "[2]", "[18446744073709551608,18446744073709551615]"), 8),
        (one("F32", "[4294967296,4294967296]", "[0,0]"), 0),
        (one("F32", "[-1]", "[0,8]"), 8),
        (one("F33", "[2]", "[0,8]"), 8),
        (one("F4", "[3]", "[0,1]"), 1),
        (one("F32", "[2]", "[0]"), 8),
        ("[]".into(), 0),
        ("{".into(), 0),
        (r#"{"a":1}"#.into(), 0),
        ("[".repeat(100_000), 0),
        (
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#.into(),
            8,
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#.into(),
            8,
        ),
    ] {
        let said = parse(Format::Safetensors, &safetensors(&json, data));
        assert!(matches!(said, Err(HeaderError::Invalid { .. })), "{json}: {said:?}");
    }
    for bytes in [&[][..], &[1, 0, 0], &[255; 8], &[255; 64], &[9, 0, 0, 0, 0, 0, 0, 0, b'{']] {
        let said = parse(Format::Safetensors, bytes);
        assert!(matches!(said, Err(HeaderError::Invalid { .. })), "{bytes:?}: {said:?}");
    }
}

/// A GGUF header, put together by hand.
struct Header(Vec<u8>);

impl Header {
    fn new(version: u32, tensors: u64, pairs: u64) -> Self {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(pairs.to_le_bytes());
        Self(bytes)
    }

    fn string(mut self, text: &str) -> Self {
        self.0.extend((text.len() as u64).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn u32(mut self, number: u32) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u64(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn tensor(self, name: &str, shape: &[u64], kind: u32, offset: u64) -> Self {
        let with = self.string(name).u32(shape.len() as u32);
        shape.iter().fold(with, |header, side| header.u64(*side)).u32(kind).u64(offset)
    }

    fn data(mut self, align: usize, bytes: usize) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(align) + bytes, 7);
        self.0
    }
}

#[test]
fn gguf_headers_of_every_sort_are_read() {
    let header = Header::new(3, 2, 4)
        .string("general.alignment")
        .u32(4)
        .u32(64)
        .string("names")
        .u32(9)
        .u32(8)
        .u64(2)
        .string("a")
        .string("b")
        .string("lists")
        .u32(9)
        .u32(9)
        .u64(1)
        .u32(4)
        .u64(2)
        .u32(1)
        .u32(2)
        .string("pi")
        .u32(12)
        .u64(0)
        .tensor("b", &[256, 2], 12, 64)
        .tensor("a", &[3], 0, 0);
    let tensors = parse(Format::Gguf, &header.data(64, 64 + 288)).unwrap();
    let told: Vec<_> = tensors.iter().map(|t| (t.name.as_str(), t.dtype.name())).collect();
    assert_eq!(told, [("a", "F32"), ("b", "Q4_K")]);
    assert_eq!(tensors[1].range.end - tensors[1].range.start, 288);
    assert_eq!(tensors[1].range.start % 64, 0);
    let empty = Header::new(2, 0, 0).data(1, 0);
    assert_eq!(parse(Format::Gguf, &empty).unwrap(), []);
}

#[test]
fn gguf_headers_that_lie_are_refused() {
    let long = u64::MAX;
    let nested = (0..6).fold(Header::new(3, 0, 1).string("k").u32(9), |h, _| h.u32(9).u64(1));
    for (what, header) in [
        ("a version", Header::new(1, 0, 0)),
        ("big-endian", Header::new(3_u32.swap_bytes(), 0, 0)),
        ("tensors", Header::new(3, long, 0)),
        ("pairs", Header::new(3, 0, long)),
        ("a key", Header::new(3, 0, 1).u64(long)),
        ("a string", Header::new(3, 0, 1).string("k").u32(8).u64(long)),
        ("an array", Header::new(3, 0, 1).string("k").u32(9).u32(4).u64(long)),
        ("an array of strings", Header::new(3, 0, 1).string("k").u32(9).u32(8).u64(long)),
        ("a type of value", Header::new(3, 0, 1).string("k").u32(13)),
        ("nesting", nested),
        ("alignment", Header::new(3, 0, 1).string("general.alignment").u32(4).u32(3)),
        ("no alignment", Header::new(3, 0, 1).string("general.alignment").u32(4).u32(0)),
        ("dimensions", Header::new(3, 1, 0).string("a").u32(5)),
        ("a type", Header::new(3, 1, 0).tensor("a", &[1], 4, 0)),
        ("an offset", Header::new(3, 1, 0).tensor("a", &[1], 0, long - 31)),
        ("an odd offset", Header::new(3, 1, 0).tensor("a", &[1], 0, 1)),
        ("rows", Header::new(3, 1, 0).tensor("a", &[128, 2], 12, 0)),
        ("a product", Header::new(3, 1, 0).tensor("a", &[1 << 40, 1 << 40], 0, 0)),
        ("the file's end", Header::new(3, 1, 0).tensor("a", &[1 << 20], 0, 0)),
        ("an overlap", Header::new(3, 2, 0).tensor("a", &[16], 0, 0).tensor("b", &[16], 0, 32)),
        ("a name", Header::new(3, 2, 0).tensor("a", &[1], 0, 0).tensor("a", &[1], 0, 32)),
    ] {
        let bytes = header.data(32, 256);
        let said = parse(Format::Gguf, &bytes);
        assert!(matches!(said, Err(HeaderError::Invalid { .. })), "{what}: {said:?}");
    }
}

#[test]
fn a_file_that_ends_in_its_header_is_refused_wherever_that_is() {
    for path in fixtures().into_iter().take(3) {
        let bytes = std::fs::read(&path).unwrap();
        let format = Format::of(path.to_str().unwrap()).unwrap();
        let header = parse(format, &bytes).unwrap()[0].range.start as usize;
        for end in (0..header).step_by(header / 300 + 1) {
            let said = parse(format, &bytes[..end]);
            assert!(matches!(said, Err(HeaderError::Invalid { .. })), "{end}: {said:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever the bytes are, there is an answer, and what it says is within the file.
    #[test]
    fn no_header_leads_out_of_its_file(
        which in 0_usize..100,
        changes in prop::collection::vec((0_usize..4096, any::<u8>()), 1..6),
    ) {
        let files = fixtures();
        let path = &files[which % files.len()];
        let mut bytes = std::fs::read(path).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let format = Format::of(path.to_str().unwrap()).unwrap();
        if let Ok(tensors) = parse(format, &bytes) {
            prop_assert!(tensors.iter().all(|t| t.range.end <= bytes.len() as u64));
        }
    }
}
