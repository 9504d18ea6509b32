//! One file on its way into staging: by reflink, by hardlink or by copy, and what becomes of it when all
//! its bytes were hashed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use rustix::io::Errno;

use super::super::assemble::Assembly;
use super::super::sharer::Staged;
use super::super::walk::Source;
use super::{Again, Ingest, Result, Take};
use crate::digest::Upstream;
use crate::digest::pool::{Digests, Opened};
use crate::digest::segments::Cutting;
use crate::digest::stream::Sink;
use crate::digest::tree::GROUP;
use crate::error::{FsError, SourceError, StoreError};
use crate::fs::{File, Open, Stat};
use crate::model::ManifestFile;

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

impl Ingest<'_> {
    pub(super) fn open_source(&self, source: &Source) -> Result<File> {
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
    pub(super) fn take(
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
