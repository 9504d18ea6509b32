//! Changes to the index. A [`Writer`] is one transaction: all of it happens, or none.

use redb::{ReadableMultimapTable, ReadableTable, TableDefinition, WriteTransaction};

use super::Result;
use super::tables::{
    ALLOTTED, BLOBS, BY_MODEL, BlobRow, BlobState, EDGES, FORMER, GIT_SHA1, Key, QUARANTINED, REFS,
    REVISIONS, RevisionId, RevisionRow, SHA256, SUBTREES, Stamp, VERIFIED,
};
use super::trash::TRASHED;
use crate::digest::tree::{Cv, group_count};
use crate::digest::{BlobHash, GitSha1, Sha256, Upstream};
use crate::model::{ModelId, RefName, Revision};

/// One write transaction.
pub(crate) struct Writer(pub(super) WriteTransaction);

impl Writer {
    pub(super) fn new(transaction: WriteTransaction) -> Self {
        Self(transaction)
    }

    /// Makes every table, so that readers find all of them.
    pub(super) fn make_tables(&mut self) -> Result<()> {
        self.0.open_table(REVISIONS)?;
        self.0.open_table(BY_MODEL)?;
        self.0.open_table(REFS)?;
        self.0.open_table(BLOBS)?;
        self.0.open_multimap_table(EDGES)?;
        self.0.open_table(SUBTREES)?;
        self.0.open_table(SHA256)?;
        self.0.open_table(GIT_SHA1)?;
        self.0.open_multimap_table(FORMER)?;
        self.0.open_table(TRASHED)?;
        self.0.open_table(ALLOTTED)?;
        self.0.open_table(VERIFIED)?;
        self.0.open_table(QUARANTINED)?;
        self.make_segment_tables()?;
        self.make_needs_tables()
    }

    pub fn commit(self) -> Result<()> {
        Ok(self.0.commit()?)
    }

    pub fn revision(&self, id: RevisionId) -> Result<Option<RevisionRow>> {
        let table = self.0.open_table(REVISIONS)?;
        table.get(id)?.map(|value| RevisionRow::from_value(value.value())).transpose()
    }

    pub fn find(&self, model: &ModelId, revision: &Revision) -> Result<Option<RevisionId>> {
        let names = self.0.open_table(BY_MODEL)?;
        Ok(names.get((model.as_str(), revision.as_str()))?.map(|id| id.value()))
    }

    /// The manifests of all revisions, former ones and those in the trash included.
    pub fn manifests(&self) -> Result<Vec<BlobHash>> {
        let table = self.0.open_table(REVISIONS)?;
        let mut all: Vec<_> = table
            .iter()?
            .map(|row| Ok(BlobHash::from_bytes(row?.1.value().2)))
            .collect::<Result<_>>()?;
        for row in self.0.open_multimap_table(FORMER)?.iter()? {
            for manifest in row?.1 {
                all.push(BlobHash::from_bytes(*manifest?.value()));
            }
        }
        all.extend(self.trashed_manifests()?);
        Ok(all)
    }

    /// I2, I4: rows, edges and revision change in this one transaction; the caller has stated
    /// every file behind `blobs`.
    pub fn insert_revision(
        &self,
        row: &RevisionRow,
        blobs: &[(BlobHash, Stamp)],
    ) -> Result<RevisionId> {
        let known = match self.find(&row.model, &row.revision)? {
            None => self.revive(row)?,
            known => known,
        };
        let id = match known {
            Some(id) => {
                self.replace_manifest(id, row)?;
                id
            }
            None => self.new_revision(row)?,
        };
        let mut table = self.0.open_table(BLOBS)?;
        let mut edges = self.0.open_multimap_table(EDGES)?;
        for (blob, stamp) in blobs {
            let fresh = BlobRow { state: BlobState::Present, stamp: *stamp };
            let known = table.get(blob.as_bytes())?.map(|v| BlobRow::from_value(v.value()));
            // A Present row keeps its stamp: what differs from it now is for verify to find.
            if known.is_none_or(|row| row.state != BlobState::Present) {
                table.insert(blob.as_bytes(), fresh.value())?;
            }
            edges.insert(blob.as_bytes(), (id, stamp.size))?;
        }
        drop(edges);
        self.note_edges(id, blobs.iter().map(|(blob, stamp)| (*blob, stamp.size)))?;
        Ok(id)
    }

