//! Small files that are there whole or not at all.

use std::sync::{Mutex, PoisonError};

use super::{Dir, File, Open, Rename, Result};

/// A batch of up to so many files and directories is made durable one by one. A larger one shares
/// one sync of the whole file system: that waits for other programs' bytes too, but only once.
const ONE_BY_ONE: usize = if cfg!(test) { 8 } else { 4 };

/// Files and directories that become durable together.
#[derive(Debug, Default)]
pub(crate) struct Batch(Mutex<Pending>);

#[derive(Debug)]
enum Pending {
    Few(Vec<Thing>),
    Many,
}

#[derive(Debug)]
pub(crate) enum Thing {
    File(File),
    Dir(Dir),
}

impl Default for Pending {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl From<&File> for Thing {
    fn from(file: &File) -> Self {
        Self::File(file.clone())
    }
}

impl From<&Dir> for Thing {
    fn from(dir: &Dir) -> Self {
        Self::Dir(dir.clone())
    }
}

impl Batch {
    /// Adds what nothing is changed in any more.
    pub fn add(&self, thing: impl Into<Thing>) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *pending {
            Pending::Few(few) if few.len() < ONE_BY_ONE => few.push(thing.into()),
            Pending::Few(_) => *pending = Pending::Many,
            Pending::Many => {}
        }
    }

    /// Makes all of it durable; `dir` is any directory of the file system.
    pub fn finish(&self, dir: &Dir) -> Result<()> {
        let pending = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        match pending {
            Pending::Many => dir.sync_all(),
            Pending::Few(things) => things.iter().try_for_each(|thing| match thing {
                Thing::File(file) => file.sync(),
                Thing::Dir(dir) => dir.sync(),
            }),
        }
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
