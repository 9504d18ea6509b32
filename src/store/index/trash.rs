//! Revisions in the trash: no name finds them, and they keep their edges, and so their blobs, until
//! they are restored or purged.

use redb::{ReadableMultimapTable, ReadableTable, TableDefinition};

use super::Result;
use super::read::{Reader, there};
use super::tables::{BY_MODEL, EDGES, REFS, REVISIONS, RevisionId, RevisionRow, corrupted};
use super::write::Writer;
use crate::digest::BlobHash;
use crate::model::RefName;

/// model, revision, manifest, files, bytes, added, refs (a line each), until (s since the epoch)
type TrashedValue = (&'static str, &'static str, [u8; 32], u64, u64, i64, &'static str, i64);

pub(super) const TRASHED: TableDefinition<RevisionId, TrashedValue> =
    TableDefinition::new("trashed");

/// A revision in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrashedRow {
    pub row: RevisionRow,
    /// The refs that pointed to it.
    pub refs: Vec<RefName>,
    /// When it may go, in seconds since the epoch.
    pub until: i64,
}

impl TrashedRow {
    fn from_value(value: <TrashedValue as redb::Value>::SelfType<'_>) -> Result<Self> {
        let (model, revision, manifest, files, size, added, refs, until) = value;
        let row = (model, revision, manifest, files, size, added, false);
        Ok(Self {
            row: RevisionRow::from_value(row)?,
            refs: refs
                .lines()
                .map(|name| name.parse().map_err(corrupted))
                .collect::<Result<_>>()?,
            until,
        })
    }
}

impl Reader {
    /// Every revision in the trash.
    pub fn trashed(&self) -> Result<Vec<(RevisionId, TrashedRow)>> {
        let Some(table) = there(self.0.open_table(TRASHED))? else { return Ok(Vec::new()) };
        table
            .iter()?
            .map(|entry| {
                let (id, value) = entry?;
                Ok((id.value(), TrashedRow::from_value(value.value())?))
            })
            .collect()
    }
}

impl Writer {
    pub fn trashed(&self, id: RevisionId) -> Result<Option<TrashedRow>> {
        let table = self.0.open_table(TRASHED)?;
        table.get(id)?.map(|value| TrashedRow::from_value(value.value())).transpose()
    }

    /// The manifests of the revisions in the trash.
    pub(super) fn trashed_manifests(&self) -> Result<Vec<BlobHash>> {
        let table = self.0.open_table(TRASHED)?;
        table.iter()?.map(|row| Ok(BlobHash::from_bytes(row?.1.value().2))).collect()
    }

    /// The largest number in the trash: none is given twice.
    pub(super) fn last_trashed(&self) -> Result<RevisionId> {
        Ok(self.0.open_table(TRASHED)?.last()?.map_or(0, |(id, _)| id.value()))
    }

    /// Moves a revision to the trash, and gives back the refs that pointed to it.
    pub fn trash_revision(&self, id: RevisionId, until: i64) -> Result<Vec<RefName>> {
        let Some((row, refs)) = self.take_row(id)? else { return Ok(Vec::new()) };
        let lines = refs.iter().map(RefName::as_str).collect::<Vec<_>>().join("\n");
        let RevisionRow { model, revision, manifest, files, size, added, .. } = &row;
        let manifest = *manifest.as_bytes();
        let (model, revision) = (model.as_str(), revision.as_str());
        let value = (model, revision, manifest, *files, *size, *added, lines.as_str(), until);
        self.0.open_table(TRASHED)?.insert(id, value)?;
        Ok(refs)
    }

    /// Takes a revision out of the trash, with those of its refs that do not point elsewhere by
    /// now. `None` when it is not there.
    pub fn restore_revision(&self, id: RevisionId) -> Result<Option<TrashedRow>> {
        let Some(mut trashed) = self.trashed(id)? else { return Ok(None) };
        self.0.open_table(TRASHED)?.remove(id)?;
        let row = &trashed.row;
        self.0.open_table(REVISIONS)?.insert(id, row.value())?;
        self.0.open_table(BY_MODEL)?.insert((row.model.as_str(), row.revision.as_str()), id)?;
        let mut table = self.0.open_table(REFS)?;
        let mut set = Vec::new();
        for name in trashed.refs {
            let key = (row.model.as_str(), name.as_str());
            if table.get(key)?.is_none() {
                table.insert(key, id)?;
                set.push(name);
            }
        }
        trashed.refs = set;
        Ok(Some(trashed))
    }

    /// Takes a revision that comes anew out of the trash; its refs are set by who brings it. One
    /// that had other files is dropped, since it comes with none of those.
    pub(super) fn revive(&self, new: &RevisionRow) -> Result<Option<RevisionId>> {
        let mut table = self.0.open_table(TRASHED)?;
        let name = (new.model.as_str(), new.revision.as_str());
        let mut found = None;
        for entry in table.iter()? {
            let (id, value) = entry?;
            if (value.value().0, value.value().1) == name {
                found = Some((id.value(), TrashedRow::from_value(value.value())?));
                break;
            }
        }
        let Some((id, trashed)) = found else { return Ok(None) };
        table.remove(id)?;
        if trashed.row.manifest != new.manifest {
            self.drop_edges(id, &self.blobs_of(id)?)?;
            return Ok(None);
        }
        self.0.open_table(REVISIONS)?.insert(id, trashed.row.value())?;
        self.0.open_table(BY_MODEL)?.insert(name, id)?;
        Ok(Some(id))
    }

    /// The blobs that a revision has edges to. All edges are looked at.
    fn blobs_of(&self, id: RevisionId) -> Result<Vec<BlobHash>> {
        let mut blobs = Vec::new();
        for entry in self.0.open_multimap_table(EDGES)?.iter()? {
            let (blob, edges) = entry?;
            for edge in edges {
                if edge?.value().0 == id {
                    blobs.push(BlobHash::from_bytes(*blob.value()));
                }
            }
        }
        Ok(blobs)
    }

    /// Drops a revision in the trash and its edges to `blobs`; those left without edges become
    /// Dying. False when it is not there any more.
    pub fn purge_revision(&self, id: RevisionId, blobs: &[BlobHash]) -> Result<bool> {
        if self.0.open_table(TRASHED)?.remove(id)?.is_none() {
            return Ok(false);
        }
        self.drop_edges(id, blobs)?;
        Ok(true)
    }
}
