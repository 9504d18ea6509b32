//! A file's bytes in shared pages: a copy costs a pointer, a write the pages it touches.

use std::fmt;
use std::sync::Arc;

const PAGE: usize = 4096;

type Page = Arc<[u8; PAGE]>;

/// Pages that are missing are holes; past the table's end there are only holes.
#[derive(Clone, Default)]
pub(super) struct Bytes {
    len: u64,
    pages: Arc<Vec<Option<Page>>>,
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

impl Bytes {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = self.len.saturating_sub(offset);
        let count = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        for piece in pieces(offset, count) {
            let into = &mut buf[piece.outer.clone()];
            match self.pages.get(piece.page).and_then(Option::as_ref) {
                Some(page) => into.copy_from_slice(&page[piece.inner]),
                None => into.fill(0),
            }
        }
        count
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        let pages = Arc::make_mut(&mut self.pages);
        for piece in pieces(offset, bytes.len()) {
            if pages.len() <= piece.page {
                pages.resize(piece.page + 1, None);
            }
            let page = pages[piece.page].get_or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[piece.inner].copy_from_slice(&bytes[piece.outer]);
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.cut(len);
        }
        self.len = len;
    }

    /// Turns everything from `len` on into holes, so that growing again shows zeros.
    fn cut(&mut self, len: u64) {
        let pages = Arc::make_mut(&mut self.pages);
        let whole = usize::try_from(len / PAGE as u64).unwrap_or(usize::MAX);
        let rest = (len % PAGE as u64) as usize;
        pages.truncate(whole.saturating_add(usize::from(rest > 0)));
        if rest > 0
            && let Some(Some(page)) = pages.get_mut(whole)
        {
            Arc::make_mut(page)[rest..].fill(0);
        }
    }

    /// Tells equal bytes from others, but for a hole and written zeros.
    pub fn digest(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.len.to_le_bytes());
        for (number, page) in self.pages.iter().enumerate() {
            if let Some(page) = page {
                hasher.update(&number.to_le_bytes()).update(&page[..]);
            }
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.len).expect("fits in memory")];
        self.read(&mut all, 0);
        all
    }
}

/// The part of a range that lies in one page.
struct Piece {
    page: usize,
    /// Within the page.
    inner: std::ops::Range<usize>,
    /// Within the caller's buffer.
    outer: std::ops::Range<usize>,
}

fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let offset = usize::try_from(offset).expect("an offset that fits in memory");
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done;
        let start = at % PAGE;
        let count = (PAGE - start).min(len - done);
        let outer = done..done + count;
        done += count;
        Some(Piece { page: at / PAGE, inner: start..start + count, outer })
    })
}
