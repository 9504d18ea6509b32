//! One open file of a model.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use memmap2::Mmap;

use super::touched::Touched;
use super::{Result, Trust, map};
use crate::digest::BlobHash;
use crate::error::{FsError, StoreError};
use crate::fs::{File, Open};
use crate::model::{FilePath, Manifest, ManifestFile};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::index::{BlobRow, BlobState};
use crate::tensors::{Format, HeaderError, Tensor};
use crate::verify;

/// How much of a file is read first for its header; more when that is not enough.
const HEADER: u64 = 64 << 10;

/// An open file of a model. Its bytes are verified as the model's [`Trust`] says.
#[derive(Debug)]
pub struct OpenFile {
    path: FilePath,
    size: u64,
    blob: BlobHash,
    blob_path: PathBuf,
    file: std::fs::File,
    map: OnceLock<Arc<Mmap>>,
    touched: Option<Touched>,
    tensors: OnceLock<Vec<Tensor>>,
}

impl OpenFile {
    /// Where it stands in the model.
    #[must_use]
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The blob that it is.
    #[must_use]
    pub fn blob(&self) -> &BlobHash {
        &self.blob
    }

    /// The blob's file in the store, for a program that must have a path. What is opened there is
    /// not verified by this.
    #[must_use]
    pub fn blob_path(&self) -> &Path {
        &self.blob_path
    }

    /// The file, open for reading. All of it is verified first where [`Trust::Touched`] says so.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn file(&self) -> Result<&std::fs::File> {
        self.bytes(0..self.size)?;
        Ok(&self.file)
    }

    /// These bytes of the file, mapped. With [`Trust::Touched`] the MiBs around them are verified
    /// first, each once.
    ///
    /// # Errors
    /// [`StoreError::BlobDamaged`] when they are not what was published, [`StoreError::NotFound`]
    /// when the file has no such bytes, and what mapping it says.
    pub fn bytes(&self, range: Range<u64>) -> Result<&[u8]> {
        let all: &[u8] = match self.map.get() {
            Some(map) => map,
            None => {
                let mapped = map::map(&self.file, self.size)
                    .map_err(|e| FsError::new("map", &self.blob_path, e))?;
                self.map.get_or_init(|| mapped)
            }
        };
        if let Some(touched) = self.touched.as_ref()
            && range.end <= self.size
        {
            touched.verify(all, &range).map_err(|wrong| {
                let reason =
                    format!("{}: bytes {} to {} differ", self.path, wrong.start, wrong.end);
                StoreError::BlobDamaged { path: self.blob_path.clone(), reason }
            })?;
        }
        let within = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        within.and_then(|(from, to)| all.get(from..to)).ok_or_else(|| StoreError::NotFound {
            spec: format!("bytes {} to {} of {}", range.start, range.end, self.path),
        })
    }

    /// The tensors that its header names, in the order of their bytes. None when it is not
    /// safetensors or GGUF, or has a header that is not understood.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn tensors(&self) -> Result<&[Tensor]> {
        if let Some(tensors) = self.tensors.get() {
            return Ok(tensors);
        }
        let mut tensors = Vec::new();
        if let Some(format) = Format::of(self.path.as_str()) {
            let mut given = HEADER.min(self.size);
            loop {
                match format.parse(self.bytes(0..given)?, self.size) {
                    Ok(found) => tensors = found,
                    Err(HeaderError::Short { needed }) if given < self.size => {
                        given = needed.max(given.saturating_mul(2)).min(self.size);
                        continue;
                    }
                    Err(_) => {}
                }
                break;
            }
        }
        Ok(self.tensors.get_or_init(|| tensors))
    }
}

/// Opens all files of a manifest: a look at each, and a reading of those that are not as published.
pub(super) fn open_all(
    store: &Store,
    manifest: &Manifest,
    trust: Trust,
    progress: &Progress,
) -> Result<Vec<OpenFile>> {
    let blobs: Vec<_> = manifest.files().iter().map(|file| file.blob).collect();
    let (rows, subtrees) = store.index().read(|reader| {
        let mut subtrees = Vec::new();
        for blob in &blobs {
            let known = if trust == Trust::Touched { reader.subtrees(blob)? } else { None };
            subtrees.push(known);
        }
        Ok((reader.blobs_of(&blobs)?, subtrees))
    })?;
    let mut files = Vec::new();
    for ((entry, row), subtrees) in manifest.files().iter().zip(rows).zip(subtrees) {
        let file = open_blob(store, entry, row, progress)?;
        let none = || FsError::new("open", file.path(), std::io::ErrorKind::Unsupported.into());
        let touched =
            (trust == Trust::Touched).then(|| Touched::new(entry.blob, entry.size, subtrees));
        files.push(OpenFile {
            path: entry.path.clone(),
            size: entry.size,
            blob: entry.blob,
            blob_path: store.path().join("blobs").join(entry.blob.to_string()),
            // Only the simulated file system has none.
            file: file.os_file()?.ok_or_else(none)?,
            map: OnceLock::new(),
            touched,
            tensors: OnceLock::new(),
        });
    }
    Ok(files)
}

/// Opens one file of a manifest as [`Trust::Stamp`] says.
#[cfg(feature = "serve")]
pub(crate) fn open_one(store: &Store, entry: &ManifestFile) -> Result<std::fs::File> {
    let row = store.index().read(|reader| reader.blob(&entry.blob))?;
    let file = open_blob(store, entry, row, &Progress::new())?;
    let none = || FsError::new("open", file.path(), std::io::ErrorKind::Unsupported.into());
    Ok(file.os_file()?.ok_or_else(none)?)
}

fn open_blob(
    store: &Store,
    entry: &ManifestFile,
    row: Option<BlobRow>,
    progress: &Progress,
) -> Result<File> {
    let file = match store.layout().blobs.open_file(entry.blob.to_string(), Open::Read) {
        Ok(file) => file,
        Err(e) if e.is_not_found() => {
            // I8: the row as it is now tells whether the blob was evicted or lost.
            let row = store.index().read(|reader| reader.blob(&entry.blob))?;
            return Err(match row {
                Some(row) if row.state == BlobState::Present => {
                    damaged(store, &entry.path, &entry.blob, "it is missing")
                }
                _ => StoreError::NotFound { spec: entry.path.to_string() },
            });
        }
        Err(e) => return Err(e.into()),
    };
    let stat = file.stat()?;
    if stat.size != entry.size {
        let why = format!("it has {} bytes, not {}", stat.size, entry.size);
        return Err(damaged(store, &entry.path, &entry.blob, &why));
    }
    if row.is_none_or(|row| row.stamp != stat.into()) {
        // Somebody touched it, or the store was copied: its bytes decide.
        let found = verify::hash(store, &file, entry.size, progress)?;
        if found != entry.blob {
            let why = format!("its bytes hash to {found}");
            return Err(damaged(store, &entry.path, &entry.blob, &why));
        }
    }
    Ok(file)
}

pub(super) fn damaged(store: &Store, path: &FilePath, blob: &BlobHash, why: &str) -> StoreError {
    StoreError::BlobDamaged {
        path: store.path().join("blobs").join(blob.to_string()),
        reason: format!("{path}: {why}"),
    }
}
