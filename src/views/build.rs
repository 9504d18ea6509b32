//! Filling an empty directory with a revision's files.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Mode, Result, SMALL, ViewOptions};
use crate::error::{StoreError, ViewError};
use crate::fs::durable::Batch;
use crate::fs::link::{Fallback, How, bring};
use crate::fs::{Dir, Open};
use crate::model::{Manifest, ManifestFile};
use crate::progress::Progress;
use crate::store::Store;

/// How the files came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Built {
    pub linked: u64,
    pub reflinked: u64,
    pub copied: u64,
}

struct Build<'a> {
    store: &'a Store,
    root: &'a Dir,
    options: ViewOptions,
    progress: &'a Progress,
    /// The view's directories with the files in each, by name.
    dirs: Vec<(&'a str, Vec<&'a ManifestFile>)>,
    next: AtomicUsize,
    /// What is not possible between the store and this destination.
    fallback: Fallback,
    /// Its new files and directories; a hardlink's file is durable already.
    batch: Batch,
    result: Mutex<Result<Built>>,
}

/// Makes `manifest`'s files below `root`, and everything durable.
pub(super) fn build(
    store: &Store,
    manifest: &Manifest,
    root: &Dir,
    options: ViewOptions,
    progress: &Progress,
) -> Result<Built> {
    refuse_case_twins(manifest, root)?;
    let dirs = by_directory(manifest);
    let build = Build {
        store,
        root,
        options,
        progress,
        dirs,
        next: AtomicUsize::new(0),
        fallback: Fallback::default(),
        batch: Batch::default(),
        result: Mutex::new(Ok(Built::default())),
    };
    // Two threads in one directory wait for each other, so each takes a directory at a time.
    let threads = store.threads().min(build.dirs.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            if std::thread::Builder::new().spawn_scoped(scope, || build.work()).is_err() {
                break; // fewer threads are only slower
            }
        }
        build.work();
    });
    let built = std::mem::replace(&mut *build.result(), Ok(Built::default()))?;
    // I7: nothing of the view is still on its way to the disk when it appears.
    build.batch.add(root);
    build.batch.finish(root)?;
    Ok(built)
}

/// The files of each directory that has any.
fn by_directory(manifest: &Manifest) -> Vec<(&str, Vec<&ManifestFile>)> {
    let mut dirs: Vec<(&str, Vec<&ManifestFile>)> = Vec::new();
    for file in manifest.files() {
        let parent = file.path.split().0;
        match dirs.last_mut() {
            Some((dir, files)) if *dir == parent => files.push(file),
            _ => dirs.push((parent, vec![file])),
        }
    }
    // A directory's files are in one run, or around those of directories in it.
    dirs.sort_by_key(|(dir, _)| *dir);
    dirs.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1.append(&mut later.1);
        }
        same
    });
    dirs
}

