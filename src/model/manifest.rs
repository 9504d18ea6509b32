//! The manifest: the files of one revision as canonical JSON.

use serde::{Deserialize, Serialize};

use super::{FilePath, ModelId, Revision};
use crate::digest::{BlobHash, GitSha1, Sha256};

/// The manifest format this version writes.
const VERSION: u32 = 1;

/// One file of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Where it stands in the model.
    pub path: FilePath,
    /// Its length in bytes.
    pub size: u64,
    /// The name of its bytes.
    pub blob: BlobHash,
    /// The same bytes as the hub (for LFS files), Ollama or an OCI registry names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The same bytes as git names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSha1>,
}

/// The files of one revision, in the order of their paths' bytes.
///
/// Its canonical form, [`to_bytes`](Self::to_bytes), is JSON without white space, with the keys in
/// the order of these fields, absent options left out, and is named by its own BLAKE3 hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// The model these files belong to.
    pub model: ModelId,
    /// The hub's commit; `None` for local content, whose revision is the manifest's own hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Revision>,
    files: Vec<ManifestFile>,
}

/// Bytes that are not a manifest in its canonical form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not the JSON it should be.
    #[error("not a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// A format this version does not know.
    #[error("manifest version {0} is newer than this program")]
    Version(u32),
    /// JSON, but not as it is written: out of order, a path twice, white space.
    #[error("not in canonical form")]
    NotCanonical,
    /// A path is a file and a directory at once, or there twice.
    #[error("{0} is in it twice, or as a file and a directory")]
    Collision(FilePath),
}

impl Manifest {
    /// A manifest of `files`, sorted here.
    ///
    /// # Errors
    /// [`ManifestError::Collision`] when a path is there twice, or both a file and a directory.
    pub fn new(
        model: ModelId,
        commit: Option<Revision>,
        mut files: Vec<ManifestFile>,
    ) -> Result<Self, ManifestError> {
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        check_paths(&files)?;
        Ok(Self { version: VERSION, model, commit, files })
    }

    /// Reads the canonical form.
    ///
    /// # Errors
    /// When the bytes are anything but what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        if manifest.version != VERSION {
            return Err(ManifestError::Version(manifest.version));
        }
        if !manifest.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err(ManifestError::NotCanonical);
        }
        check_paths(&manifest.files)?;
        Ok(manifest)
    }

    /// The canonical form.
    ///
    /// # Errors
    /// None that these types can cause; serialization is fallible in general.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The files, in the order of their paths' bytes.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// The sum of the files' sizes, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Each blob once, with its size, in the order of the hashes.
    #[must_use]
    pub fn blobs(&self) -> Vec<(BlobHash, u64)> {
        let mut blobs: Vec<_> = self.files.iter().map(|file| (file.blob, file.size)).collect();
        blobs.sort_unstable();
        blobs.dedup_by_key(|(blob, _)| *blob);
        blobs
    }

    /// The file at `path`.
    #[must_use]
    pub fn file(&self, path: &FilePath) -> Option<&ManifestFile> {
        let at = self.files.binary_search_by(|file| file.path.cmp(path)).ok()?;
        self.files.get(at)
    }

    /// Whether every file of `other` is in it.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        other.files.iter().all(|file| self.file(&file.path) == Some(file))
    }

    /// The revision this manifest is, when `hash` is its name.
    #[must_use]
    pub fn revision(&self, hash: BlobHash) -> Revision {
        self.commit.clone().unwrap_or_else(|| Revision(hash.to_string()))
    }
}

/// No path twice, and none that is also the directory of another.
fn check_paths(files: &[ManifestFile]) -> Result<(), ManifestError> {
    // In the order of bytes "a", "a-b", "a/c" a directory's files need not follow a file of its
    // name at once, so each path's parents are looked up.
    let find = |path: &str| files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok();
    let mut checked = "";
    for (index, file) in files.iter().enumerate() {
        if files.get(index + 1).is_some_and(|next| next.path == file.path) {
            return Err(ManifestError::Collision(file.path.clone()));
        }
        let (parent, _) = file.path.split();
        if parent == checked {
            continue;
        }
        checked = parent;
        let mut parent = parent;
        while !parent.is_empty() {
            if find(parent) {
                return Err(ManifestError::Collision(file.path.clone()));
            }
            parent = parent.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> ManifestFile {
        let blob = BlobHash::of(path.as_bytes());
        ManifestFile { path: FilePath::new(path).unwrap(), size: 3, blob, sha256: None, git: None }
    }

    fn manifest(paths: &[&str]) -> Result<Manifest, ManifestError> {
        Manifest::new("a/b".parse().unwrap(), None, paths.iter().copied().map(file).collect())
    }

    #[test]
    fn the_canonical_form_is_fixed_to_the_byte() {
        let manifest = manifest(&["b", "a/c"]).unwrap();
        let text = String::from_utf8(manifest.to_bytes().unwrap()).unwrap();
        let (c, b) = (BlobHash::of(b"a/c"), BlobHash::of(b"b"));
        assert_eq!(
            text,
            format!(
                r#"{{"version":1,"model":"a/b","files":[{{"path":"a/c","size":3,"blob":"{c}"}},{{"path":"b","size":3,"blob":"{b}"}}]}}"#
            )
        );
        assert_eq!(Manifest::from_bytes(text.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn a_path_is_a_file_or_a_directory_once() {
        assert!(manifest(&["a", "a-b", "b/c"]).is_ok());
        for paths in [&["x", "x"][..], &["a", "a-b", "a/b"], &["a/b", "a/b/c/d", "a/c"]] {
            assert!(matches!(manifest(paths), Err(ManifestError::Collision(_))), "{paths:?}");
        }
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let text = String::from_utf8(manifest(&["a", "b"]).unwrap().to_bytes().unwrap()).unwrap();
        let swap = text.replace(r#""path":"b""#, r#""path":"A""#);
        assert!(matches!(Manifest::from_bytes(swap.as_bytes()), Err(ManifestError::NotCanonical)));
        for (from, to) in
            [("\"a\"", "\"../a\""), ("\"version\":1", "\"version\":2"), ("a/b", "a/../b")]
        {
            assert!(Manifest::from_bytes(text.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
