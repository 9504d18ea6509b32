//! The tensors of a revision's files.

use crate::digest::BlobHash;
use crate::digest::segments::tensors_of;
use crate::error::{FsError, StoreError};
use crate::fs::Open;
use crate::model::{FilePath, ManifestFile};
use crate::store::{Resolved, Store};
use crate::tensors::{Format, HeaderError, Tensor};

/// A file that has tensors, or should have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileTensors {
    /// The file's path in the model.
    pub path: FilePath,
    /// What holds its bytes.
    pub blob: BlobHash,
    /// The file's format.
    pub format: Format,
    /// In the order of their bytes.
    pub tensors: Vec<Tensor>,
    /// Why there are none: the header is not understood, or there is doubt about it.
    pub doubt: Option<HeaderError>,
}

/// The tensors of each file of a revision that begins as safetensors or GGUF does, or is called so.
/// Nothing but the headers is read, and they are not verified.
///
/// # Errors
/// [`StoreError::NotFound`] when the revision is gone, and what the file system says.
pub fn tensors(store: &Store, revision: &Resolved) -> Result<Vec<FileTensors>, StoreError> {
    of_files(store, store.manifest(revision)?.files().iter())
}

pub(super) fn of_files<'f>(
    store: &Store,
    wanted: impl Iterator<Item = &'f ManifestFile>,
) -> Result<Vec<FileTensors>, StoreError> {
    let mut files = Vec::new();
    for file in wanted {
        let blob = match store.layout().blobs.open_file(file.blob.hex(), Open::Read) {
            Ok(blob) => blob,
            Err(e) if e.is_not_found() => continue, // in quarantine
            Err(e) => return Err(e.into()),
        };
        let found = tensors_of(&blob, file.size);
        let found = found.map_err(|e| FsError::new("read", blob.path(), e))?;
        let named = || Format::of(file.path.as_str()).map(|format| (format, Err(no_header())));
        let Some((format, found)) = found.or_else(named) else { continue };
        let (tensors, doubt) = match found {
            Ok(tensors) => (tensors, None),
            Err(doubt) => (Vec::new(), Some(doubt)),
        };
        let path = file.path.clone();
        files.push(FileTensors { path, blob: file.blob, format, tensors, doubt });
    }
    Ok(files)
}

fn no_header() -> HeaderError {
    HeaderError::Invalid { why: "it does not begin as its name says".to_owned() }
}
