//! The models: a file's name tells its bytes.

use tonnage::digest::BlobHash;
use tonnage::model::{FilePath, Manifest, ManifestFile, Revision};

use crate::support::*;

/// A file of a model: 1 byte to 3 MiB, most of them small.
pub fn file_name(id: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(id);
    let len = match rng.u32(..10) {
        0 => rng.u64((1 << 20)..(3 << 20)),
        1..4 => rng.u64((60 << 10)..(70 << 10)),
        4 => 1,
        _ => rng.u64(1..5000),
    };
    format!("{id}-{len}.bin")
}

/// The bytes of the file with this name.
pub fn file_bytes(path: &str) -> Vec<u8> {
    let name = path.rsplit('/').next().unwrap().strip_suffix(".bin").unwrap();
    let (id, len) = name.split_once('-').unwrap();
    bytes(id.parse().unwrap(), len.parse().unwrap())
}

/// How many different files there are: few, so that models share them.
pub const FILES: u64 = 24;
/// How many models an adder has.
pub const MODELS: u64 = 3;
/// How many variants, and so revisions, a model has.
pub const VARIANTS: u64 = 6;

/// The paths of a model's variant.
pub fn paths_of(model: &str, variant: u64) -> Vec<String> {
    let seed = BlobHash::of(format!("{model} {variant}").as_bytes());
    let mut rng = fastrand::Rng::with_seed(u64::from_le_bytes(
        seed.to_string().as_bytes().first_chunk::<8>().copied().unwrap(),
    ));
    let mut paths: Vec<_> = (0..rng.u64(1..6)).map(|_| file_name(rng.u64(..FILES))).collect();
    if rng.bool() {
        paths.push(format!("below/{}", file_name(rng.u64(..FILES))));
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// The revision that adding these paths must give.
pub fn revision_of(model: &str, paths: &[String]) -> Revision {
    let files = paths
        .iter()
        .map(|path| {
            let bytes = file_bytes(path);
            ManifestFile {
                path: FilePath::new(path.as_str()).unwrap(),
                size: bytes.len() as u64,
                blob: BlobHash::of(&bytes),
                sha256: None,
                git: None,
            }
        })
        .collect();
    let manifest = Manifest::new(model.parse().unwrap(), None, files).unwrap();
    let name = BlobHash::of(&manifest.to_bytes().unwrap());
    manifest.revision(name)
}
