//! `add`: a local directory, or a file, becomes a revision.
//!
//! Each file's bytes come into staging as the taking mode says, and are hashed in the pass that
//! copies them, or, when they are shared rather than copied, in a pass of their own. A file that
//! changes meanwhile is taken again, and refused when it does not hold still.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustix::io::Errno;

use super::assemble::Assembly;
use super::import::{Import, Learned};
use super::reserve::Limits;
use super::sharer::{Sharer, Staged};
use super::walk::{Source, walk};
use super::{Result, Store};
use crate::digest::pool::{self, Cause, Digests, Failure, Job, Opened};
use crate::digest::segments::Cutting;
use crate::digest::stream::{Sink, StreamError};
use crate::digest::tree::GROUP;
use crate::digest::{BlobHash, Upstream};
use crate::error::{FsError, SourceError, StoreError};
use crate::fs::{File, Fs, Kind, Open, Stat};
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

/// How one file was brought into staging.
struct Taken {
    index: usize,
    source: File,
    /// The source before its first byte was read.
    before: Stat,
    /// The bytes in staging are not those that were hashed, but share their blocks: then every
    /// change of the source counts, also one that a program hid by putting its time back.
    apart: bool,
    /// It shares with others as it is written.
    written: Option<Arc<Staged>>,
    /// The staged file and its name; none when the source was only hashed.
    part: Option<(String, File)>,
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
        let (name, _lease) = import.publish(self, &manifest, &results.learned, &refs, now())?;
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

    fn open_source(&self, source: &Source) -> Result<File> {
        let dir = source.folder.open(&*self.store.layout().fs)?;
        dir.open_file(&source.name, Open::Read).map_err(|e| {
            let path = || source.at();
            if e.is(Errno::LOOP) || e.is_not_found() {
                // It was a file when the tree was walked.
                SourceError::Changed { path: path() }.into()
            } else if e.is(Errno::NXIO) {
                SourceError::Special { path: path() }.into()
            } else {
                e.into()
            }
        })
    }

