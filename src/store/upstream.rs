//! Finding blobs by the digests that an upstream names them by.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use sha1::Digest;

use super::index::BlobState;
use super::{Resolved, Result, Store};
use crate::digest::pool::{self, Cause, Job, Opened};
use crate::digest::stream::{Buffer, StreamError, stream};
use crate::digest::{BlobHash, GitSha1, Upstream};
use crate::error::StoreError;
use crate::fs::{File, Open};
use crate::model::RefName;
use crate::progress::Progress;

/// A file as an upstream names it: its digest, and its size in bytes.
pub(crate) type Wanted = (Upstream, u64);

/// A blob whose upstream digest is to be computed.
struct Candidate {
    blob: BlobHash,
    size: u64,
    file: File,
}

impl Store {
    /// Which of the `wanted` bytes are here, whole as far as their fingerprint tells.
    ///
    /// A blob that has a wanted size and whose digest of that kind is not known is read and hashed
    /// now, and what is learned is kept. `progress` counts the bytes of those.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`], and what the index and the file system say.
    pub(crate) fn find_upstream(
        &self,
        wanted: &[Wanted],
        progress: &Progress,
    ) -> Result<HashMap<Upstream, BlobHash>> {
        let mut found = self.find_aliases(wanted)?;
        let open: HashSet<_> =
            wanted.iter().filter(|(upstream, _)| !found.contains_key(upstream)).collect();
        let is_sha256 = |upstream: &Upstream| matches!(upstream, Upstream::Sha256(_));
        let sizes = |sha256: bool| -> HashSet<u64> {
            let of_kind = open.iter().filter(|(upstream, _)| is_sha256(upstream) == sha256);
            of_kind.map(|(_, size)| *size).collect()
        };
        let (lfs, git) = self.candidates(&sizes(true), &sizes(false))?;
        let learned = self.learn(lfs, &git, progress)?;
        let open: HashSet<_> = open.iter().map(|(upstream, _)| *upstream).collect();
        found.extend(learned.into_iter().filter(|(upstream, _)| open.contains(upstream)));
        Ok(found)
    }

    /// The digests that an upstream would name these blobs by: those that are known, else the SHA-256
    /// of a blob that is larger than `small` bytes, and git's SHA-1 of another. What is not known is
    /// computed now, and kept. A blob that is not here, or not as it was published, has none.
    ///
    /// # Errors
    /// As [`find_upstream`](Self::find_upstream).
    #[cfg(feature = "serve")]
    pub(crate) fn upstreams_of(
        &self,
        blobs: &[(BlobHash, u64)],
        small: u64,
        progress: &Progress,
    ) -> Result<HashMap<BlobHash, Upstream>> {
        let wanted: HashSet<_> = blobs.iter().map(|(blob, _)| *blob).collect();
        let mut known = self.index.read(|reader| reader.aliases_of(&wanted))?;
        let unknown = blobs.iter().filter(|(blob, _)| !known.contains_key(blob));
        let (mut lfs, mut git) = (Vec::new(), Vec::new());
        for (blob, size) in unknown {
            let row = self.index.read(|reader| reader.blob(blob))?;
            let Some(row) = row.filter(|row| row.state == BlobState::Present) else { continue };
            let file = match self.layout.blobs.open_file(blob.hex(), Open::Read) {
                Ok(file) if row.stamp == file.stat()?.into() => file,
                Err(e) if !e.is_not_found() => return Err(e.into()),
                _ => continue,
            };
            let candidate = Candidate { blob: *blob, size: *size, file };
            if *size > small { lfs.push(candidate) } else { git.push(candidate) }
        }
        let learned = self.learn(lfs, &git, progress)?;
        known.extend(learned.into_iter().map(|(upstream, blob)| (blob, upstream)));
        Ok(known)
    }

    /// Notes that a revision was asked for, by this name if by any: it points to the revision then.
    pub(crate) fn point(&self, revision: &Resolved, name: Option<&RefName>) -> Result<()> {
        if let Some(name) = name {
            let error = |e| self.index.error(e);
            let writer = self.index.begin_write()?;
            let known = writer.revision(revision.id).map_err(error)?;
            if known.is_none_or(|row| row.revision != revision.revision) {
                let spec = format!("{}@{}", revision.model, revision.revision.short());
                return Err(StoreError::NotFound { spec });
            }
            if writer.resolve_ref(&revision.model, name).map_err(error)? != Some(revision.id) {
                writer.set_ref(&revision.model, name, revision.id).map_err(error)?;
                writer.commit().map_err(error)?;
                self.note_refs(&revision.model, &revision.revision, std::slice::from_ref(name));
            }
        }
        self.touch(&revision.manifest);
        Ok(())
    }

