//! Repair: the damaged MiBs of a blob come from somewhere else, all others from what is left of it.
//!
//! A new file is built in an import's directory, each MiB of it proven by its chaining value, and
//! takes the place of the damaged one by a new inode (I1's exception) once it is durable and hashes
//! to the blob's name. Hardlinks of the damaged inode in views are then made anew.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::source::{Elsewhere, Source, in_directory, in_views};
use super::{Damaged, Result};
use crate::digest::BlobHash;
use crate::digest::tree::{Cv, GROUP, chaining_value, group_count, root_from_groups};
use crate::error::StoreError;
use crate::fs::{File, Open};
use crate::model::{ManifestFile, ModelSpec};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::import::Import;

/// Where bytes may come from, beside views of this store.
#[derive(Clone, Copy, Default)]
pub struct RepairOptions<'a> {
    /// Directories with the model's files, or a hub's cache.
    pub from: &'a [PathBuf],
    /// A hub.
    pub elsewhere: Option<&'a dyn Elsewhere>,
    /// Take what cannot be mended out of `blobs/`, so that nobody is served it. Its revisions are
    /// degraded until its bytes come again.
    pub quarantine: bool,
}

/// A file that is whole again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// What was damaged.
    pub damaged: Damaged,
    /// The ranges that came from elsewhere, to the MiB.
    pub mended: Vec<Range<u64>>,
    /// Where they came from.
    pub from: Vec<String>,
    /// Links in views that were made anew.
    pub relinked: u64,
}

/// Repairs what `damaged` names, as far as that is possible. Returns what is whole again, and what is
/// not.
///
/// # Errors
/// [`StoreError::ReadOnly`], [`StoreError::Cancelled`], and what the index and the file system say.
/// What was repaired before stays so.
pub fn repair(
    store: &Store,
    damaged: &[Damaged],
    options: RepairOptions<'_>,
    progress: &Progress,
) -> Result<(Vec<Repaired>, Vec<Damaged>)> {
    store.check_writable()?;
    let mut by_blob: BTreeMap<BlobHash, Vec<&Damaged>> = BTreeMap::new();
    for one in damaged {
        by_blob.entry(one.blob).or_default().push(one);
    }
    let (mut repaired, mut left) = (Vec::new(), Vec::new());
    for files in by_blob.values() {
        match repair_blob(store, files, options, progress)? {
            Some(work) => repaired.extend(files.iter().map(|one| Repaired {
                damaged: (*one).clone(),
                mended: work.mended.clone(),
                from: work.from.clone(),
                relinked: work.relinked,
            })),
            None => {
                if options.quarantine
                    && let Some(one) = files.first()
                {
                    store.quarantine(&one.blob)?;
                }
                left.extend(files.iter().map(|one| (*one).clone()));
            }
        }
    }
    Ok((repaired, left))
}

/// What was done for one blob.
#[derive(Default)]
struct Work {
    mended: Vec<Range<u64>>,
    from: Vec<String>,
    relinked: u64,
}

impl Work {
    fn mend(&mut self, range: Range<u64>, from: String) {
        match self.mended.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.mended.push(range),
        }
        if !self.from.contains(&from) {
            self.from.push(from);
        }
    }
}

fn repair_blob(
    store: &Store,
    files: &[&Damaged],
    options: RepairOptions<'_>,
    progress: &Progress,
) -> Result<Option<Work>> {
    let Some(first) = files.first() else { return Ok(None) };
    let spec = format!("{}@{}", first.model, first.revision).parse::<ModelSpec>();
    let Ok(revision) = spec.map_err(drop).and_then(|spec| store.resolve(&spec).map_err(drop))
    else {
        return Ok(None); // removed meanwhile
    };
    // Held, so that no collector takes the blob from under the work.
    let _lease = store.lease(&revision)?;
    let manifest = store.manifest(&revision)?;
    let Some(file) = manifest.files().iter().find(|file| file.blob == first.blob) else {
        return Ok(None);
    };
    let blobs = &store.layout().blobs;
    // What is in quarantine has its good MiBs, too.
    let old = blobs
        .open_file(file.blob.to_string(), Open::Read)
        .ok()
        .or_else(|| store.open_quarantined(&file.blob));
    let inode = old.as_ref().and_then(|old| old.stat().ok()).map(|stat| (stat.dev, stat.ino));

    let mut sources = in_views(store, file, inode);
    for root in options.from {
        sources.extend(in_directory(store, root, &revision.model, file));
    }
    let hub = options.elsewhere.zip(manifest.commit.as_ref());
    sources.extend(hub.and_then(|(hub, commit)| hub.source(&revision.model, commit, file)));

    let import = Import::begin(store.layout_arc())?;
    let part = import.dir().open_file("repair.part", Open::New)?;
    progress.expect(1, file.size);
    let known = store.index().read(|reader| reader.subtrees(&file.blob))?;
    let build = Build { file, old: old.as_ref(), part: &part, sources: &sources, progress };
    let Some((mut work, groups)) = build.run(known)? else { return Ok(None) };
    import.seal("repair.part", &part, &file.blob)?;
    if !import.heal(store, &file.blob, &groups)? {
        return Ok(None); // it left meanwhile, and nobody needs it
    }
    if let Some(inode) = inode {
        work.relinked = store.relink_views(&[(file.blob, inode)])?;
    }
    progress.add_file();
    Ok(Some(work))
}

