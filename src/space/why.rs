//! What keeps a blob.

use std::path::PathBuf;

use crate::digest::{BlobHash, Sha256};
use crate::error::StoreError;
use crate::model::{FilePath, ModelId, Revision};
use crate::store::index::BlobState;
use crate::store::{Resolved, Store};

type Result<T> = std::result::Result<T, StoreError>;

/// A revision that needs a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// The files that have these bytes.
    pub paths: Vec<FilePath>,
    /// The views that present the revision, the store's own among them.
    pub views: Vec<PathBuf>,
    /// Whether a running process holds a lease on the revision.
    pub leased: bool,
}

/// A blob and what keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Why {
    /// The blob.
    pub blob: BlobHash,
    /// Its length in bytes.
    pub size: u64,
    /// Hardlinks of its file, the store's own among them.
    pub links: u64,
    /// The revisions that need it. Nobody: then the next `gc` takes it.
    pub needed_by: Vec<Need>,
    /// Revisions in the trash that would need it again.
    pub in_trash: Vec<(ModelId, Revision)>,
}

/// Explains what keeps the blob that `text` names: its hash, the first digits of it, or
/// `sha256:` and a SHA-256.
///
/// # Errors
/// [`StoreError::NotFound`]; when several blobs begin with the digits, too.
pub fn why(store: &Store, text: &str) -> Result<Why> {
    let blob = find(store, text)?;
    let not_found = || StoreError::NotFound { spec: format!("the blob {text}") };
    let (row, edges, in_trash) = store.index().read(|reader| {
        let row = reader.blob(&blob)?.filter(|row| row.state == BlobState::Present);
        let ids = reader.edges(&blob)?;
        let mut needs = Vec::new();
        for id in &ids {
            needs.extend(reader.revision(*id)?.map(|row| (*id, row)));
        }
        let trashed = reader.trashed()?.into_iter().filter(|(id, _)| ids.contains(id));
        let in_trash: Vec<_> = trashed.map(|(_, one)| (one.row.model, one.row.revision)).collect();
        Ok((row, needs, in_trash))
    })?;
    let row = row.ok_or_else(not_found)?;
    let views = store.live_views()?;
    let mut needed_by = Vec::new();
    for (id, row) in edges {
        let revision =
            Resolved { model: row.model, revision: row.revision, manifest: row.manifest, id };
        let manifest = store.manifest(&revision)?;
        let presented = store.manifests_of(&revision)?;
        let files = manifest.files().iter().filter(|file| file.blob == blob);
        needed_by.push(Need {
            paths: files.map(|file| file.path.clone()).collect(),
            views: views
                .iter()
                .filter(|view| presented.contains(&view.manifest))
                .map(|view| view.path.clone())
                .collect(),
            leased: store.is_leased(&revision)?,
            model: revision.model,
            revision: revision.revision,
        });
    }
    let links = store.layout().blobs.stat(blob.to_string()).map_or(0, |stat| stat.nlink);
    Ok(Why { blob, size: row.stamp.size, links, needed_by, in_trash })
}

fn find(store: &Store, text: &str) -> Result<BlobHash> {
    let not_found = || StoreError::NotFound { spec: format!("the blob {text}") };
    if let Some(digest) = text.strip_prefix("sha256:") {
        let digest: Sha256 = digest.parse().map_err(|_| not_found())?;
        return store.index().read(|reader| reader.by_sha256(&digest))?.ok_or_else(not_found);
    }
    if let Ok(blob) = text.parse() {
        return Ok(blob);
    }
    let mut found = Vec::new();
    store.index().read(|reader| {
        reader.for_each_blob(|blob, _| {
            if text.len() >= 4 && blob.to_string().starts_with(text) {
                found.push(blob);
            }
        })
    })?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(not_found()),
        several => Err(StoreError::NotFound {
            spec: format!("one blob {text} ({} begin so)", several.len()),
        }),
    }
}
