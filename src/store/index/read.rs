//! Questions to one snapshot of the index.

use std::collections::HashSet;

use redb::{ReadTransaction, ReadableMultimapTable, ReadableTable, TableError};

use super::Result;
use super::tables::{
    ALLOTTED, BLOBS, BY_MODEL, BlobRow, EDGES, FORMER, QUARANTINED, REFS, REVISIONS, RevisionId,
    RevisionRow, SHA256, SUBTREES, VERIFIED, corrupted,
};
use crate::digest::tree::Cv;
use crate::digest::{BlobHash, Sha256};
use crate::model::{ModelId, RefName};

/// One snapshot.
pub(crate) struct Reader(pub(super) ReadTransaction);

impl Reader {
    pub(super) fn new(transaction: ReadTransaction) -> Self {
        Self(transaction)
    }

    pub fn revisions(&self) -> Result<Vec<(RevisionId, RevisionRow)>> {
        let table = self.0.open_table(REVISIONS)?;
        table
            .iter()?
            .map(|row| {
                let (id, value) = row?;
                Ok((id.value(), RevisionRow::from_value(value.value())?))
            })
            .collect()
    }

    pub fn revision(&self, id: RevisionId) -> Result<Option<RevisionRow>> {
        let table = self.0.open_table(REVISIONS)?;
        table.get(id)?.map(|value| RevisionRow::from_value(value.value())).transpose()
    }

    pub fn revisions_of(&self, model: &ModelId) -> Result<Vec<(RevisionId, RevisionRow)>> {
        let names = self.0.open_table(BY_MODEL)?;
        let rows = self.0.open_table(REVISIONS)?;
        let mut found = Vec::new();
        for entry in names.range((model.as_str(), "")..)? {
            let (key, id) = entry?;
            if key.value().0 != model.as_str() {
                break;
            }
            let id = id.value();
            let row = rows.get(id)?.ok_or_else(|| corrupted("a revision without its row"))?;
            found.push((id, RevisionRow::from_value(row.value())?));
        }
        Ok(found)
    }

    /// Every ref: the model, the ref, and what it points to.
    pub fn refs(&self) -> Result<Vec<(ModelId, RefName, RevisionId)>> {
        let table = self.0.open_table(REFS)?;
        table
            .iter()?
            .map(|row| {
                let (key, id) = row?;
                let (model, name) = key.value();
                let model = model.parse().map_err(corrupted)?;
                Ok((model, name.parse().map_err(corrupted)?, id.value()))
            })
            .collect()
    }

    pub fn resolve_ref(&self, model: &ModelId, name: &RefName) -> Result<Option<RevisionId>> {
        let table = self.0.open_table(REFS)?;
        Ok(table.get((model.as_str(), name.as_str()))?.map(|id| id.value()))
    }

    pub fn blob(&self, blob: &BlobHash) -> Result<Option<BlobRow>> {
        let table = self.0.open_table(BLOBS)?;
        Ok(table.get(blob.as_bytes())?.map(|value| BlobRow::from_value(value.value())))
    }

    /// The rows of many blobs, in the order asked.
    pub fn blobs_of(&self, blobs: &[BlobHash]) -> Result<Vec<Option<BlobRow>>> {
        let table = self.0.open_table(BLOBS)?;
        blobs
            .iter()
            .map(|blob| Ok(table.get(blob.as_bytes())?.map(|v| BlobRow::from_value(v.value()))))
            .collect()
    }

    /// Calls `each` with every blob, in the order of their hashes.
    pub fn for_each_blob(&self, mut each: impl FnMut(BlobHash, BlobRow)) -> Result<()> {
        for row in self.0.open_table(BLOBS)?.iter()? {
            let (blob, value) = row?;
            each(BlobHash::from_bytes(*blob.value()), BlobRow::from_value(value.value()));
        }
        Ok(())
    }

