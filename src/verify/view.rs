//! Whether a view is what its revision says.

use std::path::{Path, PathBuf};

use super::hash;
use crate::digest::BlobHash;
use crate::error::{StoreError, ViewError};
use crate::fs::Dir;
use crate::model::{ModelId, Revision};
use crate::progress::Progress;
use crate::store::Store;
use crate::verify::Level;
use crate::views::{Look, look};

/// What a look at a view found. A view is as it was made when the four lists are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewFound {
    /// The view's directory.
    pub path: PathBuf,
    /// The model that it presents.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// Files that it should have.
    pub checked_files: u64,
    /// Their bytes.
    pub checked_bytes: u64,
    /// Paths that are not there.
    pub missing: Vec<String>,
    /// Files with other bytes.
    pub changed: Vec<String>,
    /// Paths that do not belong there.
    pub extra: Vec<String>,
    /// Files with a mode that no view gives: links of blobs that can be written, and files that
    /// cannot be read, can be run or change who runs them.
    pub mode: Vec<String>,
}

impl ViewFound {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        [&self.missing, &self.changed, &self.extra, &self.mode].iter().all(|list| list.is_empty())
    }
}

/// Compares the view at `path` with the revision that it presents. [`Level::Quick`] reads the files
/// that are neither their blob's inode nor have its size and time; [`Level::Full`] reads all.
///
/// # Errors
/// [`StoreError::NotFound`] when no view of this store is there, [`StoreError::Cancelled`], and what
/// the store and the file system say.
pub fn verify_view(
    store: &Store,
    path: &Path,
    level: Level,
    progress: &Progress,
) -> Result<ViewFound, ViewError> {
    let no_view =
        || StoreError::NotFound { spec: format!("a view of this store at {}", path.display()) };
    let canonical = store.layout().fs.canonical(path).map_err(|_| no_view())?;
    let presented = store.registered_views()?.into_iter().filter(|view| view.path == canonical);
    let mut best: Option<(Look, ViewFound)> = None;
    for view in presented {
        let Some(manifest) = store.read_manifest(&view.manifest)? else { continue };
        let dir = Dir::open(&*store.layout().fs, &canonical).map_err(StoreError::from)?;
        progress.expect(manifest.files().len() as u64, manifest.size());
        let is_right = |file: &crate::fs::File, expected: &BlobHash, len| {
            Ok(hash(store, file, len, progress)? == *expected)
        };
        let found = look(store, &manifest, &dir, level == Level::Full, &is_right)?;
        // A place may be registered for two revisions while one replaces the other.
        if best.as_ref().is_some_and(|(least, _)| least.count() <= found.count()) {
            continue;
        }
        let told = ViewFound {
            path: canonical.clone(),
            model: manifest.model.clone(),
            revision: manifest.revision(view.manifest),
            checked_files: manifest.files().len() as u64,
            checked_bytes: manifest.size(),
            missing: found.differences.missing.clone(),
            changed: found.differences.changed.clone(),
            extra: found.differences.extra.clone(),
            mode: found.mode.clone(),
        };
        best = Some((found, told));
    }
    best.map(|(_, found)| found).ok_or_else(|| no_view().into())
}
