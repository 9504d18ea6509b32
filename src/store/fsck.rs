//! The store's own check of its invariants.
//!
//! Everything is recounted from the manifests and the files, and compared with what the index
//! says. Bytes of blobs are not read: that is `verify`.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::gc::blob_name;
use super::index::{BlobRow, BlobState, RevisionId, RevisionRow};
use super::{Result, Store};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::fs::Kind;

/// Something that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The invariant's number: `I1`, `I2`, `I4`.
    pub invariant: &'static str,
    /// What is wrong, with the path.
    pub what: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fsck {
    /// What breaks an invariant. Empty in a store that is whole.
    pub problems: Vec<Problem>,
    /// Revisions that were checked.
    pub revisions: u64,
    /// Blobs that were checked.
    pub blobs: u64,
    /// Blobs that no revision needs: what `gc` would collect. Not a problem.
    pub garbage: u64,
    /// Imports whose process died. Not a problem.
    pub dead_imports: u64,
    /// External views that are no longer there. Not a problem.
    pub dead_views: u64,
    /// Blobs in quarantine: damaged, and known to be. Not a problem of the store's books.
    pub quarantined: u64,
}

/// One snapshot of the index.
struct Snapshot {
    revisions: Vec<(RevisionId, RevisionRow)>,
    /// They keep their blobs, too.
    trashed: Vec<(RevisionId, RevisionRow)>,
    refs: Vec<(String, RevisionId)>,
    blobs: HashMap<BlobHash, BlobRow>,
    edges: HashMap<BlobHash, Vec<RevisionId>>,
    quarantined: HashSet<BlobHash>,
    /// What the index keeps of the edges besides is what they say.
    needs_agree: bool,
}

impl Store {
    /// Checks I1 (names and sizes), I2, I4 and the manifests, from a snapshot of the index.
    ///
    /// Other processes may work meanwhile: what they change while the check runs is looked at
    /// again before it counts.
    ///
    /// # Errors
    /// When the index or a directory cannot be read. What is found wrong is no error but in the
    /// result.
    pub fn fsck(&self) -> Result<Fsck> {
        let mut found = self.check_snapshot()?;
        if !found.problems.is_empty() {
            // A process that collected or added between the snapshot and the look at the files
            // makes a whole store look broken, once.
            let again = self.check_snapshot()?;
            found.problems.retain(|problem| again.problems.contains(problem));
        }
        Ok(found)
    }

    fn check_snapshot(&self) -> Result<Fsck> {
        let snapshot = self.snapshot()?;
        let mut found = Fsck {
            revisions: snapshot.revisions.len() as u64,
            blobs: snapshot.blobs.len() as u64,
            quarantined: snapshot.quarantined.len() as u64,
            ..Fsck::default()
        };
        let needed = self.check_manifests(&snapshot, &mut found)?;
        check_edges(&snapshot, &needed, &mut found);
        if !snapshot.needs_agree {
            found.add("I4", "what revisions need is not what the edges say".to_owned());
        }
        self.check_blobs(&snapshot, &mut found)?;
        let known: HashSet<_> = snapshot.revisions.iter().map(|(id, _)| *id).collect();
        for (name, id) in &snapshot.refs {
            if !known.contains(id) {
                found.add("I4", format!("the ref {name} points at no revision"));
            }
        }
        found.dead_imports = self.dead_imports()?;
        found.dead_views = self.dead_views()?;
        Ok(found)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        self.index.read(|reader| {
            let mut blobs = HashMap::new();
            reader.for_each_blob(|blob, row| {
                blobs.insert(blob, row);
            })?;
            let mut edges = HashMap::new();
            reader.for_each_edge(|blob, ids| {
                edges.insert(blob, ids.to_vec());
            })?;
            let refs = reader.refs()?;
            let refs = refs.into_iter().map(|(m, r, id)| (format!("{m}@{r}"), id)).collect();
            let trashed = reader.trashed()?.into_iter().map(|(id, one)| (id, one.row)).collect();
            let quarantined = reader.quarantined()?.into_iter().collect();
            let revisions = reader.revisions()?;
            let needs_agree = reader.needs_agree()?;
            Ok(Snapshot { revisions, trashed, refs, blobs, edges, quarantined, needs_agree })
        })
    }

