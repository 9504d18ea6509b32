//! Whether stored bytes are still what their names say.
//!
//! The quick level compares each blob's fingerprint (size, time of change, mode, inode) with the
//! one taken when it was published, and reads only blobs whose fingerprint differs. The full level
//! reads and hashes everything.

mod repair;
mod scrub;
mod source;
mod view;

pub use repair::{RepairOptions, Repaired, repair};
#[cfg(feature = "serve")]
pub(crate) use scrub::oldest;
pub use scrub::{Budget, Scrubbed, scrub};
pub use source::{Elsewhere, Source};
pub use view::{ViewFound, verify_view};

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::BlobHash;
use crate::digest::pool::{self, Cause, Digests, Failure, Job, Opened};
use crate::digest::stream::StreamError;
use crate::digest::tree::{Cv, GROUP};
use crate::error::{FsError, StoreError};
use crate::fs::Open;
use crate::model::{FilePath, ModelId, Revision};
use crate::progress::Progress;
use crate::store::index::{BlobRow, BlobState, Stamp};
use crate::store::{Resolved, Store, now};

type Result<T> = std::result::Result<T, StoreError>;

/// How hard to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Fingerprints; bytes only where a fingerprint differs.
    #[default]
    Quick,
    /// All bytes.
    Full,
}

/// A file whose bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damaged {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// The file in it.
    pub path: FilePath,
    /// The blob.
    pub blob: BlobHash,
    /// What is wrong.
    pub why: String,
    /// The byte ranges that are wrong, to the MiB, as far as they are known. Empty when it is
    /// not known where the damage is.
    pub ranges: Vec<Range<u64>>,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Files of the verified revisions.
    pub checked_files: u64,
    /// Their bytes, those that share a blob counted once.
    pub checked_bytes: u64,
    /// Bytes that were read and hashed.
    pub hashed_bytes: u64,
    /// The files that are damaged, by model and path.
    pub damaged: Vec<Damaged>,
}

/// One blob that is to be looked at.
struct Subject {
    blob: BlobHash,
    size: u64,
    row: Option<BlobRow>,
}

/// What was found of one blob.
enum Finding {
    Whole { stamp: Stamp, groups: Vec<Cv> },
    Damaged { why: String, ranges: Vec<Range<u64>> },
}

struct Run<'a> {
    store: &'a Store,
    level: Level,
    progress: &'a Progress,
    subjects: Vec<Subject>,
    findings: Mutex<HashMap<BlobHash, Finding>>,
}

/// Verifies the blobs of `revisions`.
///
/// On a store opened for writing, fingerprints that differ from whole bytes are taken anew,
/// chaining values that were not known are kept, and damaged blobs are marked, so that adding the
/// same bytes again replaces them.
///
/// # Errors
/// When a manifest, the index or a directory cannot be read. Damage is no error but in the result.
pub fn verify(
    store: &Store,
    revisions: &[Resolved],
    level: Level,
    progress: &Progress,
) -> Result<Verified> {
    let mut manifests = Vec::new();
    let mut sizes = HashMap::new();
    for revision in revisions {
        let manifest = match store.manifest(revision) {
            Err(StoreError::NotFound { .. }) if revisions.len() > 1 => continue, // just removed
            other => other?,
        };
        sizes.extend(manifest.files().iter().map(|file| (file.blob, file.size)));
        manifests.push((revision, manifest));
    }
    let mut blobs: Vec<_> = sizes.into_iter().collect();
    blobs.sort_unstable();
    let names: Vec<_> = blobs.iter().map(|(blob, _)| *blob).collect();
    let rows = store.index().read(|reader| reader.blobs_of(&names))?;
    let subjects: Vec<_> = blobs
        .into_iter()
        .zip(rows)
        .map(|((blob, size), row)| Subject { blob, size, row })
        .collect();
    let mut verified = Verified {
        checked_files: manifests.iter().map(|(_, m)| m.files().len() as u64).sum(),
        checked_bytes: subjects.iter().map(|subject| subject.size).sum(),
        ..Verified::default()
    };
    let run = Run::new(store, level, progress, subjects);
    verified.hashed_bytes = run.run()?;
    let findings = run.into_findings();
    for (revision, manifest) in &manifests {
        for file in manifest.files() {
            if let Some(Finding::Damaged { why, ranges }) = findings.get(&file.blob) {
                verified.damaged.push(Damaged {
                    model: revision.model.clone(),
                    revision: revision.revision.clone(),
                    path: file.path.clone(),
                    blob: file.blob,
                    why: why.clone(),
                    ranges: ranges.clone(),
                });
            }
        }
    }
    learn(store, &findings)?;
    Ok(verified)
}

