//! Small files that are there whole or not at all.

use super::{Dir, Open, Rename, Result};

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