/// A whole file in the making.
struct Build<'b> {
    file: &'b ManifestFile,
    /// What is left of the blob.
    old: Option<&'b File>,
    part: &'b File,
    sources: &'b [Box<dyn Source + 'b>],
    progress: &'b Progress,
}

impl Build<'_> {
    /// `None` when there is not enough. Else what was done, and the chaining values.
    fn run(&self, known: Option<Vec<Cv>>) -> Result<Option<(Work, Vec<Cv>)>> {
        let size = self.file.size;
        let mut work = Work::default();
        if group_count(size) == 0 {
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            for source in self.sources {
                if source.read_at(&mut bytes, 0).is_ok() && BlobHash::of(&bytes) == self.file.blob {
                    self.part.write_at(&bytes, 0)?;
                    work.mend(0..size, source.name());
                    return Ok(Some((work, Vec::new())));
                }
            }
            return Ok(None);
        }
        let Some(groups) = known.filter(|groups| self.prove(groups)).or_else(|| self.learn())
        else {
            return Ok(None);
        };
        self.part.reserve(size)?;
        let mut buffer = vec![0; usize::try_from(GROUP).unwrap_or(0)];
        for (index, expected) in (0_u64..).zip(&groups) {
            if self.progress.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let start = index * GROUP;
            let len = GROUP.min(size - start);
            let Some(bytes) = buffer.get_mut(..usize::try_from(len).unwrap_or(0)) else { break };
            let is_right = |bytes: &[u8]| chaining_value(start, bytes).as_ref() == Some(expected);
            let kept = self.old.is_some_and(|old| read(old, bytes, start)) && is_right(bytes);
            if !kept {
                let mut gives = self.sources.iter();
                let giver = gives.find(|s| s.read_at(bytes, start).is_ok() && is_right(bytes));
                let Some(giver) = giver else { return Ok(None) };
                work.mend(start..start + len, giver.name());
            }
            self.part.write_at(bytes, start)?;
            self.progress.add_bytes(len);
        }
        Ok(Some((work, groups)))
    }

    /// Whether chaining values are those of the blob.
    fn prove(&self, groups: &[Cv]) -> bool {
        let root = root_from_groups(self.file.size, groups);
        root.is_ok_and(|root| root == *self.file.blob.as_bytes())
    }

    /// The chaining values of a source that is whole. Nothing else tells which MiBs are damaged when
    /// the index does not know them.
    fn learn(&self) -> Option<Vec<Cv>> {
        let size = self.file.size;
        let mut buffer = vec![0; usize::try_from(GROUP).ok()?];
        self.sources.iter().find_map(|source| {
            let mut groups = Vec::new();
            for index in 0..group_count(size) {
                let start = index * GROUP;
                let len = usize::try_from(GROUP.min(size - start)).ok()?;
                let bytes = buffer.get_mut(..len)?;
                source.read_at(bytes, start).ok()?;
                groups.push(chaining_value(start, bytes)?);
            }
            Some(groups).filter(|groups| self.prove(groups))
        })
    }
}

/// Whether the file has all these bytes.
fn read(file: &File, bytes: &mut [u8], offset: u64) -> bool {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(n) if n > 0 => filled += n,
            _ => return false,
        }
    }
    true
}
