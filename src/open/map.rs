//! The one place that maps files.

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use memmap2::{Mmap, MmapOptions};

/// The maps that are in use in this process, by device and inode: models that have a file in common
/// have its map in common. An inode's number is not given to another file while a map holds it.
static MAPS: Mutex<Vec<(Inode, Weak<Mmap>)>> = Mutex::new(Vec::new());

type Inode = (u64, u64);

/// Maps a file of `len` bytes for reading, unless it is mapped. An empty file is an empty map.
pub(crate) fn map(file: &std::fs::File, len: u64) -> std::io::Result<Arc<Mmap>> {
    let stat = file.metadata()?;
    let inode = (stat.dev(), stat.ino());
    let len = usize::try_from(len).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
    let mut maps = MAPS.lock().unwrap_or_else(PoisonError::into_inner);
    maps.retain(|(_, map)| map.strong_count() > 0);
    let known = maps.iter().filter(|(of, _)| *of == inode).find_map(|(_, map)| map.upgrade());
    if let Some(known) = known.filter(|map| map.len() == len) {
        return Ok(known);
    }
    let mapped = Arc::new(map_alone(file, len)?);
    maps.push((inode, Arc::downgrade(&mapped)));
    Ok(mapped)
}

#[allow(unsafe_code, reason = "there is no other way to map a file")]
fn map_alone(file: &std::fs::File, len: usize) -> std::io::Result<Mmap> {
    // SAFETY: the file is a blob, which nobody writes to once it has its name (I1), and its length
    // was looked at through the same handle. A program that breaks the store's rule can change the
    // bytes under the map; the crate's documentation says so, and no reference to them outlives it.
    unsafe { MmapOptions::new().len(len).map(file) }
}
