//! Unlinking, and what it brings back.

use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fs::{Dir, Kind, Result};

/// Fewer files than this are not worth a thread.
const FEW: usize = 64;

/// An unlink mostly waits: for the directory, and for the disk where it discards at once. More
/// threads than cores wait side by side.
const THREADS: usize = 8;

/// Removes everything below `dir` and returns the bytes that came back.
pub(crate) fn empty_dir(dir: &Dir) -> Result<u64> {
    let mut freed = 0;
    for entry in dir.list()? {
        if entry.kind == Kind::Dir {
            freed += empty_dir(&dir.open_dir(&entry.name)?)?;
            dir.remove_dir(&entry.name)?;
        } else {
            freed += remove_counted(dir, &entry.name)?;
        }
    }
    Ok(freed)
}

/// Removes files, and returns the bytes that came back. One that is gone already brings none.
pub(super) fn remove_all_counted(dir: &Dir, names: &[OsString], threads: usize) -> Result<u64> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut freed = 0;
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            match remove_counted(dir, name) {
                Ok(bytes) => freed += bytes,
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(freed)
    };
    if threads == 1 || names.len() < FEW {
        return work();
    }
    std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (1..THREADS).filter_map(spawn).collect();
        let own = work();
        let others = helpers.into_iter().filter_map(|helper| helper.join().ok());
        // One failure does not hide what the others brought back from the disk.
        others.fold(own, |sum, more| Ok(sum? + more?))
    })
}

fn remove_counted(dir: &Dir, name: &OsStr) -> Result<u64> {
    let stat = dir.stat(name)?;
    dir.remove_file(name)?;
    Ok(if stat.nlink == 1 { stat.allotted } else { 0 })
}
