//! The tensors of a revision's files.

use crate::digest::BlobHash;
use crate::digest::segments::tensors_of;
use crate::error::{FsError, StoreError};
use crate::fs::Open;
use crate::model::{FilePath, ManifestFile};
use crate::store::{Resolved, Store};
use crate::tensors::{Format, Tensor};

/// A file that has tensors.
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
}

/// The tensors of each file of a revision that has a header of tensors, and one without any doubt.
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
        if let Some((format, tensors)) = found.map_err(|e| FsError::new("read", blob.path(), e))? {
            files.push(FileTensors { path: file.path.clone(), blob: file.blob, format, tensors });
        }
    }
    Ok(files)
}
