//! The index's tables and what their rows mean. ARCHITECTURE.md gives the same, for readers.

use redb::{MultimapTableDefinition, TableDefinition};

use super::{IndexError, Result};
use crate::digest::BlobHash;
use crate::fs::Stat;
use crate::model::{Manifest, ModelId, Revision};

/// A revision's number in this index. Never shown: a rebuild gives new ones.
pub(crate) type RevisionId = u64;

/// model, revision, manifest, files, bytes, added (s since the epoch), pinned
pub(super) type RevisionValue = (&'static str, &'static str, [u8; 32], u64, u64, i64, bool);
/// size, state, mtime (ns), inode, mode
pub(super) type BlobValue = (u64, u8, i64, u64, u32);

/// A digest. By reference: redb copies an array by way of the heap, and a listing reads every key.
pub(super) type Key = &'static [u8; 32];

pub(super) const REVISIONS: TableDefinition<RevisionId, RevisionValue> =
    TableDefinition::new("revisions");
/// (model, revision) → revision
pub(super) const BY_MODEL: TableDefinition<(&str, &str), RevisionId> =
    TableDefinition::new("by_model");
/// (model, ref) → revision
pub(super) const REFS: TableDefinition<(&str, &str), RevisionId> = TableDefinition::new("refs");
pub(super) const BLOBS: TableDefinition<Key, BlobValue> = TableDefinition::new("blobs");
/// Bytes of the disk that a blob takes, taken with its stamp: measuring the store needs no stat.
pub(super) const ALLOTTED: TableDefinition<Key, u64> = TableDefinition::new("allotted");
/// When all bytes of a blob were last read and found whole, in seconds since the epoch.
pub(super) const VERIFIED: TableDefinition<Key, i64> = TableDefinition::new("verified");
/// Blobs whose file is in quarantine, not in `blobs/`.
pub(super) const QUARANTINED: TableDefinition<Key, ()> = TableDefinition::new("quarantined");
/// I4: blob → the revisions that need it. The reference count is the number of edges.
/// With the blob's size beside the revision, so that a listing need not look at the blobs.
pub(super) const EDGES: MultimapTableDefinition<Key, (RevisionId, u64)> =
    MultimapTableDefinition::new("edges");
/// Revision → the bytes of all blobs that it has edges to; those in the trash, too. Derived.
pub(super) const OWN: TableDefinition<RevisionId, u64> = TableDefinition::new("own");
/// Blobs that have more than one edge → their size, and the revisions, as u64. Derived.
pub(super) const COMMON: TableDefinition<Key, &[u8]> = TableDefinition::new("common");
/// The chaining values of a blob's 1 MiB subtrees, 32 bytes each, for blobs over 1 MiB.
pub(super) const SUBTREES: TableDefinition<Key, &[u8]> = TableDefinition::new("subtrees");
/// What a segment hashes to → blobs that have it: where, and how long it is.
pub(super) const SEGMENTS: MultimapTableDefinition<&[u8; 16], (Key, u64, u32)> =
    MultimapTableDefinition::new("segments");
/// A blob's segments, of 28 bytes each: offset, length, hash. Those of a file too small to be cut are
/// none, and have no row.
pub(super) const SEGMENTED: TableDefinition<Key, &[u8]> = TableDefinition::new("segmented");
/// Blobs that took part in sharing below the file, and whether their extents end where their
/// segments do.
pub(super) const SHARING: TableDefinition<Key, bool> = TableDefinition::new("sharing");
/// Revision → the manifests it had before a pull added files to it. Leases are locks on them, and
/// views are registered by them.
pub(super) const FORMER: MultimapTableDefinition<RevisionId, Key> =
    MultimapTableDefinition::new("former");
/// git blob SHA-1 → blob
pub(super) const GIT_SHA1: TableDefinition<&[u8; 20], Key> = TableDefinition::new("git_sha1");
/// SHA-256 → blob
pub(super) const SHA256: TableDefinition<Key, Key> = TableDefinition::new("sha256");

/// Whether a blob can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlobState {
    /// I2: a durable file is there.
    Present,
    /// Without edges, and on its way out; a revision that needs it makes it Present again.
    Dying,
}

/// What a stat says of a blob that nobody touched. `link` changes ctime, so that is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub size: u64,
    pub mtime_ns: i64,
    pub ino: u64,
    pub mode: u32,
}

impl Stamp {
    /// A stamp that no file has: of a blob found damaged. It is read again whenever it is looked
    /// at, and replaced when its bytes are added again.
    pub fn of_damaged(size: u64) -> Self {
        Self { size, mtime_ns: 0, ino: 0, mode: 0 }
    }

    pub fn is_of_damaged(self) -> bool {
        self == Self::of_damaged(self.size)
    }
}

impl From<Stat> for Stamp {
    fn from(stat: Stat) -> Self {
        Self { size: stat.size, mtime_ns: stat.mtime_ns, ino: stat.ino, mode: stat.mode }
    }
}

/// A blob the index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    pub state: BlobState,
    pub stamp: Stamp,
}

impl BlobRow {
    pub(super) fn value(self) -> <BlobValue as redb::Value>::SelfType<'static> {
        let state = match self.state {
            BlobState::Present => 0,
            BlobState::Dying => 1,
        };
        let Stamp { size, mtime_ns, ino, mode } = self.stamp;
        (size, state, mtime_ns, ino, mode)
    }

    pub(super) fn from_value((size, state, mtime_ns, ino, mode): (u64, u8, i64, u64, u32)) -> Self {
        // An unknown state is not served: Dying is what can only come back through an import.
        let state = if state == 0 { BlobState::Present } else { BlobState::Dying };
        Self { state, stamp: Stamp { size, mtime_ns, ino, mode } }
    }
}

/// A revision the index knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevisionRow {
    pub model: ModelId,
    pub revision: Revision,
    pub manifest: BlobHash,
    pub files: u64,
    pub size: u64,
    /// Seconds since the epoch.
    pub added: i64,
    pub pinned: bool,
}

impl RevisionRow {
    /// The row of a manifest that is named `name`; `added` is in seconds since the epoch.
    pub fn new(manifest: &Manifest, name: BlobHash, added: i64) -> Self {
        Self {
            model: manifest.model.clone(),
            revision: manifest.revision(name),
            manifest: name,
            files: manifest.files().len() as u64,
            size: manifest.size(),
            added,
            pinned: false,
        }
    }

    pub(super) fn value(&self) -> <RevisionValue as redb::Value>::SelfType<'_> {
        let Self { model, revision, manifest, files, size, added, pinned } = self;
        let manifest = *manifest.as_bytes();
        (model.as_str(), revision.as_str(), manifest, *files, *size, *added, *pinned)
    }

    pub(super) fn from_value(
        (model, revision, manifest, files, size, added, pinned): (
            &str,
            &str,
            [u8; 32],
            u64,
            u64,
            i64,
            bool,
        ),
    ) -> Result<Self> {
        Ok(Self {
            model: model.parse().map_err(corrupted)?,
            revision: revision.parse().map_err(corrupted)?,
            manifest: BlobHash::from_bytes(manifest),
            files,
            size,
            added,
            pinned,
        })
    }
}

/// A row whose text no version of this program writes.
pub(super) fn corrupted(error: impl std::fmt::Display) -> IndexError {
    IndexError(redb::Error::Corrupted(error.to_string()))
}