    /// Brings a file into staging, or decides that hashing comes first.
    fn take(
        &self,
        index: usize,
        source: File,
        before: Stat,
        again: Option<Again>,
    ) -> Result<Opened<'_, StoreError>> {
        let part = format!("{index}.part");
        let cutting = Cutting::of(&source, before.size)
            .map_err(|e| FsError::new("read", source.path(), e))?
            .map(Arc::new);
        let mut written = None;
        let staged = match self.options.take {
            Take::Hardlink | Take::Move => self.link_source(index, &part, &before)?,
            Take::Auto | Take::Copy | Take::Reflink => self.reflink_source(&source, &part)?,
        };
        let (file, mut sink) = match staged {
            Some(file) => (Some(file), None),
            // What may be here already is hashed before it is copied: adding a model twice needs
            // no room.
            None if again != Some(Again::Unknown) && self.known_sizes.contains(&before.size) => {
                (None, None)
            }
            None => {
                let file = self.import.dir().open_file(&part, Open::New)?;
                let sink: Arc<dyn Sink + '_> = match cutting.as_deref() {
                    // Not reserved: what is known of it needs no room.
                    Some(Cutting::Tensors(regions)) if self.sharer.is_able() => {
                        let begun = self.sharer.begin(&part);
                        written = Some(begun.clone());
                        let (file, regions) = ((file.clone(), false), regions.clone());
                        Arc::new(Assembly::new(&self.sharer, begun, file, regions, before.size))
                    }
                    _ => {
                        if before.size > GROUP {
                            file.reserve(before.size)?;
                        }
                        Arc::new(file.clone())
                    }
                };
                (Some(file), Some(sink))
            }
        };
        // A reflink is hashed by way of its source, whose pages are in memory. Its times would
        // not tell of a write in the tick of the clock they were read in; then the reflink itself
        // is read.
        let shared = file.is_some() && sink.is_none();
        let hashed = match &file {
            Some(part) if shared && is_recent(&before) => part.clone(),
            _ => source.clone(),
        };
        let linked = matches!(self.options.take, Take::Hardlink | Take::Move);
        let apart = shared && !linked && !is_recent(&before);
        if let (Some(file), Some(Cutting::Tensors(regions))) = (&file, cutting.as_deref())
            && shared
            && !linked
            && self.sharer.expects(&source, regions)
        {
            let begun = self.sharer.begin(&part);
            written = Some(begun.clone());
            let (file, regions) = ((file.clone(), true), regions.clone());
            let assembly = Assembly::new(&self.sharer, begun, file, regions, before.size);
            sink = Some(Arc::new(assembly));
        }
        let part = file.map(|file| (part, file));
        let in_order = written.is_some();
        let taken = Taken { index, source, before, apart, written, part };
        Ok(Opened {
            source: Arc::new(hashed),
            sink,
            sha256: self.options.sha256,
            cutting,
            in_order,
            done: Box::new(move |digests| self.done(taken, digests)),
        })
    }

    /// A second name for the source's inode, in staging.
    fn link_source(&self, index: usize, part: &str, before: &Stat) -> Result<Option<File>> {
        let Some(source) = self.sources.get(index) else { return Ok(None) };
        let dir = source.folder.open(&*self.store.layout().fs)?;
        match dir.link(&source.name, self.import.dir(), part) {
            Ok(()) => {}
            Err(e) if e.is_unsupported() && self.options.take == Take::Move => return Ok(None),
            Err(source) if source.is_unsupported() || source.is(Errno::MLINK) => {
                let path = source.path().into();
                return Err(StoreError::CannotTake { path, how: "hardlink", source });
            }
            // Replaced or removed since it was opened.
            Err(e) if e.is_not_found() => {
                let path = source.at();
                return Err(SourceError::Changed { path }.into());
            }
            Err(e) => return Err(e.into()),
        }
        let file = self.import.dir().open_file(part, Open::Read)?;
        if file.stat()?.ino != before.ino {
            let path = source.at();
            return Err(SourceError::Changed { path }.into());
        }
        Ok(Some(file))
    }

    /// A file in staging that shares the source's blocks; `None` where that cannot be.
    fn reflink_source(&self, source: &File, part: &str) -> Result<Option<File>> {
        if self.no_reflink.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let file = self.import.dir().open_file(part, Open::New)?;
        match file.reflink_from(source) {
            Ok(()) => return Ok(Some(file)),
            Err(e) if !e.is_unsupported() => return Err(e.into()),
            Err(e) => {
                self.import.discard(part)?;
                if self.options.take == Take::Reflink {
                    let path = source.path().into();
                    return Err(StoreError::CannotTake { path, how: "reflink", source: e });
                }
            }
        }
        self.no_reflink.store(true, Ordering::Relaxed);
        Ok(None)
    }

    /// S1 for a file whose bytes were all read.
    fn done(&self, taken: Taken, digests: Digests) -> Result<()> {
        let Digests { blob, groups, sha256, segments } = digests;
        let Some(source) = self.sources.get(taken.index) else { return Ok(()) };
        let discard = || match &taken.part {
            Some((name, _)) => self.import.discard(name),
            None => Ok(()),
        };
        let after = taken.source.stat()?;
        let as_before = |stat: &Stat| (stat.size, stat.mtime_ns, stat.ino);
        let hidden = taken.apart && after.ctime_ns != taken.before.ctime_ns;
        if hidden || as_before(&after) != as_before(&taken.before) {
            discard()?;
            self.results().again.push((taken.index, Again::Changed));
            return Ok(());
        }
        let size = taken.before.size;
        if self.import.pin(self.store, &blob, size)? {
            discard()?;
            self.known_files.fetch_add(1, Ordering::Relaxed);
        } else if let Some((part, file)) = &taken.part {
            self.import.seal(part, file, &blob)?;
            self.sharer.add(&blob, (file, size), segments, taken.written.as_ref());
            if self.results().fresh.insert(blob) {
                self.new_bytes.fetch_add(size, Ordering::Relaxed);
            } else {
                self.known_files.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            self.results().again.push((taken.index, Again::Unknown));
            return Ok(());
        }
        self.progress.add_file();
        let mut results = self.results();
        if size > GROUP {
            results.learned.subtrees.insert(blob, groups);
        }
        if let Some(digest) = sha256 {
            results.learned.aliases.insert(Upstream::Sha256(digest), blob);
        }
        let file = ManifestFile { path: source.path.clone(), size, blob, sha256, git: None };
        results.files.insert(taken.index, file);
        Ok(())
    }
}

/// Whether a file was changed so short a time ago that its times may not tell of the next change.
fn is_recent(stat: &Stat) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let age = (now.as_nanos() as i128) - i128::from(stat.mtime_ns.max(stat.ctime_ns));
    age < 2_000_000_000
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