impl<'a> Build<'a> {
    fn work(&self) {
        while let Some((path, files)) = self.dirs.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let done = self.dir(path, files);
            let mut result = self.result();
            match (&mut *result, done) {
                (Ok(sum), Ok(built)) => {
                    sum.linked += built.linked;
                    sum.reflinked += built.reflinked;
                    sum.copied += built.copied;
                }
                (Ok(_), Err(e)) => {
                    *result = Err(e);
                    return;
                }
                (Err(_), _) => return,
            }
        }
    }

    fn result(&self) -> MutexGuard<'_, Result<Built>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dir(&self, path: &str, files: &[&'a ManifestFile]) -> Result<Built> {
        let mut dir = self.root.clone();
        let mut made = Vec::new();
        for component in path.split('/').filter(|component| !component.is_empty()) {
            let below = dir.ensure_dir(component)?;
            made.push(std::mem::replace(&mut dir, below));
        }
        let mut built = Built::default();
        let mut copied = 0;
        for file in files {
            if self.progress.is_cancelled() {
                return Err(StoreError::Cancelled.into());
            }
            match self.file(&dir, file)? {
                How::Hardlink => built.linked += 1,
                How::Reflink => built.reflinked += 1,
                How::Copy => {
                    built.copied += 1;
                    copied += file.size;
                }
            }
        }
        // Copies count their bytes as they go; links are too fast to be counted one by one.
        let bytes: u64 = files.iter().map(|file| file.size).sum();
        self.progress.add_files(files.len() as u64);
        self.progress.add_bytes(bytes - copied);
        for made in made.iter().skip(1).chain((!path.is_empty()).then_some(&dir)) {
            self.batch.add(made);
        }
        Ok(built)
    }

    fn file(&self, dir: &Dir, file: &ManifestFile) -> Result<How> {
        let first = match self.options.mode {
            Mode::Auto if file.size <= SMALL => How::Copy,
            Mode::Auto | Mode::Hardlink if !self.options.writable => How::Hardlink,
            Mode::Auto | Mode::Hardlink | Mode::Reflink => How::Reflink,
            Mode::Copy => How::Copy,
        };
        let blobs = &self.store.layout().blobs;
        let blob = file.blob.hex();
        let name = file.path.split().1;
        // Small files are there to be edited, also in a view that is not.
        let read_only = !self.options.writable && file.size > SMALL;
        let copy = crate::fs::link::Copying {
            size: file.size,
            read_only,
            batch: &self.batch,
            progress: self.progress,
        };
        match bring(blobs, blob.as_ref(), dir, name, first, &self.fallback, &copy) {
            Ok(how) => Ok(how),
            Err(_) if self.progress.is_cancelled() => Err(StoreError::Cancelled.into()),
            // I8: gone and still Present means damage; the lease rules out that it was evicted.
            Err(e) if e.is_not_found() && blobs.stat(blob).is_err() => {
                let path = blobs.path().join(file.blob.to_string());
                let reason = "it is missing".to_owned();
                Err(StoreError::BlobDamaged { path, reason }.into())
            }
            Err(e) if e.is_truncated() => {
                let path = blobs.path().join(file.blob.to_string());
                let reason = format!("it is shorter than {} bytes", file.size);
                Err(StoreError::BlobDamaged { path, reason }.into())
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// An error when two names differ only in case and the destination cannot tell them apart.
fn refuse_case_twins(manifest: &Manifest, root: &Dir) -> Result<()> {
    let Some((one, other)) = case_twins(manifest) else { return Ok(()) };
    let probe = "tonnage-case-probe";
    drop(root.open_file(probe, Open::New)?);
    let folds = root.stat(probe.to_uppercase()).is_ok();
    root.remove_file(probe)?;
    if folds {
        return Err(ViewError::CaseCollision { path: root.path().into(), one, other });
    }
    Ok(())
}

/// Two paths, of files or of directories, that are one when case is folded.
fn case_twins(manifest: &Manifest) -> Option<(String, String)> {
    // Of two twins one at least has an upper-case letter. Most paths have none, and are only
    // looked up.
    let folds = |path: &str| path.chars().any(|c| c.is_uppercase());
    let mut folded: HashMap<String, &str> = HashMap::new();
    for path in each_path(manifest).filter(|path| folds(path)) {
        if let Some(twin) = folded.insert(path.to_lowercase(), path).filter(|twin| *twin != path) {
            return Some((twin.to_owned(), path.to_owned()));
        }
    }
    if folded.is_empty() {
        return None;
    }
    each_path(manifest)
        .filter(|path| !folds(path))
        .find_map(|path| folded.get(path).map(|twin| ((*twin).to_owned(), path.to_owned())))
}

/// Every file's path, and every directory's as often as files follow it in their order.
fn each_path(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let mut before = "";
    manifest.files().iter().flat_map(move |file| {
        let path = file.path.as_str();
        let parent = file.path.split().0;
        let mut above = if parent == before { "" } else { parent };
        before = parent;
        std::iter::once(path).chain(std::iter::from_fn(move || {
            let dir = (!above.is_empty()).then_some(above)?;
            above = above.rsplit_once('/').map_or("", |(up, _)| up);
            Some(dir)
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::BlobHash;
    use crate::model::FilePath;

    fn manifest(paths: &[&str]) -> Manifest {
        let file = |path: &&str| ManifestFile {
            path: FilePath::new(*path).unwrap(),
            size: 0,
            blob: BlobHash::of(b""),
            sha256: None,
            git: None,
        };
        let files = paths.iter().map(file).collect();
        Manifest::new("org/name".parse().unwrap(), None, files).unwrap()
    }

    #[test]
    fn twins_differ_in_case_only_in_a_file_or_a_directory() {
        for twins in [&["README", "readme"][..], &["a/b", "A/c"], &["x", "É/y", "é/z"]] {
            assert!(case_twins(&manifest(twins)).is_some(), "{twins:?}");
        }
        for apart in [&["README", "readme.md"][..], &["A/b", "A/c", "b/A"], &["a", "b"]] {
            assert_eq!(case_twins(&manifest(apart)), None, "{apart:?}");
        }
    }

    #[test]
    fn a_directory_has_its_files_once_wherever_they_stand() {
        let manifest = manifest(&["a-b", "a/b", "a/c/d", "a/e", "b"]);
        let found: Vec<_> = by_directory(&manifest)
            .into_iter()
            .map(|(dir, files)| (dir, files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>()))
            .collect();
        let expected = [("", vec!["a-b", "b"]), ("a", vec!["a/b", "a/e"]), ("a/c", vec!["a/c/d"])];
        assert_eq!(found, expected);
    }
}
