//! What revisions need alone and what together, without a walk over all edges.
//!
//! Most blobs are needed by one revision. So two tables, derived from the edges and changed with them,
//! keep what each revision needs in all, and which blobs several need: a listing looks at these.

use std::collections::{HashMap, HashSet};

use redb::{ReadableMultimapTable, ReadableTable, ReadableTableMetadata};

use super::read::there;
use super::tables::{COMMON, EDGES, OWN, REVISIONS, RevisionId};
use super::{Reader, Result, Writer};
use crate::digest::BlobHash;

/// Bytes of a revision, each blob counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Only this revision needs them.
    pub exclusive: u64,
    /// Other revisions need them too.
    pub shared: u64,
}

/// What the revisions need, and what they need together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub of: HashMap<RevisionId, Usage>,
    /// Bytes that several need, counted once.
    pub shared: u64,
    /// Bytes that only revisions in the trash need.
    pub trashed: u64,
}

impl Needs {
    /// Counts a blob that these revisions need, of which those in the trash are no others.
    fn add(&mut self, size: u64, ids: &[RevisionId], trashed: &HashSet<RevisionId>) {
        let mut needing = ids.iter().filter(|id| !trashed.contains(id)).peekable();
        let Some(first) = needing.next() else {
            self.trashed += size;
            return;
        };
        if needing.peek().is_none() {
            self.of.entry(*first).or_default().exclusive += size;
            return;
        }
        self.shared += size;
        for id in std::iter::once(first).chain(needing) {
            self.of.entry(*id).or_default().shared += size;
        }
    }
}

impl Reader {
    /// What each revision needs alone and with others. Those in the trash are no others.
    pub fn usage(&self) -> Result<Needs> {
        let trashed: HashSet<_> = self.trashed()?.into_iter().map(|(id, _)| id).collect();
        let own = there(self.0.open_table(OWN))?;
        let common = there(self.0.open_table(COMMON))?;
        let (Some(own), Some(common)) = (own, common) else { return self.usage_by_edges(&trashed) };
        let mut alone: HashMap<RevisionId, u64> = HashMap::new();
        for row in own.iter()? {
            let (id, bytes) = row?;
            alone.insert(id.value(), bytes.value());
        }
        // A version that did not know these tables may have added revisions, or removed some.
        let revisions = self.0.open_table(REVISIONS)?;
        let mut count = trashed.len();
        let mut all_there = trashed.iter().all(|id| alone.contains_key(id));
        for row in revisions.iter()? {
            count += 1;
            all_there &= alone.contains_key(&row?.0.value());
        }
        if !all_there || count != alone.len() {
            return self.usage_by_edges(&trashed);
        }
        let mut needs = Needs::default();
        for row in common.iter()? {
            let (size, ids) = unpacked(row?.1.value());
            for id in &ids {
                if let Some(alone) = alone.get_mut(id) {
                    *alone = alone.saturating_sub(size);
                }
            }
            needs.add(size, &ids, &trashed);
        }
        for (id, bytes) in alone {
            needs.add(bytes, &[id], &trashed);
        }
        Ok(needs)
    }

    /// The same, in one walk over the edges.
    fn usage_by_edges(&self, trashed: &HashSet<RevisionId>) -> Result<Needs> {
        let mut needs = Needs::default();
        let mut ids = Vec::new();
        for row in self.0.open_multimap_table(EDGES)?.iter()? {
            let (_, edges) = row?;
            ids.clear();
            let mut size = 0;
            for edge in edges {
                let (id, bytes) = edge?.value();
                ids.push(id);
                size = bytes;
            }
            needs.add(size, &ids, trashed);
        }
        Ok(needs)
    }

    /// The blobs that several revisions need: their sizes and those revisions, also ones in the trash.
    #[cfg(feature = "serve")]
    pub fn for_each_common(&self, mut each: impl FnMut(u64, &[RevisionId])) -> Result<()> {
        let Some(common) = there(self.0.open_table(COMMON))? else { return Ok(()) };
        for row in common.iter()? {
            let (size, ids) = unpacked(row?.1.value());
            each(size, &ids);
        }
        Ok(())
    }

    /// Whether what is kept of the edges agrees with them.
    pub fn needs_agree(&self) -> Result<bool> {
        let trashed: HashSet<_> = self.trashed()?.into_iter().map(|(id, _)| id).collect();
        let (mut kept, mut counted) = (self.usage()?, self.usage_by_edges(&trashed)?);
        // What needs nothing is in one of them only.
        kept.of.retain(|_, usage| *usage != Usage::default());
        counted.of.retain(|_, usage| *usage != Usage::default());
        Ok(kept == counted)
    }
}

/// A blob's size, and who needs it.
fn unpacked(packed: &[u8]) -> (u64, Vec<RevisionId>) {
    let mut numbers = packed.as_chunks().0.iter().map(|number| u64::from_le_bytes(*number));
    (numbers.next().unwrap_or(0), numbers.collect())
}

impl Writer {
    pub(super) fn make_needs_tables(&self) -> Result<()> {
        self.0.open_table(OWN)?;
        self.0.open_table(COMMON)?;
        Ok(())
    }

    /// A revision has edges to these blobs now, of so many bytes each.
    pub(super) fn note_edges(
        &self,
        id: RevisionId,
        blobs: impl Iterator<Item = (BlobHash, u64)>,
    ) -> Result<()> {
        let mut bytes = 0;
        for (blob, size) in blobs {
            bytes += size;
            self.note_common(&blob)?;
        }
        self.0.open_table(OWN)?.insert(id, bytes)?;
        Ok(())
    }

    /// A revision has no edges any more; these blobs had one, and have so many now.
    pub(super) fn forget_edges(&self, id: RevisionId, blobs: &[(BlobHash, usize)]) -> Result<()> {
        self.0.open_table(OWN)?.remove(id)?;
        // Without a look at each where nothing is in common.
        if self.0.open_table(COMMON)?.is_empty()? {
            return Ok(());
        }
        for (blob, left) in blobs {
            if *left > 1 {
                self.note_common(blob)?;
            } else {
                self.0.open_table(COMMON)?.remove(blob.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Keeps who needs a blob, when several do.
    fn note_common(&self, blob: &BlobHash) -> Result<()> {
        let edges = self.0.open_multimap_table(EDGES)?;
        let holders = edges.get(blob.as_bytes())?;
        if holders.len() < 2 {
            return Ok(());
        }
        let mut packed = Vec::new();
        for edge in holders {
            let (id, size) = edge?.value();
            if packed.is_empty() {
                packed.extend(size.to_le_bytes());
            }
            packed.extend(id.to_le_bytes());
        }
        self.0.open_table(COMMON)?.insert(blob.as_bytes(), packed.as_slice())?;
        Ok(())
    }
}
