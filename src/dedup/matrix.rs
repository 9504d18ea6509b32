//! How much of each member of a family is in each other one.

use std::collections::{HashMap, HashSet};

use super::contents::{Contents, Key};
use crate::digest::segments::LEAST;
use crate::error::StoreError;
use crate::fs::extents::Extent;
use crate::model::ManifestFile;
use crate::progress::Progress;
use crate::store::{Resolved, Store};

type Result<T> = std::result::Result<T, StoreError>;

/// A revision, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// What it is called.
    pub name: String,
    /// Its bytes, each content once.
    pub bytes: u64,
    /// Bytes that no other member has.
    pub exclusive: u64,
}

/// A family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Matrix {
    /// In the caller's order.
    pub members: Vec<Member>,
    /// For each member a row: how many of its bytes each member has, itself too.
    pub equal: Vec<Vec<u64>>,
    /// The sum of all members' bytes.
    pub bytes: u64,
    /// Bytes of all members, with nothing counted twice.
    pub unique: u64,
    /// Bytes of the disk that the members' blobs take together.
    pub physical: u64,
}

/// Compares revisions with each other.
///
/// # Errors
/// As [`diff`](super::diff).
pub fn matrix(store: &Store, of: &[Resolved], progress: &Progress) -> Result<Matrix> {
    let mut members = Vec::new();
    for one in of {
        let contents = Contents::new(store, &store.manifest(one)?, |_| true, progress)?;
        members.push((format!("{}@{}", one.model, one.revision.short()), contents));
    }
    compare(store, &members)
}

/// Compares a revision's files of 64 KiB or more that have tensors, or chunks, with each other.
///
/// # Errors
/// As [`diff`](super::diff).
pub fn matrix_of_files(store: &Store, of: &Resolved, progress: &Progress) -> Result<Matrix> {
    let manifest = store.manifest(of)?;
    let mut members = Vec::new();
    let large = |file: &&ManifestFile| file.size >= LEAST;
    for file in manifest.files().iter().filter(large) {
        let contents = Contents::new(store, &manifest, |one| one.path == file.path, progress)?;
        members.push((file.path.to_string(), contents));
    }
    compare(store, &members)
}

fn compare(store: &Store, members: &[(String, Contents)]) -> Result<Matrix> {
    let mut holders: HashMap<Key, Vec<usize>> = HashMap::new();
    for (index, (_, contents)) in members.iter().enumerate() {
        for key in contents.keys() {
            let holders = holders.entry(key).or_default();
            if holders.last() != Some(&index) {
                holders.push(index);
            }
        }
    }
    let mut matrix = Matrix::default();
    let mut extents: Vec<Extent> = Vec::new();
    let mut seen = HashSet::new();
    for (index, (name, contents)) in members.iter().enumerate() {
        let mut row = vec![0; members.len()];
        let mut exclusive = 0;
        for key in contents.keys() {
            let holders = holders.get(&key).map(Vec::as_slice).unwrap_or_default();
            for holder in holders {
                if let Some(cell) = row.get_mut(*holder) {
                    *cell += key.1;
                }
            }
            if holders == [index] {
                exclusive += key.1;
            }
        }
        let bytes = contents.bytes();
        matrix.members.push(Member { name: name.clone(), bytes, exclusive });
        matrix.equal.push(row);
        matrix.bytes += bytes;
        extents.extend(contents.extents(store, |blob| seen.insert(*blob))?);
    }
    matrix.unique = holders.keys().map(|(_, len)| len).sum();
    matrix.physical = on_disk(extents);
    Ok(matrix)
}

/// Bytes of the disk under extents, each byte once.
fn on_disk(mut extents: Vec<Extent>) -> u64 {
    extents.sort_unstable_by_key(|extent| extent.physical);
    let (mut bytes, mut end) = (0, 0);
    for extent in extents {
        let from = extent.physical.max(end);
        let to = extent.physical + extent.len;
        bytes += to.saturating_sub(from);
        end = to.max(end);
    }
    bytes
}
