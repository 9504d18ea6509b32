//! Moving the bytes of a file through one small buffer.
//!
//! Each slice is hashed, and written to the destination, while it is still in
//! the processor's cache: that is why reading costs less here than the page
//! faults of a memory map would.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;

/// How many bytes are read, hashed and written at a time, at most. Larger reads
/// mean fewer system calls; beyond this, data would leave the caches.
const SLICE_MAX: usize = 1 << 20;

/// The same, at least: a hash function needs long inputs for its wide
/// instructions.
const SLICE_MIN: usize = 64 << 10;

/// How much memory the buffers of all threads take together, if their number
/// is not absurd.
const ALL_BUFFERS: usize = 8 << 20;

/// Where the buffer starts in memory. The kernel copies a page to a page-aligned
/// address markedly faster than to one that is a few bytes off, which is what
/// an ordinary large allocation is.
const ALIGN: usize = 4096;

/// Where the bytes of a file come from.
pub trait Bytes: Send + Sync {
    /// Reads some bytes at `offset`, as `pread` does; 0 means end of file.
    ///
    /// # Errors
    ///
    /// Whatever the source reports; after `Interrupted` the read is repeated.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Says that these bytes will be read soon. This is only a hint.
    fn will_need(&self, _range: Range<u64>) {}
}

impl<B: Bytes + ?Sized> Bytes for &B {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }

    fn will_need(&self, range: Range<u64>) {
        (**self).will_need(range);
    }
}

/// Where a copy of the bytes goes.
pub trait Sink: Send + Sync {
    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    ///
    /// Whatever the destination reports.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
}

/// Why bytes could not be moved.
#[derive(Debug)]
pub enum StreamError {
    /// The source could not be read.
    Read(io::Error),
    /// The copy could not be written.
    Write(io::Error),
    /// The source ended before its stated length.
    Shrunk {
        /// Where it ended.
        at: u64,
    },
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot read: {error}"),
            Self::Write(error) => write!(f, "cannot write: {error}"),
            Self::Shrunk { at } => write!(f, "the file shrank to {at} bytes while it was read"),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) | Self::Write(error) => Some(error),
            Self::Shrunk { .. } => None,
        }
    }
}

/// A page-aligned buffer, made once for each thread.
#[derive(Debug)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    size: usize,
}

impl Buffer {
    /// Allocates the buffer of one of `threads` threads. Its size is a power
    /// of two from 64 KiB to 1 MiB.
    #[must_use]
    pub fn one_of(threads: usize) -> Self {
        let share = (ALL_BUFFERS / threads.max(1)).clamp(SLICE_MIN, SLICE_MAX);
        let size = 1 << share.ilog2();
        let memory = vec![0; size + ALIGN];
        // The offset may be unknown in theory; then the buffer is unaligned,
        // which is slower but not wrong.
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { memory, start, size }
    }

    /// The first `len` bytes, or all if there are fewer.
    fn slice(&mut self, len: u64) -> &mut [u8] {
        let len = usize::try_from(len).map_or(self.size, |len| len.min(self.size));
        self.memory.get_mut(self.start..self.start + len).unwrap_or_default()
    }
}

/// Reads `range` of `source` in order, hands every slice to `inspect`, and
/// writes it to the same place in `sink`.
///
/// All slices but the last fill the buffer, whatever the source's reads return: a hash function is fastest with long inputs of equal length.
///
/// # Errors
///
/// The first failed read or write, the first error of `inspect`, or
/// [`StreamError::Shrunk`] if the source ends within `range`.
pub fn stream<E: From<StreamError>>(
    source: &dyn Bytes,
    sink: Option<&dyn Sink>,
    range: Range<u64>,
    buffer: &mut Buffer,
    mut inspect: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut offset = range.start;
    while offset < range.end {
        let slice = buffer.slice(range.end - offset);
        fill(source, slice, offset)?;
        inspect(slice)?;
        if let Some(sink) = sink {
            sink.write_at(slice, offset).map_err(StreamError::Write)?;
        }
        offset += slice.len() as u64;
    }
    Ok(())
}

/// Reads until `slice` is full.
pub(super) fn fill(source: &dyn Bytes, slice: &mut [u8], offset: u64) -> Result<(), StreamError> {
    let mut filled = 0;
    while let Some(rest) = slice.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset + filled as u64;
        match source.read_at(rest, at) {
            Ok(0) => return Err(StreamError::Shrunk { at }),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(StreamError::Read(error)),
        }
    }
    Ok(())
}