    /// The mark of a mark-sweep: what each blob is needed by, counted from the manifests.
    fn check_manifests(
        &self,
        snapshot: &Snapshot,
        found: &mut Fsck,
    ) -> Result<HashMap<BlobHash, Vec<RevisionId>>> {
        let mut needed: HashMap<BlobHash, Vec<RevisionId>> = HashMap::new();
        for (id, row) in snapshot.revisions.iter().chain(&snapshot.trashed) {
            let name = format!("{}@{}", row.model, row.revision.short());
            let manifest = match self.read_manifest(&row.manifest) {
                Ok(Some(manifest)) => manifest,
                Ok(None) => {
                    found.add("I4", format!("{name} has no manifest {}", row.manifest));
                    continue;
                }
                Err(StoreError::ManifestDamaged { path, reason }) => {
                    found.add("I1", format!("{}: {reason}", path.display()));
                    continue;
                }
                Err(e) => return Err(e),
            };
            if manifest.model != row.model || manifest.revision(row.manifest) != row.revision {
                found.add("I4", format!("{name} has the manifest of another revision"));
            }
            for (blob, size) in manifest.blobs() {
                needed.entry(blob).or_default().push(*id);
                match snapshot.blobs.get(&blob) {
                    Some(known) if known.state != BlobState::Present => {
                        found.add("I4", format!("{name} needs {blob}, which is not Present"));
                    }
                    Some(known) if known.stamp.size != size => {
                        found.add("I4", format!("{name} needs {blob} of another size"));
                    }
                    Some(_) => {}
                    None => found.add("I4", format!("{name} needs {blob}, which has no row")),
                }
            }
        }
        Ok(needed)
    }

    fn check_blobs(&self, snapshot: &Snapshot, found: &mut Fsck) -> Result<()> {
        let mut files = HashSet::new();
        for entry in self.layout.blobs.list()? {
            match blob_name(&entry) {
                Some(blob) if entry.kind == Kind::File => {
                    files.insert(blob);
                    if !snapshot.edges.contains_key(&blob) {
                        found.garbage += 1;
                    }
                }
                _ => found.add("I1", format!("{} is no blob", self.blob_path(&entry.name))),
            }
        }
        for (blob, row) in &snapshot.blobs {
            if row.state != BlobState::Present || snapshot.quarantined.contains(blob) {
                continue;
            }
            if !files.contains(blob) {
                found.add("I2", format!("the blob {blob} is Present and has no file"));
                continue;
            }
            match self.layout.blobs.stat(blob.to_string()) {
                Ok(stat) if stat.size != row.stamp.size => found.add(
                    "I1",
                    format!("the blob {blob} has {} bytes, not {}", stat.size, row.stamp.size),
                ),
                Ok(_) => {}
                Err(e) if e.is_not_found() => {
                    found.add("I2", format!("the blob {blob} is Present and has no file"));
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn blob_path(&self, name: &std::ffi::OsStr) -> String {
        PathBuf::from(self.layout.blobs.path()).join(name).display().to_string()
    }
}

/// The sweep: the reference counts are the edges, and must be what the manifests say.
fn check_edges(snapshot: &Snapshot, needed: &HashMap<BlobHash, Vec<RevisionId>>, found: &mut Fsck) {
    for (blob, ids) in needed {
        let mut ids = ids.clone();
        ids.sort_unstable();
        let edges = snapshot.edges.get(blob).map_or(&[][..], Vec::as_slice);
        if edges != ids {
            found.add(
                "I4",
                format!("{blob} has {} edges and is in {} manifests", edges.len(), ids.len()),
            );
        }
    }
    for (blob, edges) in &snapshot.edges {
        if !needed.contains_key(blob) {
            found.add("I4", format!("{blob} has {} edges and is in no manifest", edges.len()));
        }
    }
}

impl Fsck {
    fn add(&mut self, invariant: &'static str, what: String) {
        self.problems.push(Problem { invariant, what });
    }
}
