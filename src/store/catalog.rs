//! What is in the store: names to revisions, revisions to files.

use std::collections::HashMap;

use super::index::{Needs, Reader, RevisionId, RevisionRow};
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::Open;
use crate::model::{Manifest, ModelId, ModelSpec, RefName, Revision};

/// The largest manifest that is read: about five million files.
const MAX_MANIFEST: u64 = 1 << 30;

/// A revision a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    pub(crate) manifest: BlobHash,
    pub(crate) id: RevisionId,
}

/// A revision as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// The refs that point to it, in their order.
    pub refs: Vec<RefName>,
    /// How many files it has.
    pub files: u64,
    /// The sum of its files' sizes, in bytes.
    pub size: u64,
    /// Bytes of blobs that only this revision needs.
    pub exclusive: u64,
    /// Bytes of blobs that other revisions need too.
    pub shared: u64,
    /// Seconds since the epoch.
    pub last_used: i64,
    /// Whether the user pinned it.
    pub pinned: bool,
    /// Whether a file of it is damaged and in quarantine.
    pub degraded: bool,
    pub(crate) manifest: BlobHash,
    pub(crate) id: RevisionId,
}

impl Store {
    /// Every revision, by model and then newest use first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        Ok(self.list_needs()?.0)
    }

    /// The same, and what all of them need.
    pub(crate) fn list_needs(&self) -> Result<(Vec<Listed>, Needs)> {
        // A stat for each revision takes about as long as the index: side by side.
        let (read, used) = std::thread::scope(|scope| {
            let used = std::thread::Builder::new().spawn_scoped(scope, || self.last_uses());
            let read = self.index.read(|r| Ok((r.revisions()?, r.refs()?, r.usage()?)));
            let used = used.ok().and_then(|thread| thread.join().ok());
            (read, used.unwrap_or_else(|| self.last_uses()))
        });
        let (rows, refs, needs) = read?;
        let mut names: HashMap<RevisionId, Vec<RefName>> = HashMap::new();
        for (_, name, id) in refs {
            names.entry(id).or_default().push(name);
        }
        let used = used?;
        let degraded = self.degraded()?;
        let mut listed: Vec<_> = rows
            .into_iter()
            .map(|(id, row)| {
                let usage = needs.of.get(&id).copied().unwrap_or_default();
                Listed {
                    refs: names.remove(&id).unwrap_or_default(),
                    files: row.files,
                    size: row.size,
                    exclusive: usage.exclusive,
                    shared: usage.shared,
                    last_used: used.get(&row.manifest).copied().unwrap_or(row.added),
                    pinned: row.pinned,
                    degraded: degraded.contains(&id),
                    manifest: row.manifest,
                    model: row.model,
                    revision: row.revision,
                    id,
                }
            })
            .collect();
        listed.sort_by(|a, b| (&a.model, b.last_used, b.id).cmp(&(&b.model, a.last_used, a.id)));
        Ok((listed, needs))
    }

    /// The revision `spec` means: the ref or revision behind its `@`, or else `main`, or else the
    /// model's only revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Ambiguous`] when digits or a model without
    /// `main` could mean several.
    pub fn resolve(&self, spec: &ModelSpec) -> Result<Resolved> {
        let found = self.index.read(|reader| find(reader, spec))?;
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (None, _) => Err(StoreError::NotFound { spec: spec.to_string() }),
            (Some((id, row)), None) => Ok(Resolved {
                model: row.model,
                revision: row.revision,
                manifest: row.manifest,
                id,
            }),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(found);
                Err(StoreError::Ambiguous {
                    spec: spec.clone(),
                    candidates: all.map(|(_, row)| format!("@{}", row.revision.short())).collect(),
                })
            }
        }
    }

    /// Every revision of `model`; none when the store does not have it.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn revisions_of(&self, model: &ModelId) -> Result<Vec<Resolved>> {
        let rows = self.index.read(|reader| reader.revisions_of(model))?;
        Ok(rows
            .into_iter()
            .map(|(id, row)| Resolved {
                model: row.model,
                revision: row.revision,
                manifest: row.manifest,
                id,
            })
            .collect())
    }

    /// The files of a revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was removed meanwhile, [`StoreError::ManifestDamaged`]
    /// when the manifest is not what its name says.
    pub fn manifest(&self, of: &Resolved) -> Result<Manifest> {
        self.read_manifest(&of.manifest)?.ok_or_else(|| StoreError::NotFound {
            spec: format!("{}@{}", of.model, of.revision.short()),
        })
    }

    /// The manifest of this name. `None` when there is none.
    pub(crate) fn read_manifest(&self, hash: &BlobHash) -> Result<Option<Manifest>> {
        let file = match self.layout.manifests.open_file(hash.to_string(), Open::Read) {
            Ok(file) => file,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let damaged =
            |reason: String| StoreError::ManifestDamaged { path: file.path().into(), reason };
        let bytes = file.read_all(MAX_MANIFEST)?;
        if BlobHash::of(&bytes) != *hash {
            return Err(damaged("its bytes do not hash to its name".to_owned()));
        }
        Manifest::from_bytes(&bytes).map(Some).map_err(|e| damaged(e.to_string()))
    }

    /// Notes that a revision was used: the time of a file named by its manifest. No transaction,
    /// no fsync, and on a store that cannot be written nothing at all.
    pub(crate) fn touch(&self, manifest: &BlobHash) {
        if let Ok(file) = self.layout.used.open_file(manifest.to_string(), Open::Ensure) {
            let _ = file.set_mtime(None);
        }
    }

    /// When revisions were last used, in seconds since the epoch, by manifest.
    fn last_uses(&self) -> Result<HashMap<BlobHash, i64>> {
        let used = &self.layout.used;
        let mut uses = HashMap::new();
        for entry in used.list()? {
            let Some(manifest) = entry.name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Ok(stat) = used.stat(&entry.name) {
                uses.insert(manifest, stat.mtime_ns.div_euclid(1_000_000_000));
            }
        }
        Ok(uses)
    }
}

/// Every revision `spec` could mean.
fn find(
    reader: &Reader,
    spec: &ModelSpec,
) -> std::result::Result<Vec<(RevisionId, RevisionRow)>, super::index::IndexError> {
    let name = spec.at.clone().unwrap_or_else(RefName::main);
    if let Some(id) = reader.resolve_ref(&spec.model, &name)?
        && let Some(row) = reader.revision(id)?
    {
        return Ok(vec![(id, row)]);
    }
    let mut rows = reader.revisions_of(&spec.model)?;
    if let Some(at) = &spec.at {
        // A ref of this name comes first; digits that begin a revision come second.
        let digits = at.as_str();
        rows.retain(|(_, row)| digits.len() >= 4 && row.revision.as_str().starts_with(digits));
    }
    Ok(rows)
}
