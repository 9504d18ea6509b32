//! Where the bytes of a damaged blob may be found whole.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::{Dir, File, Kind, Open};
use crate::model::{ManifestFile, ModelId, Revision};
use crate::store::Store;

/// How many files of a directory are looked at for one of the right size.
const MOST_FILES: usize = 100_000;

/// Another place that may have the bytes of a file. What it gives is verified.
pub trait Source {
    /// What it is, for people.
    fn name(&self) -> String;

    /// Fills `buf` with the bytes at `offset`.
    ///
    /// # Errors
    /// Whatever keeps it from doing so. It is not asked for these bytes again.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Who knows more places than this machine has: a hub.
pub trait Elsewhere {
    /// A place for this file of a model at a commit of the hub.
    fn source<'s>(
        &'s self,
        model: &ModelId,
        commit: &Revision,
        file: &ManifestFile,
    ) -> Option<Box<dyn Source + 's>>;
}

struct Local {
    file: File,
}

impl Source for Local {
    fn name(&self) -> String {
        self.file.path().display().to_string()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match crate::digest::stream::Bytes::read_at(&self.file, rest, offset + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
        Ok(())
    }
}

/// The file at `path`, if it is one of this size and not the inode `but`.
fn local(
    store: &Store,
    path: &Path,
    size: u64,
    but: Option<(u64, u64)>,
) -> Option<Box<dyn Source>> {
    let dir = Dir::open(&*store.layout().fs, path.parent()?).ok()?;
    let file = dir.open_file(path.file_name()?, Open::Read).ok()?;
    let stat = file.stat().ok()?;
    let fits = stat.kind == Kind::File && stat.size == size && Some((stat.dev, stat.ino)) != but;
    fits.then(|| Box::new(Local { file }) as Box<dyn Source>)
}

/// The copies of a file in views of this store, but for the damaged inode itself.
pub(super) fn in_views(
    store: &Store,
    file: &ManifestFile,
    damaged: Option<(u64, u64)>,
) -> Vec<Box<dyn Source>> {
    let mut found = Vec::new();
    for view in store.registered_views().unwrap_or_default() {
        let Ok(Some(manifest)) = store.read_manifest(&view.manifest) else { continue };
        for same in manifest.files().iter().filter(|same| same.blob == file.blob) {
            found.extend(local(store, &view.path.join(same.path.as_str()), file.size, damaged));
        }
    }
    found
}

/// The copies of a file in a directory: at its own path; in a hub cache's snapshots of the model or
/// under its upstream digest; or any file of its size.
pub(super) fn in_directory(
    store: &Store,
    root: &Path,
    model: &ModelId,
    file: &ManifestFile,
) -> Vec<Box<dyn Source>> {
    let mut paths = vec![root.join(file.path.as_str())];
    let cache = format!("models--{}", model.as_str().replace('/', "--"));
    for base in [root.join(cache), root.to_owned()] {
        let digests = [file.sha256.map(|d| d.to_string()), file.git.map(|d| d.to_string())];
        paths.extend(digests.into_iter().flatten().map(|digest| base.join("blobs").join(digest)));
        let snapshots = Dir::open(&*store.layout().fs, &base.join("snapshots"));
        for entry in snapshots.and_then(|dir| dir.list()).unwrap_or_default() {
            paths.push(base.join("snapshots").join(entry.name).join(file.path.as_str()));
        }
    }
    let mut found: Vec<_> =
        paths.iter().filter_map(|path| local(store, path, file.size, None)).collect();
    if found.is_empty() {
        let mut left = MOST_FILES;
        for path in files_below(store, root, &mut left) {
            found.extend(local(store, &path, file.size, None));
        }
    }
    found
}

fn files_below(store: &Store, root: &Path, left: &mut usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = Dir::open(&*store.layout().fs, root).and_then(|dir| dir.list());
    for entry in entries.unwrap_or_default() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let path = root.join(&entry.name);
        match entry.kind {
            Kind::File => found.push(path),
            Kind::Dir => found.extend(files_below(store, &path, left)),
            Kind::Symlink | Kind::Other => {}
        }
    }
    found
}