    fn new_revision(&self, row: &RevisionRow) -> Result<RevisionId> {
        let mut table = self.0.open_table(REVISIONS)?;
        let last = table.last()?.map_or(0, |(id, _)| id.value());
        let id = last.max(self.last_trashed()?) + 1;
        table.insert(id, row.value())?;
        let name = (row.model.as_str(), row.revision.as_str());
        self.0.open_table(BY_MODEL)?.insert(name, id)?;
        Ok(id)
    }

    /// A revision that is there gets `row`'s manifest. It must have all that the one before has,
    /// which stays for those who hold on to it.
    fn replace_manifest(&self, id: RevisionId, row: &RevisionRow) -> Result<()> {
        let Some(before) = self.revision(id)?.filter(|before| before.manifest != row.manifest)
        else {
            return Ok(());
        };
        let mut former = self.0.open_multimap_table(FORMER)?;
        former.insert(id, before.manifest.as_bytes())?;
        former.remove(id, row.manifest.as_bytes())?;
        let row = RevisionRow { added: before.added, pinned: before.pinned, ..row.clone() };
        self.0.open_table(REVISIONS)?.insert(id, row.value())?;
        Ok(())
    }

    /// A manifest that the revision had before.
    pub fn insert_former(&self, id: RevisionId, manifest: &BlobHash) -> Result<()> {
        self.0.open_multimap_table(FORMER)?.insert(id, manifest.as_bytes())?;
        Ok(())
    }

    /// The manifests a revision had before.
    pub fn former(&self, id: RevisionId) -> Result<Vec<BlobHash>> {
        let table = self.0.open_multimap_table(FORMER)?;
        table.get(id)?.map(|manifest| Ok(BlobHash::from_bytes(*manifest?.value()))).collect()
    }

    /// Drops a revision, its edges to `blobs` and its refs. Blobs left without edges become Dying.
    /// Gives back the refs that went.
    pub fn remove_revision(&self, id: RevisionId, blobs: &[BlobHash]) -> Result<Vec<RefName>> {
        let Some((_, refs)) = self.take_row(id)? else { return Ok(Vec::new()) };
        self.drop_edges(id, blobs)?;
        Ok(refs)
    }

    /// Takes out a revision's row, its name and the refs to it.
    pub(super) fn take_row(&self, id: RevisionId) -> Result<Option<(RevisionRow, Vec<RefName>)>> {
        let Some(row) = self.revision(id)? else { return Ok(None) };
        self.0.open_table(REVISIONS)?.remove(id)?;
        self.0.open_table(BY_MODEL)?.remove((row.model.as_str(), row.revision.as_str()))?;
        let mut refs = self.0.open_table(REFS)?;
        let mut gone = Vec::new();
        for entry in refs.range((row.model.as_str(), "")..)? {
            let (key, target) = entry?;
            let (model, name) = key.value();
            if model != row.model.as_str() {
                break;
            }
            if target.value() == id {
                gone.push(name.parse::<RefName>().map_err(super::tables::corrupted)?);
            }
        }
        for name in &gone {
            refs.remove((row.model.as_str(), name.as_str()))?;
        }
        Ok(Some((row, gone)))
    }