/// The hash of a file's bytes as they are now, on all cores.
pub(crate) fn hash(
    store: &Store,
    file: &crate::fs::File,
    len: u64,
    progress: &Progress,
) -> Result<BlobHash> {
    let found = std::sync::OnceLock::new();
    let note = |digests: Digests| {
        let _ = found.set(digests.blob);
        Ok(())
    };
    let mut job = Some(Job {
        id: 0,
        len,
        open: Box::new(|| Ok(Opened::to_hash(Arc::new(file), Box::new(note)))),
    });
    pool::run(store.threads(), progress.control(), || Ok(job.take())).map_err(failed)?;
    found.get().copied().ok_or(StoreError::Cancelled)
}

impl<'a> Run<'a> {
    fn new(store: &'a Store, level: Level, progress: &'a Progress, subjects: Vec<Subject>) -> Self {
        Self { store, level, progress, subjects, findings: Mutex::default() }
    }

    fn into_findings(self) -> HashMap<BlobHash, Finding> {
        self.findings.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every subject and returns how many bytes were hashed.
    fn run(&self) -> Result<u64> {
        let to_hash = self.choose()?;
        let bytes = to_hash.iter().map(|subject| subject.size).sum();
        self.progress.expect(to_hash.len() as u64, bytes);
        self.hash(&to_hash)?;
        Ok(bytes)
    }

    /// The subjects that have to be hashed; of the others it is known what they are then.
    fn choose(&self) -> Result<Vec<&Subject>> {
        let mut to_hash = Vec::new();
        for subject in &self.subjects {
            if self.needs_hashing(subject)? {
                to_hash.push(subject);
            }
        }
        Ok(to_hash)
    }

    fn hash(&self, to_hash: &[&Subject]) -> Result<()> {
        let mut left = to_hash.iter();
        let next = || {
            Ok(left.next().map(|&subject| Job {
                id: 0,
                len: subject.size,
                open: Box::new(move || self.open(subject)),
            }))
        };
        pool::run(self.store.threads(), self.progress.control(), next).map_err(failed)
    }

    fn needs_hashing(&self, subject: &Subject) -> Result<bool> {
        let name = subject.blob.to_string();
        let stat = match self.store.layout().blobs.stat(&name) {
            Ok(stat) => stat,
            Err(e) if e.is_not_found() => {
                self.missing(subject)?;
                return Ok(false);
            }
            Err(e) => return Err(e.into()),
        };
        if stat.size != subject.size {
            let why = format!("it has {} bytes, not {}", stat.size, subject.size);
            self.found(subject, Finding::Damaged { why, ranges: Vec::new() });
            return Ok(false);
        }
        let as_published = subject.row.is_some_and(|row| row.stamp == stat.into());
        Ok(self.level == Level::Full || !as_published)
    }

    /// I8: without a file, the row as it is now tells whether the blob was evicted or lost.
    fn missing(&self, subject: &Subject) -> Result<()> {
        let row = self.store.index().read(|reader| reader.blob(&subject.blob))?;
        if row.is_some_and(|row| row.state == BlobState::Present) {
            let hidden = self.store.index().read(|reader| reader.quarantined())?;
            let is_hidden = hidden.contains(&subject.blob);
            let why = if is_hidden { "it is in quarantine" } else { "it is missing" }.to_owned();
            let ranges = whole(subject.size);
            self.found(subject, Finding::Damaged { why, ranges });
        }
        Ok(())
    }

    fn found(&self, subject: &Subject, finding: Finding) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.insert(subject.blob, finding);
    }

