//! The simulated disk's own tests, one room per promise.

mod conformance;
mod content;
mod disk;
mod entries;
mod faults;
mod poison;
mod processes;
mod properties;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::{Fault, Keep, Plan, SimDisk, SimFs};
use crate::fs::{DirHandle, FileHandle, Fs, LockKind, Open, Rename};

type Dir = Arc<dyn DirHandle>;
type File = Arc<dyn FileHandle>;

fn n(name: &str) -> &OsStr {
    OsStr::new(name)
}

/// A disk with the durable directories `/d` and `/e`.
fn disk() -> SimDisk {
    let disk = SimDisk::new();
    let root = dir(&disk, "/");
    root.make_dir(n("d")).unwrap();
    root.make_dir(n("e")).unwrap();
    root.sync().unwrap();
    assert_eq!(disk.pending(), 0);
    disk
}

/// A directory opened by a process of its own.
fn dir(disk: &SimDisk, path: &str) -> Dir {
    disk.process().open_dir(Path::new(path)).unwrap()
}

/// Two directories of one process.
fn dirs(disk: &SimDisk) -> (Dir, Dir) {
    let fs = disk.process();
    (fs.open_dir(Path::new("/d")).unwrap(), fs.open_dir(Path::new("/e")).unwrap())
}

fn create(dir: &Dir, name: &str, bytes: &[u8]) -> File {
    let file = dir.open_file(n(name), Open::New).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

/// A file of which content and name are durable.
fn durable(dir: &Dir, name: &str, bytes: &[u8]) -> File {
    let file = create(dir, name, bytes);
    file.sync().unwrap();
    dir.sync().unwrap();
    file
}

fn errno<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().as_ref().and_then(Errno::from_io_error)
}

fn is_gone<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|e| e.to_string() == "process is gone")
}

/// What every subset of the unsynced operations leaves of the disk, sorted, without repetition.
fn outcomes<T: Ord>(disk: &SimDisk, look: impl Fn(&SimDisk) -> T) -> Vec<T> {
    let pending = disk.pending();
    assert!(pending < 16, "too many subsets: {:?}", disk.describe_pending());
    let mut seen: Vec<T> = (0_u32..1 << pending)
        .map(|subset| {
            let fork = disk.fork();
            fork.reboot_with(&mut |i| {
                if subset >> i & 1 == 1 { super::Fate::Keep } else { super::Fate::Drop }
            });
            assert_eq!(fork.pending(), 0);
            look(&fork)
        })
        .collect();
    seen.sort();
    seen.dedup();
    seen
}

/// The trees that a power loss can leave.
fn trees(disk: &SimDisk) -> Vec<String> {
    outcomes(disk, |d| d.tree("/").join(" "))
}