    /// Drops a revision's edges to `blobs`, and its former manifests. Blobs left without edges
    /// become Dying.
    pub(super) fn drop_edges(&self, id: RevisionId, blobs: &[BlobHash]) -> Result<()> {
        self.0.open_multimap_table(FORMER)?.remove_all(id)?;
        let mut edges = self.0.open_multimap_table(EDGES)?;
        let mut rows = self.0.open_table(BLOBS)?;
        let mut left = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let mut others = 0;
            let mut own = None;
            for edge in edges.get(blob.as_bytes())? {
                match edge?.value() {
                    edge if edge.0 == id => own = Some(edge),
                    _ => others += 1,
                }
            }
            if let Some(edge) = own {
                edges.remove(blob.as_bytes(), edge)?;
            }
            left.push((*blob, others));
            if others > 0 {
                continue;
            }
            let row = rows.get(blob.as_bytes())?.map(|v| BlobRow::from_value(v.value()));
            if let Some(row) = row {
                let dying = BlobRow { state: BlobState::Dying, ..row };
                rows.insert(blob.as_bytes(), dying.value())?;
            }
        }
        drop((edges, rows));
        self.forget_edges(id, &left)
    }

    /// Whether that changed something; `None` when the number is not this revision's.
    pub fn set_pinned(
        &self,
        id: RevisionId,
        model: &ModelId,
        revision: &Revision,
        pinned: bool,
    ) -> Result<Option<bool>> {
        let Some(row) = self.revision(id)? else { return Ok(None) };
        // A rebuild gives new numbers.
        if row.model != *model || row.revision != *revision {
            return Ok(None);
        }
        if row.pinned != pinned {
            let row = RevisionRow { pinned, ..row };
            self.0.open_table(REVISIONS)?.insert(id, row.value())?;
        }
        Ok(Some(row.pinned != pinned))
    }

    #[cfg(feature = "hub")]
    pub fn resolve_ref(&self, model: &ModelId, name: &RefName) -> Result<Option<RevisionId>> {
        let table = self.0.open_table(REFS)?;
        Ok(table.get((model.as_str(), name.as_str()))?.map(|id| id.value()))
    }

    pub fn set_ref(&self, model: &ModelId, name: &RefName, id: RevisionId) -> Result<()> {
        self.0.open_table(REFS)?.insert((model.as_str(), name.as_str()), id)?;
        Ok(())
    }

    pub fn blob(&self, blob: &BlobHash) -> Result<Option<BlobRow>> {
        let table = self.0.open_table(BLOBS)?;
        Ok(table.get(blob.as_bytes())?.map(|value| BlobRow::from_value(value.value())))
    }

    /// A new fingerprint for a blob whose bytes were just read and found right.
    pub fn set_stamp(&self, blob: &BlobHash, stamp: Stamp) -> Result<()> {
        let mut table = self.0.open_table(BLOBS)?;
        let known = table.get(blob.as_bytes())?.map(|v| BlobRow::from_value(v.value()));
        if let Some(row) = known {
            table.insert(blob.as_bytes(), BlobRow { stamp, ..row }.value())?;
        }
        Ok(())
    }

    /// A row for a file in `blobs/` that has none, so that it can be collected.
    pub fn insert_dying(&self, blob: &BlobHash, stamp: Stamp) -> Result<()> {
        let row = BlobRow { state: BlobState::Dying, stamp };
        self.0.open_table(BLOBS)?.insert(blob.as_bytes(), row.value())?;
        Ok(())
    }

    /// I3: blobs that may leave, Dying and without edges, `most` of them.
    pub fn collectable(&self, most: usize) -> Result<Vec<(BlobHash, u64)>> {
        let blobs = self.0.open_table(BLOBS)?;
        let edges = self.0.open_multimap_table(EDGES)?;
        let mut found = Vec::new();
        for entry in blobs.iter()? {
            let (blob, value) = entry?;
            let row = BlobRow::from_value(value.value());
            if row.state == BlobState::Dying && edges.get(blob.value())?.next().is_none() {
                found.push((BlobHash::from_bytes(*blob.value()), row.stamp.size));
                if found.len() == most {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Drops blobs' rows and what is known of them. I3: only after their files left `blobs/`.
    pub fn remove_blobs(&self, gone: &[(BlobHash, u64)]) -> Result<()> {
        self.remove_segments(gone)?;
        let mut blobs = self.0.open_table(BLOBS)?;
        let mut allotted = self.0.open_table(ALLOTTED)?;
        let mut subtrees = self.0.open_table(SUBTREES)?;
        let mut verified = self.0.open_table(VERIFIED)?;
        let any = verified.first()?.is_some();
        let mut quarantined = self.0.open_table(QUARANTINED)?;
        let any_damaged = quarantined.first()?.is_some();
        for (blob, size) in gone {
            if any_damaged {
                quarantined.remove(blob.as_bytes())?;
            }
            if any {
                verified.remove(blob.as_bytes())?;
            }
            blobs.remove(blob.as_bytes())?;
            allotted.remove(blob.as_bytes())?;
            if group_count(*size) > 0 {
                subtrees.remove(blob.as_bytes())?;
            }
        }
        Ok(())
    }

    /// The blobs whose file is in quarantine.
    pub fn quarantined(&self) -> Result<Vec<BlobHash>> {
        let table = self.0.open_table(QUARANTINED)?;
        table.iter()?.map(|row| Ok(BlobHash::from_bytes(*row?.0.value()))).collect()
    }

    pub fn set_quarantined(&self, blob: &BlobHash) -> Result<()> {
        self.0.open_table(QUARANTINED)?.insert(blob.as_bytes(), ())?;
        Ok(())
    }

    /// A blob's file is in `blobs/` again, with this stamp. False when it was not in quarantine.
    pub fn release_from_quarantine(&self, blob: &BlobHash, stamp: Stamp) -> Result<bool> {
        if self.0.open_table(QUARANTINED)?.remove(blob.as_bytes())?.is_none() {
            return Ok(false);
        }
        self.set_stamp(blob, stamp)?;
        Ok(true)
    }

    /// Notes that blobs that are here were read and found whole.
    pub fn set_verified(&self, whole: &[BlobHash], time: i64) -> Result<()> {
        let blobs = self.0.open_table(BLOBS)?;
        let mut table = self.0.open_table(VERIFIED)?;
        for blob in whole {
            if blobs.get(blob.as_bytes())?.is_some() {
                table.insert(blob.as_bytes(), time)?;
            }
        }
        Ok(())
    }

    /// Notes how many bytes of the disk a blob takes.
    pub fn set_allotted(&self, taken: &[(BlobHash, u64)]) -> Result<()> {
        let mut table = self.0.open_table(ALLOTTED)?;
        for (blob, bytes) in taken {
            if table.get(blob.as_bytes())?.is_none_or(|known| known.value() != *bytes) {
                table.insert(blob.as_bytes(), bytes)?;
            }
        }
        Ok(())
    }

    /// Drops the upstream names of blobs that have no row any more.
    pub fn remove_dead_aliases(&self) -> Result<()> {
        self.remove_dead(SHA256)?;
        self.remove_dead(GIT_SHA1)
    }

    fn remove_dead<const N: usize>(
        &self,
        names: TableDefinition<&'static [u8; N], Key>,
    ) -> Result<()> {
        let blobs = self.0.open_table(BLOBS)?;
        let mut dead = Vec::new();
        let mut table = self.0.open_table(names)?;
        for entry in table.iter()? {
            let (digest, blob) = entry?;
            if blobs.get(blob.value())?.is_none() {
                dead.push(*digest.value());
            }
        }
        for digest in dead {
            table.remove(&digest)?;
        }
        Ok(())
    }

    pub fn set_subtrees(&self, blob: &BlobHash, subtrees: &[Cv]) -> Result<()> {
        let mut table = self.0.open_table(SUBTREES)?;
        table.insert(blob.as_bytes(), subtrees.as_flattened())?;
        Ok(())
    }

    pub fn set_sha256(&self, digest: &Sha256, blob: &BlobHash) -> Result<()> {
        self.0.open_table(SHA256)?.insert(digest.as_bytes(), blob.as_bytes())?;
        Ok(())
    }

    pub fn set_git(&self, digest: &GitSha1, blob: &BlobHash) -> Result<()> {
        self.0.open_table(GIT_SHA1)?.insert(digest.as_bytes(), blob.as_bytes())?;
        Ok(())
    }

    pub fn set_alias(&self, digest: &Upstream, blob: &BlobHash) -> Result<()> {
        match digest {
            Upstream::Sha256(digest) => self.set_sha256(digest, blob),
            Upstream::Git(digest) => self.set_git(digest, blob),
        }
    }
}