    /// Calls `each` with every blob of which it is known how many bytes of the disk it takes, in the
    /// order of their hashes.
    pub fn for_each_allotted(&self, mut each: impl FnMut(BlobHash, u64)) -> Result<()> {
        let Some(table) = there(self.0.open_table(ALLOTTED))? else { return Ok(()) };
        for row in table.iter()? {
            let (blob, bytes) = row?;
            each(BlobHash::from_bytes(*blob.value()), bytes.value());
        }
        Ok(())
    }

    /// The blobs whose file is in quarantine.
    pub fn quarantined(&self) -> Result<Vec<BlobHash>> {
        let Some(table) = there(self.0.open_table(QUARANTINED))? else { return Ok(Vec::new()) };
        table.iter()?.map(|row| Ok(BlobHash::from_bytes(*row?.0.value()))).collect()
    }

    /// Calls `each` with every blob that was read and found whole, and when.
    pub fn for_each_verified(&self, mut each: impl FnMut(BlobHash, i64)) -> Result<()> {
        let Some(table) = there(self.0.open_table(VERIFIED))? else { return Ok(()) };
        for row in table.iter()? {
            let (blob, time) = row?;
            each(BlobHash::from_bytes(*blob.value()), time.value());
        }
        Ok(())
    }

    /// Calls `each` with every blob that is needed and the revisions that need it.
    pub fn for_each_edge(&self, mut each: impl FnMut(BlobHash, &[RevisionId])) -> Result<()> {
        let mut ids = Vec::new();
        for row in self.0.open_multimap_table(EDGES)?.iter()? {
            let (blob, values) = row?;
            ids.clear();
            for id in values {
                ids.push(id?.value().0);
            }
            each(BlobHash::from_bytes(*blob.value()), &ids);
        }
        Ok(())
    }

    pub fn edges(&self, blob: &BlobHash) -> Result<Vec<RevisionId>> {
        let table = self.0.open_multimap_table(EDGES)?;
        table.get(blob.as_bytes())?.map(|edge| Ok(edge?.value().0)).collect()
    }

    /// The chaining values of the blob's 1 MiB subtrees, when they are known.
    pub fn subtrees(&self, blob: &BlobHash) -> Result<Option<Vec<Cv>>> {
        let table = self.0.open_table(SUBTREES)?;
        let Some(value) = table.get(blob.as_bytes())? else { return Ok(None) };
        Ok(Some(value.value().as_chunks().0.to_vec()))
    }

    pub fn by_sha256(&self, digest: &Sha256) -> Result<Option<BlobHash>> {
        let table = self.0.open_table(SHA256)?;
        Ok(table.get(digest.as_bytes())?.map(|blob| BlobHash::from_bytes(*blob.value())))
    }

    /// The manifests a revision had before.
    pub fn former(&self, id: RevisionId) -> Result<Vec<BlobHash>> {
        let Some(table) = there(self.0.open_multimap_table(FORMER))? else {
            return Ok(Vec::new());
        };
        table.get(id)?.map(|manifest| Ok(BlobHash::from_bytes(*manifest?.value()))).collect()
    }

    /// The manifests of all revisions, former ones included. Of those in the trash it has none.
    pub fn manifests(&self) -> Result<HashSet<BlobHash>> {
        let mut all = HashSet::new();
        let revisions = self.0.open_table(REVISIONS)?;
        for row in revisions.iter()? {
            all.insert(BlobHash::from_bytes(row?.1.value().2));
        }
        if let Some(table) = there(self.0.open_multimap_table(FORMER))? {
            for row in table.iter()? {
                let (id, former) = row?;
                if revisions.get(id.value())?.is_none() {
                    continue;
                }
                for manifest in former {
                    all.insert(BlobHash::from_bytes(*manifest?.value()));
                }
            }
        }
        Ok(all)
    }
}

/// The table, unless the index was made by a version that did not know it.
pub(super) fn there<T>(opened: std::result::Result<T, TableError>) -> Result<Option<T>> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
