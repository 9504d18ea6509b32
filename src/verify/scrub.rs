//! Scrubbing: what was not read for the longest time is read, and the store remembers.

use std::collections::HashMap;
#[cfg(feature = "serve")]
use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Damaged, Finding, Level, Result, Run, Subject, learn};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::model::{FilePath, ModelId, Revision};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::index::{BlobRow, BlobState};

/// After so many bytes what was read is remembered, so that an end in between costs little.
const BATCH: u64 = 1 << 30;

/// When it is enough. A blob that is begun is read to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Budget {
    /// When every blob was read.
    #[default]
    All,
    /// Before more bytes than this would be read, but not before one blob was.
    Bytes(u64),
    /// When this time has passed.
    Time(Duration),
}

/// What a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were not read, for the budget was used up.
    pub left_bytes: u64,
    /// When the blob that was not read for the longest time was, in seconds since the epoch. `None`
    /// when one never was since it was stored, or there is none.
    pub oldest: Option<i64>,
    /// The files that are damaged, by model and path.
    pub damaged: Vec<Damaged>,
}

/// Reads and hashes blobs, those that were not for the longest time first, as [`Level::Full`] does.
///
/// # Errors
/// [`StoreError::ReadOnly`], [`StoreError::Cancelled`], and what the index and a directory say. What
/// was read before is remembered.
pub fn scrub(store: &Store, budget: Budget, progress: &Progress) -> Result<Scrubbed> {
    store.check_writable()?;
    let began = Instant::now();
    let mut queue = queue(store)?;
    let mut scrubbed = Scrubbed::default();
    let all: u64 = queue.iter().map(|(_, _, row)| row.stamp.size).sum();
    if let Budget::Bytes(most) = budget {
        let mut sum = 0_u64;
        let fits = queue.iter().take_while(|(_, _, row)| {
            sum = sum.saturating_add(row.stamp.size);
            sum <= most
        });
        let count = fits.count().max(1);
        queue.truncate(count);
    }
    let chosen = queue.iter().map(|(_, _, row)| row.stamp.size).sum();
    progress.expect(queue.len() as u64, chosen);
    let mut damage = HashMap::new();
    let mut rest = queue.as_slice();
    while !rest.is_empty() {
        if matches!(budget, Budget::Time(most) if began.elapsed() >= most) {
            break;
        }
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(_, _, row)| {
            let before = bytes;
            bytes += row.stamp.size;
            before < BATCH
        });
        let (batch, later) = rest.split_at(fits.count());
        rest = later;
        damage.extend(read(store, batch, progress)?);
        scrubbed.blobs += batch.len() as u64;
        scrubbed.bytes += batch.iter().map(|(_, _, row)| row.stamp.size).sum::<u64>();
    }
    scrubbed.left_bytes = all - scrubbed.bytes;
    scrubbed.oldest = self::queue(store)?.first().and_then(|(time, ..)| *time);
    scrubbed.damaged = name(store, &damage)?;
    Ok(scrubbed)
}

/// When a blob was read last, and the blob.
type Queued = (Option<i64>, BlobHash, BlobRow);

/// When the blob that was not read for the longest time was, in seconds since the epoch, of those that
/// ever were; and whether some never were. It is about what a verification of all models would read.
#[cfg(feature = "serve")]
pub(crate) fn oldest(store: &Store) -> Result<(Option<i64>, bool)> {
    let times: Vec<Option<i64>> = store.index().read(|reader| {
        let here: HashSet<_> = reader.revisions()?.into_iter().map(|(id, _)| id).collect();
        let quarantined: HashSet<_> = reader.quarantined()?.into_iter().collect();
        let mut read = HashMap::new();
        reader.for_each_verified(|blob, time| {
            read.insert(blob, time);
        })?;
        let mut times = Vec::new();
        reader.for_each_edge(|blob, ids| {
            if !quarantined.contains(&blob) && ids.iter().any(|id| here.contains(id)) {
                times.push(read.get(&blob).copied());
            }
        })?;
        Ok(times)
    })?;
    Ok((times.iter().flatten().min().copied(), times.contains(&None)))
}

/// Every blob that a revision needs, the one first that was not read for the longest time.
fn queue(store: &Store) -> Result<Vec<Queued>> {
    store.index().read(|reader| {
        let mut times = HashMap::new();
        reader.for_each_verified(|blob, time| {
            times.insert(blob, time);
        })?;
        let mut queue = Vec::new();
        reader.for_each_blob(|blob, row| {
            if row.state == BlobState::Present {
                queue.push((times.get(&blob).copied(), blob, row));
            }
        })?;
        queue.sort_unstable_by_key(|(time, blob, _)| (*time, *blob));
        Ok(queue)
    })
}

/// Reads a batch and remembers it. What was read when the caller cancels is remembered, too.
fn read(
    store: &Store,
    batch: &[Queued],
    progress: &Progress,
) -> Result<HashMap<BlobHash, Finding>> {
    let subjects = batch
        .iter()
        .map(|(_, blob, row)| Subject { blob: *blob, size: row.stamp.size, row: Some(*row) })
        .collect();
    let run = Run::new(store, Level::Full, progress, subjects);
    let read = run.choose().and_then(|to_hash| run.hash(&to_hash));
    let findings = run.into_findings();
    learn(store, &findings)?;
    read?;
    let damaged = |finding: &Finding| matches!(finding, Finding::Damaged { .. });
    Ok(findings.into_iter().filter(|(_, finding)| damaged(finding)).collect())
}

/// The files whose blobs are damaged.
fn name(store: &Store, damage: &HashMap<BlobHash, Finding>) -> Result<Vec<Damaged>> {
    let mut named = Vec::new();
    for (blob, finding) in damage {
        let Finding::Damaged { why, ranges } = finding else { continue };
        for (model, revision, path) in files(store, blob)? {
            let (why, ranges) = (why.clone(), ranges.clone());
            named.push(Damaged { model, revision, path, blob: *blob, why, ranges });
        }
    }
    named.sort_by(|a, b| (&a.model, &a.revision, &a.path).cmp(&(&b.model, &b.revision, &b.path)));
    Ok(named)
}

fn files(store: &Store, blob: &BlobHash) -> Result<Vec<(ModelId, Revision, FilePath)>> {
    let rows = store.index().read(|reader| {
        let mut rows = Vec::new();
        for id in reader.edges(blob)? {
            rows.extend(reader.revision(id)?);
        }
        Ok(rows)
    })?;
    let mut files = Vec::new();
    for row in rows {
        let manifest = match store.read_manifest(&row.manifest) {
            Ok(Some(manifest)) => manifest,
            Ok(None) | Err(StoreError::ManifestDamaged { .. }) => continue, // for fsck to tell
            Err(e) => return Err(e),
        };
        for file in manifest.files().iter().filter(|file| file.blob == *blob) {
            files.push((row.model.clone(), row.revision.clone(), file.path.clone()));
        }
    }
    Ok(files)
}