    /// By what is known already.
    fn find_aliases(&self, wanted: &[Wanted]) -> Result<HashMap<Upstream, BlobHash>> {
        let known = self.index.read(|reader| {
            let mut known = Vec::new();
            for (upstream, size) in wanted {
                if let Some(blob) = reader.by_alias(upstream)?
                    && let Some(row) = reader.blob(&blob)?
                    && row.state == BlobState::Present
                    && row.stamp.size == *size
                {
                    known.push((*upstream, blob, row.stamp));
                }
            }
            Ok(known)
        })?;
        let mut found = HashMap::new();
        for (upstream, blob, stamp) in known {
            match self.layout.blobs.stat(blob.hex()) {
                Ok(stat) if stamp == stat.into() => {
                    found.insert(upstream, blob);
                }
                // Damaged or gone: fetched again, and replaced.
                Ok(_) => {}
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(found)
    }

    /// Blobs of these sizes whose SHA-256, or git SHA-1, is not known.
    fn candidates(
        &self,
        sha256: &HashSet<u64>,
        git: &HashSet<u64>,
    ) -> Result<(Vec<Candidate>, Vec<Candidate>)> {
        if sha256.is_empty() && git.is_empty() {
            return Ok(Default::default());
        }
        let (lfs, git) = self.index.read(|reader| {
            let (known_sha256, known_git) = reader.aliased()?;
            let (mut lfs, mut small) = (Vec::new(), Vec::new());
            reader.for_each_blob(|blob, row| {
                let size = row.stamp.size;
                if row.state == BlobState::Present
                    && sha256.contains(&size)
                    && !known_sha256.contains(&blob)
                {
                    lfs.push((blob, row.stamp));
                }
                if row.state == BlobState::Present
                    && git.contains(&size)
                    && !known_git.contains(&blob)
                {
                    small.push((blob, row.stamp));
                }
            })?;
            Ok((lfs, small))
        })?;
        let open = |rows: Vec<(BlobHash, super::index::Stamp)>| {
            let mut candidates = Vec::new();
            for (blob, stamp) in rows {
                match self.layout.blobs.open_file(blob.hex(), Open::Read) {
                    Ok(file) if stamp == file.stat()?.into() => {
                        candidates.push(Candidate { blob, size: stamp.size, file });
                    }
                    Ok(_) => {}
                    Err(e) if e.is_not_found() => {}
                    Err(e) => return Err(StoreError::from(e)),
                }
            }
            Ok(candidates)
        };
        Ok((open(lfs)?, open(git)?))
    }

    /// Computes what is not known, and keeps it.
    fn learn(
        &self,
        lfs: Vec<Candidate>,
        git: &[Candidate],
        progress: &Progress,
    ) -> Result<Vec<(Upstream, BlobHash)>> {
        progress.expect(0, lfs.iter().chain(git).map(|candidate| candidate.size).sum());
        let learned = Mutex::new(Vec::new());
        self.learn_sha256(lfs, progress, &learned)?;
        for candidate in git {
            learn_git(candidate, progress, &learned)?;
        }
        let learned = learned.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.remember(&learned)?;
        Ok(learned)
    }

    fn learn_sha256(
        &self,
        candidates: Vec<Candidate>,
        progress: &Progress,
        learned: &Mutex<Vec<(Upstream, BlobHash)>>,
    ) -> Result<()> {
        let mut left = candidates.into_iter();
        let next = || {
            let Some(candidate) = left.next() else { return Ok(None) };
            let expected = candidate.blob;
            let done = Box::new(move |digests: pool::Digests| {
                // Damage that its fingerprint hid: not here.
                if let Some(sha256) = digests.sha256.filter(|_| digests.blob == expected) {
                    push(learned, Upstream::Sha256(sha256), expected);
                }
                Ok(())
            });
            let source = Arc::new(candidate.file);
            let open = move || {
                Ok(Opened {
                    source,
                    sink: None,
                    sha256: true,
                    cutting: None,
                    in_order: false,
                    done,
                })
            };
            Ok(Some(Job { id: 0, len: candidate.size, open: Box::new(open) }))
        };
        pool::run::<StoreError, _>(self.threads, progress.control(), next).map_err(|failure| {
            match failure.cause {
                Cause::Caller(e) => e,
                Cause::Cancelled => StoreError::Cancelled,
                Cause::Stream(e) => unreadable(self.layout.blobs.path(), e),
                cause @ (Cause::TooLong | Cause::Tree(_)) => {
                    let why = std::io::Error::other(cause.to_string());
                    crate::error::FsError::new("hash", self.layout.blobs.path(), why).into()
                }
            }
        })
    }

    fn remember(&self, learned: &[(Upstream, BlobHash)]) -> Result<()> {
        if learned.is_empty() || !self.index.is_writable() {
            return Ok(());
        }
        let writer = self.index.begin_write()?;
        let write = || {
            for (upstream, blob) in learned {
                if writer.blob(blob)?.is_some() {
                    writer.set_alias(upstream, blob)?;
                }
            }
            Ok(())
        };
        write().map_err(|e| self.index.error(e))?;
        writer.commit().map_err(|e| self.index.error(e))
    }
}

/// A git blob's digest and its BLAKE3 hash in one pass.
fn learn_git(
    candidate: &Candidate,
    progress: &Progress,
    learned: &Mutex<Vec<(Upstream, BlobHash)>>,
) -> Result<()> {
    if progress.is_cancelled() {
        return Err(StoreError::Cancelled);
    }
    let mut git = sha1::Sha1::new();
    git.update(format!("blob {}\0", candidate.size).as_bytes());
    let mut own = blake3::Hasher::new();
    let inspect = |bytes: &[u8]| {
        git.update(bytes);
        own.update(bytes);
        progress.add_bytes(bytes.len() as u64);
        Ok::<_, StreamError>(())
    };
    let mut buffer = Buffer::one_of(1);
    stream(&candidate.file, None, 0..candidate.size, &mut buffer, inspect)
        .map_err(|e| unreadable(candidate.file.path(), e))?;
    if own.finalize().as_bytes() == candidate.blob.as_bytes() {
        let git = GitSha1::from_bytes(git.finalize().into());
        push(learned, Upstream::Git(git), candidate.blob);
    }
    Ok(())
}

fn push(learned: &Mutex<Vec<(Upstream, BlobHash)>>, upstream: Upstream, blob: BlobHash) {
    learned.lock().unwrap_or_else(PoisonError::into_inner).push((upstream, blob));
}

fn unreadable(path: &std::path::Path, error: StreamError) -> StoreError {
    let source = match error {
        StreamError::Read(e) | StreamError::Write(e) => e,
        shrunk @ StreamError::Shrunk { .. } => std::io::Error::other(shrunk.to_string()),
    };
    crate::error::FsError::new("read", path, source).into()
}
