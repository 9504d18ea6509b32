//! Files whose bytes the kernel sends by itself.
//!
//! The body of an answer is a mapped file. Nothing reads the map: the [`Socket`](super::socket::Socket)
//! sees by its address which file it is, and has the kernel send that (`sendfile`), so no byte
//! passes through this process, and no page of the map is made present. Where that is not possible the map is
//! what it seems to be, and is written as any bytes are.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use memmap2::Mmap;

use crate::open::map::map;

/// The maps that answers are sent from, by the address of their first byte.
static MAPS: RwLock<BTreeMap<usize, Mapped>> = RwLock::new(BTreeMap::new());

struct Mapped {
    len: usize,
    file: Arc<File>,
    /// How many answers.
    users: usize,
}

/// A mapped file, and what is to live as long as its bytes are sent.
struct Sending<H> {
    map: Arc<Mmap>,
    _hold: H,
}

impl<H> AsRef<[u8]> for Sending<H> {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

/// All bytes of a file, which has `len` of them; `hold` is dropped when they are sent.
///
/// # Errors
/// When it cannot be mapped.
pub(super) fn bytes<H: Send + 'static>(file: File, len: u64, hold: H) -> std::io::Result<Bytes> {
    let map = map(&file, len)?;
    if map.is_empty() {
        return Ok(Bytes::new());
    }
    let (start, len) = (map.as_ptr().addr(), map.len());
    let mut maps = MAPS.write().unwrap_or_else(PoisonError::into_inner);
    let new = || Mapped { len, file: Arc::new(file), users: 0 };
    maps.entry(start).or_insert_with(new).users += 1;
    drop(maps);
    Ok(Bytes::from_owner(Sending { map, _hold: hold }))
}

impl<H> Drop for Sending<H> {
    fn drop(&mut self) {
        let start = self.map.as_ptr().addr();
        let mut maps = MAPS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapped) = maps.get_mut(&start) {
            mapped.users -= 1;
            if mapped.users == 0 {
                maps.remove(&start);
            }
        }
    }
}

/// The file that these bytes are a map of, and where they begin in it.
pub(super) fn find(bytes: &[u8]) -> Option<(Arc<File>, u64)> {
    let at = bytes.as_ptr().addr();
    let maps = MAPS.read().unwrap_or_else(PoisonError::into_inner);
    let (start, mapped) = maps.range(..=at).next_back()?;
    let offset = at - start;
    (offset + bytes.len() <= mapped.len).then(|| (mapped.file.clone(), offset as u64))
}
