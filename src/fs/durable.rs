//! Small files that are there whole or not at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Dir, Open, Rename, Result};

/// So many things of a batch are made durable one by one. What comes after shares one sync of the
/// whole file system: that waits for other programs' bytes too, but not once a file.
const ONE_BY_ONE: usize = 8;

/// How a batch of files and directories becomes durable.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    synced: AtomicUsize,
    left: AtomicBool,
}

impl Batch {
    /// Whether the next one is to be synced by itself. Otherwise [`finish`](Self::finish) does it.
    pub fn one_by_one(&self) -> bool {
        let alone = self.synced.fetch_add(1, Ordering::Relaxed) < ONE_BY_ONE;
        if !alone {
            self.left.store(true, Ordering::Relaxed);
        }
        alone
    }

    /// Makes durable what was not synced by itself; `dir` is any directory of the file system.
    pub fn finish(&self, dir: &Dir) -> Result<()> {
        if self.left.load(Ordering::Relaxed) { dir.sync_all() } else { Ok(()) }
    }
}

/// Writes `bytes` to `name`, replacing what is there, and returns when it is durable.
///
/// The name's old or new content is what a crash leaves, never a part.
pub(crate) fn replace(dir: &Dir, name: &str, bytes: &[u8]) -> Result<()> {
    write_aside(dir, name, bytes, true)?;
    dir.sync()
}

/// Writes `bytes` to `name` whole, without waiting for the disk: for what can be made again.
pub(crate) fn replace_lazily(dir: &Dir, name: &str, bytes: &[u8]) -> Result<()> {
    write_aside(dir, name, bytes, false)
}

fn write_aside(dir: &Dir, name: &str, bytes: &[u8], sync: bool) -> Result<()> {
    let aside = format!(".{name}.{:08x}", fastrand::u32(..));
    let file = dir.open_file(&aside, Open::New)?;
    let written = file
        .write_at(bytes, 0)
        .and_then(|()| if sync { file.sync() } else { Ok(()) })
        .and_then(|()| dir.rename(&aside, dir, name, Rename::Replace));
    if written.is_err() {
        // The write's error is the one to tell.
        let _ = dir.remove_file(&aside);
    }
    written
}
