//! Whether a directory is what a manifest says.

use std::collections::HashMap;

use super::Result;
use crate::digest::BlobHash;
use crate::error::Differences;
use crate::fs::{Dir, File, Kind, Open, Stat};
use crate::model::{Manifest, ManifestFile};
use crate::store::Store;

/// What a look at a view found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub differences: Differences,
    /// Files with a mode that no view gives.
    pub mode: Vec<String>,
    /// Files that are their blob's own inode.
    pub linked: u64,
    /// Files that are not.
    pub copied: u64,
}

impl Look {
    /// How much is wrong.
    pub fn count(&self) -> usize {
        self.differences.count() + self.mode.len()
    }
}

/// Whether a file of so many bytes has this hash.
pub(crate) type IsRight<'a> = dyn Fn(&File, &BlobHash, u64) -> Result<bool> + 'a;

struct Check<'a> {
    store: &'a Store,
    /// Read all files, also those that look as they should.
    full: bool,
    is_right: &'a IsRight<'a>,
    /// The directories of the view, with their files by name.
    dirs: HashMap<&'a str, Vec<&'a ManifestFile>>,
    state: Look,
}

/// Compares the tree at `dir` with `manifest`.
///
/// A hardlink of its blob and a copy that still has its blob's time are taken for unchanged
/// without reading them; any other file is read.
pub(super) fn check(store: &Store, manifest: &Manifest, dir: &Dir) -> Result<Look> {
    look(store, manifest, dir, false, &|file, blob, _| Ok(hash(file)? == *blob))
}

/// The same, by a way of hashing that the caller has; with `full` every file is read.
pub(crate) fn look<'a>(
    store: &'a Store,
    manifest: &'a Manifest,
    dir: &Dir,
    full: bool,
    is_right: &'a IsRight<'a>,
) -> Result<Look> {
    let mut dirs: HashMap<&str, Vec<&ManifestFile>> = HashMap::from([("", Vec::new())]);
    for file in manifest.files() {
        let (mut parent, _) = file.path.split();
        dirs.entry(parent).or_default().push(file);
        while let Some((above, _)) = parent.rsplit_once('/') {
            parent = above;
            dirs.entry(parent).or_default();
        }
    }
    let mut check = Check { store, full, is_right, dirs, state: Look::default() };
    check.dir("", dir)?;
    let mut state = check.state;
    for paths in [
        &mut state.differences.changed,
        &mut state.differences.missing,
        &mut state.differences.extra,
        &mut state.mode,
    ] {
        paths.sort_unstable();
    }
    Ok(state)
}

impl Check<'_> {
    fn dir(&mut self, path: &str, dir: &Dir) -> Result<()> {
        let mut expected: HashMap<&str, &ManifestFile> = self
            .dirs
            .get(path)
            .map(|files| files.iter().map(|file| (file.path.split().1, *file)).collect())
            .unwrap_or_default();
        let mut below = Vec::new();
        for entry in dir.list()? {
            let name = entry.name.to_string_lossy();
            let full = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
            match (entry.kind, expected.get(&*name)) {
                (Kind::Dir, None) if self.dirs.contains_key(&*full) => below.push((full, entry)),
                (Kind::File, Some(file)) => {
                    if !self.is_same(dir, file)? {
                        self.state.differences.changed.push(full.clone());
                    }
                    expected.remove(&*name);
                }
                _ => self.state.differences.extra.push(full),
            }
        }
        let missing = expected.into_values().map(|file| file.path.to_string());
        self.state.differences.missing.extend(missing);
        let mut seen = Vec::new();
        for (full, entry) in below {
            self.dir(&full, &dir.open_dir(&entry.name)?)?;
            seen.push(full);
        }
        self.miss_dirs(path, &seen);
        Ok(())
    }

    /// Files of directories that are not there at all.
    fn miss_dirs(&mut self, path: &str, seen: &[String]) {
        let is_child = |dir: &str| match dir.rsplit_once('/') {
            Some((above, _)) => above == path,
            None => path.is_empty() && !dir.is_empty(),
        };
        let gone: Vec<_> = self
            .dirs
            .keys()
            .filter(|dir| is_child(dir) && !seen.iter().any(|seen| seen == *dir))
            .map(|dir| format!("{dir}/"))
            .collect();
        for file in self.dirs.values().flatten() {
            if gone.iter().any(|dir| file.path.as_str().starts_with(dir)) {
                self.state.differences.missing.push(file.path.to_string());
            }
        }
    }

    fn is_same(&mut self, dir: &Dir, file: &ManifestFile) -> Result<bool> {
        let name = file.path.split().1;
        let stat = dir.stat(name)?;
        if stat.size != file.size {
            return Ok(false);
        }
        let blob = self.store.layout().blobs.stat(file.blob.to_string());
        let linked = blob.as_ref().is_ok_and(|blob| same_inode(blob, &stat));
        if linked {
            self.state.linked += 1;
        } else {
            self.state.copied += 1;
        }
        let is_odd = if linked {
            stat.mode & 0o7777 != 0o444
        } else {
            stat.mode & 0o400 == 0 || stat.mode & 0o7111 != 0
        };
        if is_odd {
            self.state.mode.push(file.path.to_string());
        }
        let looks_right = linked || blob.is_ok_and(|blob| blob.mtime_ns == stat.mtime_ns);
        if looks_right && !self.full {
            return Ok(true);
        }
        (self.is_right)(&dir.open_file(name, Open::Read)?, &file.blob, stat.size)
    }
}

fn same_inode(a: &Stat, b: &Stat) -> bool {
    (a.dev, a.ino) == (b.dev, b.ino)
}

fn hash(file: &File) -> Result<BlobHash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut offset = 0;
    loop {
        let n = file.read_at(&mut buffer, offset)?;
        if n == 0 {
            return Ok(BlobHash::from_bytes(*hasher.finalize().as_bytes()));
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
        offset += n as u64;
    }
}
