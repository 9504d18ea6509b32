//! `add`: a local directory, or a file, becomes a revision.
//!
//! Each file's bytes come into staging as the taking mode says, and are hashed in the pass that
//! copies them, or, when they are shared rather than copied, in a pass of their own. A file that
//! changes meanwhile is taken again, and refused when it does not hold still.

mod take;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::import::{Import, Learned};
use super::reserve::Limits;
use super::sharer::Sharer;
use super::walk::{Source, walk};
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::digest::pool::{self, Cause, Failure, Job};
use crate::digest::stream::StreamError;
use crate::error::{FsError, SourceError, StoreError};
use crate::fs::{Fs, Kind};
use crate::model::{Manifest, ManifestFile, ModelId, RefName, Revision};
use crate::progress::Progress;

/// How often a file that changes while it is read is taken again.
const TRIES: u32 = 3;

/// How the bytes of a local file come into the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Take {
    /// Reflink where the file system can, else copy. A later edit of the source never reaches the
    /// store.
    #[default]
    Auto,
    /// Copy.
    Copy,
    /// Share the source's blocks, or fail.
    Reflink,
    /// The source file becomes the blob: it is made read-only, and a program that changes it
    /// anyway changes the store's bytes.
    Hardlink,
    /// As `Hardlink`, or a copy from another file system; the source is removed when the revision
    /// is safe.
    Move,
}

/// What to add as what.
#[derive(Clone, Debug)]
pub struct AddOptions {
    /// The model the files become.
    pub model: ModelId,
    /// The ref that is set to the new revision.
    pub reference: RefName,
    /// How the bytes come in.
    pub take: Take,
    /// Whether symbolic links that leave the directory are followed.
    pub follow_links: bool,
    /// Whether SHA-256 digests are computed too, so that a later pull from the hub finds the
    /// bytes here. One core hashes about a third as fast with it.
    pub sha256: bool,
}

/// A revision that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Added {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// How many files it has.
    pub files: u64,
    /// The sum of their sizes, in bytes.
    pub bytes: u64,
    /// Bytes that were not in the store before.
    pub new_bytes: u64,
    /// Files whose bytes were in the store before, or are in this revision twice.
    pub known_files: u64,
    /// Bytes of new files that share their place on the disk with other blobs, where the file
    /// system can do that.
    pub shared_bytes: u64,
}

/// One run of `add`.
struct Ingest<'a> {
    store: &'a Store,
    import: &'a Import,
    options: &'a AddOptions,
    sources: &'a [Source],
    progress: &'a Progress,
    /// Sizes of the blobs the store has: a file of another size is certainly new.
    known_sizes: HashSet<u64>,
    sharer: Sharer<'a>,
    /// A reflink failed here: copy from now on.
    no_reflink: AtomicBool,
    new_bytes: AtomicU64,
    known_files: AtomicU64,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    files: HashMap<usize, ManifestFile>,
    fresh: HashSet<BlobHash>,
    learned: Learned,
    /// To be taken again, and why.
    again: Vec<(usize, Again)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// The file changed while it was read.
    Changed,
    /// Its size was known, so it was hashed first; its bytes are not, so now they are copied.
    Unknown,
}

impl Store {
    /// Adds the files below `path`, or the file `path`, as a revision of a model.
    ///
    /// When it returns, the revision is durable. When it fails or the process dies before, the
    /// store is as it was.
    ///
    /// # Errors
    /// [`StoreError::Source`] for what cannot be a model, [`StoreError::NoSpace`],
    /// [`StoreError::CannotTake`], [`StoreError::Cancelled`], and what the file system and the
    /// index say.
    pub fn add(&self, path: &Path, options: &AddOptions, progress: &Progress) -> Result<Added> {
        self.check_writable()?;
        let sources = walk(&*self.layout.fs, &self.layout.path, path, options.follow_links)?;
        progress.expect(sources.len() as u64, sources.iter().map(|s| s.size).sum());
        let mut known_sizes = HashSet::new();
        self.index.read(|reader| {
            reader.for_each_blob(|_, row| {
                known_sizes.insert(row.stamp.size);
            })
        })?;
        let import = Import::begin(&self.layout)?;
        let ingest = Ingest {
            store: self,
            import: &import,
            options,
            sources: &sources,
            progress,
            known_sizes,
            sharer: Sharer::new(self, import.dir(), false)?,
            no_reflink: AtomicBool::new(options.take == Take::Copy),
            new_bytes: AtomicU64::new(0),
            known_files: AtomicU64::new(0),
            results: Mutex::default(),
        };
        ingest.run()?;
        let (new_bytes, known_files) =
            (ingest.new_bytes.into_inner(), ingest.known_files.into_inner());
        let mut results = ingest.results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let shared = ingest.sharer.into_shared();
        results.learned.segments = shared.segments;
        results.learned.sharing = shared.sharing;
        let stamps: Vec<_> = results.files.values().cloned().collect();
        let manifest = Manifest::new(options.model.clone(), None, stamps)
            .map_err(|source| SourceError::Manifest { path: path.into(), source })?;
        if progress.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let refs = [options.reference.clone()];
        let (name, _lease) =
            import.publish(self, (&manifest, None), &results.learned, &refs, now())?;
        if options.take == Take::Move {
            remove_sources(&*self.layout.fs, &sources)?;
        }
        Ok(Added {
            model: options.model.clone(),
            revision: manifest.revision(name),
            files: manifest.files().len() as u64,
            bytes: manifest.size(),
            new_bytes,
            known_files,
            shared_bytes: shared.bytes,
        })
    }
}

