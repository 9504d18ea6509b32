//! One blob at one more place: by hardlink, by reflink or by copy, whichever works first.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::durable::Batch;
use super::{Dir, File, Open, Result};
use crate::error::FsError;
use crate::progress::Progress;

/// How a file came to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Hardlink,
    Reflink,
    Copy,
}

/// What was found not to work between a store and one destination. Only trying tells: `st_dev`
/// says nothing of bind mounts, quotas or what a file system can do.
#[derive(Debug, Default)]
pub(crate) struct Fallback {
    no_hardlink: AtomicBool,
    no_reflink: AtomicBool,
}

/// What a file that is not a hardlink should be.
pub(crate) struct Copying<'p> {
    /// Bytes.
    pub size: u64,
    pub read_only: bool,
    /// What becomes durable together with it.
    pub batch: &'p Batch,
    pub progress: &'p Progress,
}

/// Buffer for copying.
const BUFFER: usize = 1 << 20;

/// Puts the file `from/name` at `to/new`, which must be free, in the way `first` or a weaker one.
pub(crate) fn bring(
    from: &Dir,
    name: &str,
    to: &Dir,
    new: &str,
    first: How,
    fallback: &Fallback,
    copying: &Copying<'_>,
) -> Result<How> {
    if first == How::Hardlink && !fallback.no_hardlink.load(Ordering::Relaxed) {
        match from.link(name, to, new) {
            Ok(()) => return Ok(How::Hardlink),
            // This inode has all the links it can have; others have not.
            Err(e) if e.is(Errno::MLINK) => {}
            Err(e) if e.is_unsupported() => fallback.no_hardlink.store(true, Ordering::Relaxed),
            Err(e) => return Err(e),
        }
    }
    let source = from.open_file(name, Open::Read)?;
    let file = to.open_file(new, Open::New)?;
    let mut how = How::Copy;
    if first != How::Copy && !fallback.no_reflink.load(Ordering::Relaxed) {
        match file.reflink_from(&source) {
            Ok(()) => how = How::Reflink,
            Err(e) if e.is_unsupported() => fallback.no_reflink.store(true, Ordering::Relaxed),
            Err(e) => return Err(e),
        }
    }
    if how == How::Copy {
        copy(&source, &file, copying)?;
    }
    if copying.read_only {
        file.set_mode(0o444)?;
    }
    // The blob's own time marks a copy that nobody has touched.
    file.set_mtime(Some(source.stat()?.mtime_ns))?;
    copying.batch.add(&file);
    Ok(how)
}

fn copy(source: &File, file: &File, copying: &Copying<'_>) -> Result<()> {
    if copying.size > BUFFER as u64 {
        file.reserve(copying.size)?;
    }
    let mut buffer = vec![0; BUFFER.min(usize::try_from(copying.size).unwrap_or(BUFFER))];
    let mut offset = 0;
    while offset < copying.size {
        let n = source.read_at(&mut buffer, offset)?;
        if n == 0 || copying.progress.is_cancelled() {
            let why = std::io::ErrorKind::UnexpectedEof.into();
            return Err(FsError::new("copy", source.path(), why));
        }
        file.write_at(buffer.get(..n).unwrap_or_default(), offset)?;
        copying.progress.add_bytes(n as u64);
        offset += n as u64;
    }
    Ok(())
}
