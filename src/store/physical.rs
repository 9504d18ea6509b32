//! The bytes that the store takes on the disk.
//!
//! Nearly all files are blobs, and a blob's bytes on the disk do not change: the index knows them
//! since it was published. So they are summed there, and looked at only when the names in `blobs/`
//! are not those that the index has, because a process died or works just now.

use std::collections::HashMap;

use super::{Result, Store};
use crate::digest::BlobHash;
use crate::fs::{Dir, Kind};

/// What a walk found.
#[derive(Default)]
struct Walk {
    /// Bytes allotted to directories, and to files that have one name.
    bytes: u64,
    /// Bytes of inodes that have several names, by device and number.
    linked: HashMap<(u64, u64), u64>,
}

impl Store {
    /// Bytes allotted to everything in the store's directory, each inode counted once, and what blobs
    /// share below the file, too.
    pub(crate) fn physical(&self) -> Result<u64> {
        Ok(self.physical_and_saved()?.0)
    }

    /// The same, and bytes that sharing below the file saves.
    pub(crate) fn physical_and_saved(&self) -> Result<(u64, u64)> {
        let layout = &self.layout;
        let mut walk = Walk::default();
        // The index beside the files: each takes about as long as the other.
        let (walked, known) = std::thread::scope(|scope| {
            let known = || std::thread::Builder::new().spawn_scoped(scope, || known(self)).ok();
            let known = if self.threads > 1 { known() } else { None };
            let blobs = layout.blobs.path().file_name().unwrap_or_default();
            let walked = walk.below(&layout.root, Some(blobs));
            let known = known.and_then(|thread| thread.join().ok());
            (walked, known.unwrap_or_else(|| self::known(self)))
        });
        walked?;
        let of_blobs = layout.blobs.stat_self()?;
        walk.bytes += of_blobs.allotted;
        match known? {
            Some(blobs) => {
                if !walk.linked.is_empty() {
                    // Views have links of blobs.
                    for ino in &blobs.inodes {
                        walk.linked.remove(&(of_blobs.dev, *ino));
                    }
                }
                walk.bytes += blobs.bytes;
            }
            None => {
                walk.bytes -= of_blobs.allotted;
                walk.below(&layout.blobs, None)?;
            }
        }
        let all = walk.bytes + walk.linked.values().sum::<u64>();
        let saved = self.shared_extents()?.saved();
        Ok((all.saturating_sub(saved), saved))
    }
}

impl Walk {
    /// Counts `dir` and everything below it but for the entry `skip`.
    fn below(&mut self, dir: &Dir, skip: Option<&std::ffi::OsStr>) -> crate::fs::Result<()> {
        self.bytes += dir.stat_self()?.allotted;
        for entry in dir.list()? {
            if skip == Some(&entry.name) {
                continue;
            }
            let seen = if entry.kind == Kind::Dir {
                dir.open_dir(&entry.name).and_then(|dir| self.below(&dir, None))
            } else {
                dir.stat(&entry.name).map(|stat| {
                    if stat.nlink == 1 {
                        self.bytes += stat.allotted;
                    } else {
                        self.linked.insert((stat.dev, stat.ino), stat.allotted);
                    }
                })
            };
            match seen {
                Err(e) if !e.is_not_found() => return Err(e),
                _ => {} // or another process is at work
            }
        }
        Ok(())
    }
}

/// All blobs, as the index knows them.
struct Blobs {
    bytes: u64,
    inodes: Vec<u64>,
}

/// `None` when the files in `blobs/` are not those that the index knows.
fn known(store: &Store) -> Result<Option<Blobs>> {
    let (mut files, mut rows, mut measured) = (Set::default(), Set::default(), Set::default());
    let mut blobs = Blobs { bytes: 0, inodes: Vec::new() };
    let mut others = false;
    for entry in store.layout.blobs.list()? {
        match entry.name.to_str().and_then(|name| name.parse().ok()) {
            Some(blob) => files.add(&blob),
            None => others = true,
        }
    }
    store.index.read(|reader| {
        reader.for_each_blob(|blob, row| {
            rows.add(&blob);
            blobs.inodes.push(row.stamp.ino);
        })?;
        reader.for_each_allotted(|blob, bytes| {
            measured.add(&blob);
            blobs.bytes += bytes;
        })
    })?;
    Ok((!others && files == rows && rows == measured).then_some(blobs))
}

/// Enough of a set of blobs to tell whether another one is the same: their number and sums of
/// their digits, which are as good as random.
#[derive(Default, PartialEq, Eq)]
struct Set {
    count: u64,
    sums: [u64; 4],
}

impl Set {
    fn add(&mut self, blob: &BlobHash) {
        self.count += 1;
        for (sum, part) in self.sums.iter_mut().zip(blob.as_bytes().as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*part));
        }
    }
}