impl Ingest<'_> {
    fn run(&self) -> Result<()> {
        let mut turn: Vec<_> = (0..self.sources.len()).map(|index| (index, None)).collect();
        let mut tries = 0;
        while !turn.is_empty() {
            self.reserve(&turn)?;
            self.run_pool(&turn)?;
            let again = std::mem::take(&mut self.results().again);
            let changed = again.iter().find(|(_, why)| *why == Again::Changed);
            if let Some(source) = changed.and_then(|(index, _)| self.sources.get(*index)) {
                tries += 1;
                if tries >= TRIES {
                    let path = source.at();
                    return Err(SourceError::Changed { path }.into());
                }
            }
            turn = again.into_iter().map(|(index, why)| (index, Some(why))).collect();
        }
        Ok(())
    }

    /// Reserves room for the new bytes. A file of a size that some blob has may be here: it is
    /// hashed first, and counts when it is found to be new.
    fn reserve(&self, turn: &[(usize, Option<Again>)]) -> Result<()> {
        if self.options.take != Take::Copy && self.store.limits() == Limits::default() {
            return Ok(()); // no bytes of its own, or not known before trying
        }
        let is_new = |(index, again): &(usize, Option<Again>)| {
            let size = self.sources.get(*index)?.size;
            (*again == Some(Again::Unknown) || !self.known_sizes.contains(&size)).then_some(size)
        };
        self.import.reserve(self.store, turn.iter().filter_map(is_new))
    }

    fn results(&self) -> std::sync::MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_pool(&self, turn: &[(usize, Option<Again>)]) -> Result<()> {
        let mut left = turn.iter();
        let next = || {
            let Some((index, again)) = left.next().copied() else { return Ok(None) };
            let Some(source) = self.sources.get(index) else { return Ok(None) };
            let opened = self.open_source(source)?;
            let before = opened.stat()?;
            if before.kind != Kind::File {
                let path = opened.path().into();
                return Err(StoreError::Source(SourceError::Special { path }));
            }
            Ok(Some(Job {
                id: index as u64,
                len: before.size,
                open: Box::new(move || self.take(index, opened, before, again)),
            }))
        };
        pool::run(self.store.threads(), self.progress.control(), next)
            .or_else(|failure| self.failed(failure))
    }

    fn failed(&self, failure: Failure<StoreError>) -> Result<()> {
        let source = failure.id.and_then(|id| self.sources.get(usize::try_from(id).ok()?));
        let path = source.map(|s| s.at()).unwrap_or_default();
        match failure.cause {
            Cause::Caller(e) => Err(e),
            Cause::Cancelled => Err(StoreError::Cancelled),
            // It got shorter: a change as any other, but there is nothing to finish.
            Cause::Stream(StreamError::Shrunk { .. }) => Err(SourceError::Changed { path }.into()),
            Cause::Stream(StreamError::Read(e)) => Err(FsError::new("read", path, e).into()),
            Cause::Stream(StreamError::Write(e)) => Err(FsError::new("copy", path, e).into()),
            cause @ (Cause::TooLong | Cause::Tree(_)) => {
                let why = std::io::Error::other(cause.to_string());
                Err(FsError::new("hash", path, why).into())
            }
        }
    }
}

/// Removes what was moved. The revision is safe by now; a source that changed since stays, and so
/// do directories.
fn remove_sources(fs: &dyn Fs, sources: &[Source]) -> Result<()> {
    for source in sources {
        let dir = match source.folder.open(fs) {
            Err(StoreError::Source(_)) => continue,
            other => other?,
        };
        match dir.stat(&source.name) {
            Ok(stat) if (stat.size, stat.mtime_ns) == (source.size, source.mtime_ns) => {
                dir.remove_file(&source.name)?
            }
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}
