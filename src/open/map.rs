//! The one place that maps files.

use memmap2::{Mmap, MmapOptions};

/// Maps a file for reading. An empty file is an empty map.
#[allow(unsafe_code, reason = "there is no other way to map a file")]
pub(super) fn map(file: &std::fs::File, len: u64) -> std::io::Result<Mmap> {
    let len = usize::try_from(len).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
    // SAFETY: the file is a blob, which nobody writes to once it has its name (I1), and its length
    // was looked at through the same handle. A program that breaks the store's rule can change the
    // bytes under the map; the crate's documentation says so, and no reference to them outlives it.
    unsafe { MmapOptions::new().len(len).map(file) }
}