    fn open<'s>(&'s self, subject: &'s Subject) -> Result<Opened<'s, StoreError>> {
        let blobs = &self.store.layout().blobs;
        let file = blobs.open_file(subject.blob.to_string(), Open::Read)?;
        let stamp = file.stat()?.into();
        let done = Box::new(move |digests| self.done(subject, stamp, digests));
        Ok(Opened::to_hash(Arc::new(file), done))
    }

    fn done(&self, subject: &Subject, stamp: Stamp, digests: Digests) -> Result<()> {
        let Digests { blob, groups, .. } = digests;
        let finding = if blob == subject.blob {
            Finding::Whole { stamp, groups }
        } else {
            let known = self.store.index().read(|reader| reader.subtrees(&subject.blob))?;
            let ranges = wrong_ranges(subject.size, known.as_deref(), &groups);
            Finding::Damaged { why: format!("its bytes hash to {blob}"), ranges }
        };
        self.found(subject, finding);
        self.progress.add_file();
        Ok(())
    }
}

/// The MiBs whose chaining values differ, adjacent ones joined. A blob of one MiB or less is wrong
/// as a whole; one whose chaining values were never kept, nobody knows where.
fn wrong_ranges(size: u64, known: Option<&[Cv]>, found: &[Cv]) -> Vec<Range<u64>> {
    if size <= GROUP {
        return whole(size);
    }
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let pairs = known.unwrap_or_default().iter().zip(found);
    for (index, _) in (0_u64..).zip(pairs).filter(|(_, (known, found))| known != found) {
        let start = index * GROUP;
        let end = (start + GROUP).min(size);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

/// One range of `size` bytes.
fn whole(size: u64) -> Vec<Range<u64>> {
    std::iter::once(0..size).collect()
}

/// Keeps what reading the bytes taught, when the store was opened for writing.
fn learn(store: &Store, findings: &HashMap<BlobHash, Finding>) -> Result<()> {
    if !store.index().is_writable() {
        return Ok(());
    }
    let mut news = Vec::new();
    let whole = |finding: &Finding| matches!(finding, Finding::Whole { .. });
    let read: Vec<_> =
        findings.iter().filter(|(_, finding)| whole(finding)).map(|(blob, _)| *blob).collect();
    for (blob, finding) in findings {
        let (row, known) =
            store.index().read(|reader| Ok((reader.blob(blob)?, reader.subtrees(blob)?)))?;
        let Some(row) = row else { continue };
        let (stamp, groups) = match finding {
            Finding::Whole { stamp, groups } => (*stamp, groups.as_slice()),
            Finding::Damaged { .. } => (Stamp::of_damaged(row.stamp.size), &[][..]),
        };
        let new_groups = known.is_none() && !groups.is_empty();
        if row.stamp != stamp || new_groups {
            news.push((blob, stamp, new_groups.then_some(groups)));
        }
    }
    if news.is_empty() && read.is_empty() {
        return Ok(());
    }
    let index = store.index();
    let writer = index.begin_write()?;
    let write = || {
        for (blob, stamp, groups) in news {
            if writer.blob(blob)?.is_some() {
                writer.set_stamp(blob, stamp)?;
                if let Some(groups) = groups {
                    writer.set_subtrees(blob, groups)?;
                }
            }
        }
        writer.set_verified(&read, now())
    };
    write().map_err(|e| index.error(e))?;
    writer.commit().map_err(|e| index.error(e))
}

fn failed(failure: Failure<StoreError>) -> StoreError {
    match failure.cause {
        Cause::Caller(e) => e,
        Cause::Cancelled => StoreError::Cancelled,
        Cause::Stream(StreamError::Read(e) | StreamError::Write(e)) => {
            FsError::new("read", "blobs", e).into()
        }
        cause => FsError::new("hash", "blobs", std::io::Error::other(cause.to_string())).into(),
    }
}
