//! The segments of blobs: from the catalogue, or made now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::BlobHash;
use crate::digest::pool::{self, Cause, Digests, Job, Opened};
use crate::digest::segments::{Cutting, Segment};
use crate::error::{FsError, StoreError};
use crate::fs::Open;
use crate::progress::Progress;
use crate::store::Store;

type Result<T> = std::result::Result<T, StoreError>;

/// After so many bytes what was found is kept, so that an end in between costs little.
const BATCH: u64 = 1 << 30;

/// What became of blobs that were read for their segments.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub segments: HashMap<BlobHash, Vec<Segment>>,
    pub bytes: u64,
    /// Their bytes are not those of their name.
    pub damaged: Vec<BlobHash>,
}

/// The segments of these blobs, of which the caller gives the sizes.
pub(super) fn segments_of(
    store: &Store,
    blobs: &[(BlobHash, u64)],
    progress: &Progress,
) -> Result<HashMap<BlobHash, Vec<Segment>>> {
    let mut found = HashMap::new();
    let mut missing = Vec::new();
    store.index().read(|reader| {
        for (blob, size) in blobs {
            match reader.segments(blob)? {
                Some(segments) => {
                    found.insert(*blob, segments);
                }
                None => missing.push((*blob, *size)),
            }
        }
        Ok(())
    })?;
    progress.expect(missing.len() as u64, missing.iter().map(|(_, size)| size).sum());
    found.extend(read(store, &missing, progress)?.segments);
    Ok(found)
}

/// Reads blobs for their segments, and keeps them.
pub(super) fn learn(
    store: &Store,
    mut missing: &[(BlobHash, u64)],
    progress: &Progress,
) -> Result<Read> {
    let mut all = Read::default();
    while !missing.is_empty() {
        let mut bytes = 0;
        let fits = missing.iter().take_while(|(_, size)| {
            let before = bytes;
            bytes += size;
            before < BATCH
        });
        let (batch, later) = missing.split_at(fits.count());
        missing = later;
        let read = read(store, batch, progress)?;
        let index = store.index();
        let writer = index.begin_write()?;
        let keep = || {
            for (blob, segments) in &read.segments {
                if writer.blob(blob)?.is_some() {
                    writer.set_segments(blob, segments)?;
                }
            }
            Ok(())
        };
        keep().map_err(|e| index.error(e))?;
        writer.commit().map_err(|e| index.error(e))?;
        all.bytes += read.bytes;
        all.damaged.extend(read.damaged);
    }
    Ok(all)
}

fn read(store: &Store, blobs: &[(BlobHash, u64)], progress: &Progress) -> Result<Read> {
    let found = Mutex::new(Read::default());
    let mut left = blobs.iter();
    let dir = &store.layout().blobs;
    let next = || {
        for (blob, size) in left.by_ref() {
            let file = match dir.open_file(blob.hex(), Open::Read) {
                Ok(file) => file,
                Err(e) if e.is_not_found() => continue, // evicted meanwhile, or in quarantine
                Err(e) => return Err(e.into()),
            };
            let unreadable = |e| FsError::new("read", file.path(), e);
            let cutting = Cutting::of(&file, *size).map_err(unreadable)?;
            let Some(cutting) = cutting else {
                progress.add_bytes(*size);
                keep(&found, *blob, Vec::new(), 0);
                continue;
            };
            let found = &found;
            let done = move |digests: Digests| {
                progress.add_file();
                if digests.blob == *blob {
                    keep(found, *blob, digests.segments, *size);
                } else {
                    lock(found).damaged.push(*blob);
                }
                Ok(())
            };
            let cutting = Some(Arc::new(cutting));
            let opened = Opened { cutting, ..Opened::to_hash(Arc::new(file), Box::new(done)) };
            let open = Box::new(move || Ok(opened));
            return Ok(Some(Job { id: 0, len: *size, open }));
        }
        Ok(None)
    };
    pool::run::<StoreError, _>(store.threads(), progress.control(), next).map_err(|failure| {
        match failure.cause {
            Cause::Caller(e) => e,
            Cause::Cancelled => StoreError::Cancelled,
            cause => {
                FsError::new("read", dir.path(), std::io::Error::other(cause.to_string())).into()
            }
        }
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn keep(found: &Mutex<Read>, blob: BlobHash, segments: Vec<Segment>, bytes: u64) {
    let mut found = lock(found);
    found.segments.insert(blob, segments);
    found.bytes += bytes;
}

fn lock(found: &Mutex<Read>) -> std::sync::MutexGuard<'_, Read> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}
