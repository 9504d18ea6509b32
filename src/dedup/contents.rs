//! What a revision, or a file, is made of, to be compared with others.

use std::collections::{HashMap, HashSet};

use super::catalogue::segments_of;
use super::tensors::{FileTensors, of_files};
use crate::digest::BlobHash;
use crate::digest::segments::Segment;
use crate::error::StoreError;
use crate::fs::Open;
use crate::fs::extents::Extent;
use crate::model::{Manifest, ManifestFile};
use crate::progress::Progress;
use crate::store::Store;

type Result<T> = std::result::Result<T, StoreError>;

/// What bytes are told apart by: their hash, and how many they are.
pub(super) type Key = (u128, u64);

/// Blobs and their segments, each blob once.
pub(super) struct Contents {
    pub blobs: Vec<(BlobHash, u64)>,
    pub segments: HashMap<BlobHash, Vec<Segment>>,
    pub files: Vec<FileTensors>,
}

impl Contents {
    /// Of a manifest's files, of those that `which` wants.
    pub fn new(
        store: &Store,
        manifest: &Manifest,
        which: impl Fn(&ManifestFile) -> bool,
        progress: &Progress,
    ) -> Result<Self> {
        let mut seen = HashSet::new();
        let wanted = || manifest.files().iter().filter(|file| which(file));
        let blobs: Vec<_> = wanted()
            .map(|file| (file.blob, file.size))
            .filter(|(blob, _)| seen.insert(*blob))
            .collect();
        let mut segments = segments_of(store, &blobs, progress)?;
        for (blob, size) in &blobs {
            let segments = segments.entry(*blob).or_default();
            if segments.is_empty() && *size > 0 {
                // Too small to be cut: it is one.
                let [bytes, ..] = blob.as_bytes().as_chunks::<16>().0 else { continue };
                let len = u32::try_from(*size).unwrap_or(u32::MAX);
                segments.push(Segment { offset: 0, len, hash: u128::from_le_bytes(*bytes) });
            }
        }
        let mut seen = HashSet::new();
        let files = of_files(store, wanted().filter(|file| seen.insert(file.blob)))?;
        Ok(Self { blobs, segments, files })
    }

    /// The sum of the blobs' sizes.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|(_, size)| size).sum()
    }

    /// Each blob with its segments.
    pub fn each(&self) -> impl Iterator<Item = (&BlobHash, &[Segment])> {
        self.blobs.iter().filter_map(|(blob, _)| Some((blob, self.segments.get(blob)?.as_slice())))
    }

    /// Every segment, with its length.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.each().flat_map(|(_, segments)| segments).map(key)
    }

    /// Every tensor that has bytes: its name, its type's name, and what its bytes are. A tensor that
    /// the file was not cut at has none.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &'static str, Key)> {
        self.files.iter().flat_map(|file| {
            let segments = self.segments.get(&file.blob).map(Vec::as_slice).unwrap_or_default();
            file.tensors.iter().filter_map(move |tensor| {
                let first = segments.partition_point(|s| s.offset < tensor.range.start);
                let own = segments.get(first..)?.iter().take_while(|s| s.end() <= tensor.range.end);
                let mut hashes = Vec::new();
                let mut at = tensor.range.start;
                for segment in own {
                    if segment.offset != at {
                        return None;
                    }
                    at = segment.end();
                    hashes.extend(segment.hash.to_le_bytes());
                }
                let len = tensor.range.end - tensor.range.start;
                let whole = at == tensor.range.end && len > 0;
                let hash = twox_hash::XxHash3_128::oneshot(&hashes);
                whole.then_some((tensor.name.as_str(), tensor.dtype.name(), (hash, len)))
            })
        })
    }

    /// The parts of the disk that blobs are on, of those that `which` wants.
    pub fn extents(
        &self,
        store: &Store,
        mut which: impl FnMut(&BlobHash) -> bool,
    ) -> Result<Vec<Extent>> {
        let mut all = Vec::new();
        for (blob, _) in self.blobs.iter().filter(|(blob, _)| which(blob)) {
            match store.layout().blobs.open_file(blob.hex(), Open::Read) {
                Ok(file) => all.extend(file.extents().unwrap_or_default()),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(all)
    }
}

pub(super) fn key(segment: &Segment) -> Key {
    (segment.hash, u64::from(segment.len))
}

/// Bytes of `these` that are where some of `those` are.
pub(super) fn overlap(these: &[Extent], those: &[Extent]) -> u64 {
    let mut merged: Vec<(u64, u64)> = Vec::new();
    let mut sorted: Vec<_> = those.iter().map(|e| (e.physical, e.physical + e.len)).collect();
    sorted.sort_unstable();
    for (from, to) in sorted {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => merged.push((from, to)),
        }
    }
    let mut bytes = 0;
    for extent in these {
        let (from, to) = (extent.physical, extent.physical + extent.len);
        let first = merged.partition_point(|(_, end)| *end <= from);
        let hit = merged.iter().skip(first).take_while(|(start, _)| *start < to);
        bytes += hit.map(|(a, b)| to.min(*b) - from.max(*a)).sum::<u64>();
    }
    bytes
}
