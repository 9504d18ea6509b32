//! Files in segments: the payloads of tensors, or chunks that the content itself delimits.
//!
//! Two files that have a tensor in common have it at different places, between different others. So
//! a file is cut where its tensors begin and end, each of more than a MiB into MiBs from its own
//! beginning, and each segment gets a hash of its own. A file without tensors, or with a header
//! about which there is any doubt, is cut by its content.
//!
//! The hash is XXH3 with 128 bits: a hint for where equal bytes are, at a small part of what another
//! BLAKE3 would cost. Bytes are compared before anything is shared.

mod content;
#[cfg(feature = "hub")]
mod feed;
mod hasher;
mod regions;

use std::io;
use std::sync::Arc;

#[cfg(feature = "hub")]
pub(crate) use feed::Feed;
pub(crate) use hasher::{SegmentHasher, hash_of, join};
pub(crate) use regions::Regions;

use crate::digest::stream::Bytes;
#[cfg(feature = "hub")]
use crate::digest::stream::{Buffer, StreamError, stream};
use crate::tensors::{Format, HeaderError, Tensor};

/// The longest segment, in bytes.
pub(crate) const SEGMENT: u64 = 1 << 20;

/// Files that are shorter share nothing: looking would cost more than there is to gain.
pub(crate) const LEAST: u64 = 64 << 10;

/// Files without tensors that are shorter are not cut.
const LEAST_CONTENT: u64 = 1 << 20;

/// No honest file needs a longer header, in bytes, and reading it must not take the memory of a
/// small machine. GGUF has its vocabulary in it: 20 MiB are seen.
const MAX_HEADER: u64 = 32 << 20;

/// What is read of a file first, in bytes: most headers of safetensors are not longer.
pub(crate) const FIRST: u64 = 64 << 10;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it begins.
    pub offset: u64,
    /// At most [`SEGMENT`].
    pub len: u32,
    pub hash: u128,
}

impl Segment {
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }
}

/// Where a file is cut.
#[derive(Clone, Debug)]
pub(crate) enum Cutting {
    /// At its tensors.
    Tensors(Arc<Regions>),
    /// By its content.
    Content,
}

impl Cutting {
    /// Where a file of `len` bytes is cut; `None` when it is not worth it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(source: &dyn Bytes, len: u64) -> io::Result<Option<Self>> {
        if len < LEAST {
            return Ok(None);
        }
        let tensors = tensors_of(source, len)?.and_then(|(_, tensors)| tensors.ok());
        Ok(Self::at(tensors.as_deref(), len))
    }

    fn at(tensors: Option<&[Tensor]>, len: u64) -> Option<Self> {
        match tensors {
            Some(tensors) => Some(Self::Tensors(Arc::new(Regions::new(tensors, len)))),
            None => (len >= LEAST_CONTENT).then_some(Self::Content),
        }
    }
}

/// What a header is, and its tensors, or why there are none.
pub(crate) type Parsed = (Format, Result<Vec<Tensor>, HeaderError>);

/// The tensors of a file of `len` bytes, as its header has them, or why there are none. `None` when
/// it does not begin as files with tensors do.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn tensors_of(source: &dyn Bytes, len: u64) -> io::Result<Option<Parsed>> {
    let mut header = Vec::new();
    let mut wanted = FIRST;
    loop {
        read_to(&mut header, wanted.min(len), source)?;
        match look(&header, len) {
            Header::Tensors(format, tensors) => return Ok(Some((format, tensors))),
            Header::Other => return Ok(None),
            Header::Longer(more) => wanted = more,
        }
    }
}

/// What the first bytes of a file say.
pub(crate) enum Header {
    /// That it has tensors: these, or none for there is doubt.
    Tensors(Format, Result<Vec<Tensor>, HeaderError>),
    /// That it is something else.
    Other,
    /// Nothing yet: so many bytes are wanted, more than there were.
    Longer(u64),
}

/// Looks at the first bytes of a file of `len` bytes: [`FIRST`] of them, all, or as many as were
/// wanted.
pub(crate) fn look(header: &[u8], len: u64) -> Header {
    let Some(format) = Format::of_bytes(header) else { return Header::Other };
    let found = format.parse(header, len);
    if let Err(HeaderError::Short { needed }) = found
        && needed <= len.min(MAX_HEADER)
    {
        let more = needed.max(header.len() as u64 * 2).min(MAX_HEADER).min(len);
        // Otherwise the file ends where it should not.
        if more > header.len() as u64 {
            return Header::Longer(more);
        }
    }
    Header::Tensors(format, found)
}

/// Reads on until `header` has `len` bytes, or the source ends.
fn read_to(header: &mut Vec<u8>, len: u64, source: &dyn Bytes) -> io::Result<()> {
    let mut filled = header.len();
    header.resize(usize::try_from(len).unwrap_or(filled).max(filled), 0);
    while let Some(rest) = header.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    header.truncate(filled);
    Ok(())
}

/// The segments of a file of `len` bytes, which is read for them.
///
/// # Errors
/// When it cannot be read, or is shorter.
#[cfg(feature = "hub")]
pub(crate) fn segments_of(source: &dyn Bytes, len: u64) -> io::Result<Vec<Segment>> {
    let Some(cutting) = Cutting::of(source, len)?.map(Arc::new) else {
        return Ok(Vec::new());
    };
    let mut hasher = SegmentHasher::new(cutting.clone(), 0);
    let mut buffer = Buffer::one_of(1);
    stream(source, None, 0..len, &mut buffer, |bytes| {
        hasher.update(bytes);
        Ok::<_, StreamError>(())
    })
    .map_err(io::Error::other)?;
    Ok(join(&cutting, hasher.found()))
}

#[cfg(test)]
mod tests;
