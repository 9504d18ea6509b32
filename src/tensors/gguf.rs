//! GGUF, versions 2 and 3, little-endian: counts, key-value pairs, descriptions of tensors, and
//! aligned data (ggml's docs/gguf.md).

use super::{Dtype, HeaderError, MAX_TENSORS, Tensor, byte_len, invalid};

/// No honest header is longer, in bytes.
const MAX_HEADER: u64 = 256 << 20;

/// ggml's own limit.
const MAX_DIMENSIONS: u32 = 4;

/// Arrays in arrays are allowed, and nobody writes them.
const MAX_DEPTH: u32 = 4;

const DEFAULT_ALIGNMENT: u64 = 32;

/// A description of a tensor takes at least so many bytes: a name's length, the number of
/// dimensions, a type, an offset.
const MIN_DESCRIPTION: u64 = 24;

pub(super) fn parse(start: &[u8], len: u64) -> Result<Vec<Tensor>, HeaderError> {
    let mut cursor = Cursor { bytes: start, at: 0, len };
    if cursor.take(4)? != b"GGUF" {
        return Err(invalid("it does not begin as GGUF does"));
    }
    match cursor.u32()? {
        2 | 3 => {}
        // The same numbers from the other end.
        version if version.swap_bytes() <= 3 => return Err(invalid("it is big-endian GGUF")),
        version => return Err(invalid(format!("its GGUF version is {version}, not 2 or 3"))),
    }
    let (tensors, pairs) = (cursor.u64()?, cursor.u64()?);
    if tensors > MAX_TENSORS as u64
        || tensors > len / MIN_DESCRIPTION
        || pairs > len / MIN_DESCRIPTION
    {
        return Err(invalid(format!("it cannot have {tensors} tensors and {pairs} keys")));
    }
    let mut alignment = DEFAULT_ALIGNMENT;
    for _ in 0..pairs {
        let key = cursor.string()?;
        let kind = cursor.u32()?;
        if key == b"general.alignment" && kind == U32 {
            alignment = u64::from(cursor.u32()?);
        } else {
            cursor.skip_value(kind, 0)?;
        }
    }
    if !alignment.is_power_of_two() || alignment > 1 << 20 {
        return Err(invalid(format!("its data cannot be aligned to {alignment} bytes")));
    }
    let mut found = Vec::new();
    for _ in 0..tensors {
        found.push(cursor.description()?);
    }
    let data = cursor
        .at
        .checked_next_multiple_of(alignment)
        .filter(|data| *data <= len || found.is_empty())
        .ok_or_else(|| invalid("its header is longer than the file"))?;
    found
        .into_iter()
        .map(|(name, dtype, shape, offset)| {
            let bytes = byte_len(dtype, &shape, Some(shape.first().copied().unwrap_or(1)))
                .ok_or_else(|| invalid(format!("{name:?} cannot have the shape {shape:?}")))?;
            let from = data.checked_add(offset).filter(|_| offset.is_multiple_of(alignment));
            let range = from.and_then(|from| Some(from..from.checked_add(bytes)?));
            let range = range
                .filter(|range| range.end <= len)
                .ok_or_else(|| invalid(format!("{name:?} is not within the file")))?;
            Ok(Tensor { name, dtype, shape, range })
        })
        .collect()
}

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// How many bytes a value of a type that has always as many takes.
fn width(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: u64,
    /// Of the whole file.
    len: u64,
}

impl<'b> Cursor<'b> {
    fn take(&mut self, count: u64) -> Result<&'b [u8], HeaderError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.len.min(MAX_HEADER));
        let end = end.ok_or_else(|| invalid("its header is longer than it can be"))?;
        let range = usize::try_from(self.at).ok().zip(usize::try_from(end).ok());
        let taken = range.and_then(|(from, to)| self.bytes.get(from..to));
        let taken = taken.ok_or(HeaderError::Short { needed: end })?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| invalid("its header ends too soon"))
    }

    fn u32(&mut self) -> Result<u32, HeaderError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, HeaderError> {
        self.array().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Result<&'b [u8], HeaderError> {
        let count = self.u64()?;
        self.take(count)
    }

    fn skip_value(&mut self, kind: u32, depth: u32) -> Result<(), HeaderError> {
        if let Some(width) = width(kind) {
            return self.take(width).map(drop);
        }
        match kind {
            STRING => self.string().map(drop),
            ARRAY if depth < MAX_DEPTH => {
                let (kind, count) = (self.u32()?, self.u64()?);
                if let Some(width) = width(kind) {
                    let bytes = count.checked_mul(width);
                    let bytes = bytes.ok_or_else(|| invalid("an array is too long"))?;
                    return self.take(bytes).map(drop);
                }
                // Each takes bytes, so a count that is a lie ends at the header's limit.
                for _ in 0..count {
                    self.skip_value(kind, depth + 1)?;
                }
                Ok(())
            }
            ARRAY => Err(invalid("its arrays are in arrays")),
            kind => Err(invalid(format!("a value has the unknown type {kind}"))),
        }
    }

    fn description(&mut self) -> Result<(String, Dtype, Vec<u64>, u64), HeaderError> {
        let name = self.string()?;
        let name = std::str::from_utf8(name).map_err(|_| invalid("a tensor's name is no text"))?;
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(invalid(format!("{name:?} has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        let kind = self.u32()?;
        let dtype = Dtype::of_gguf(kind)
            .ok_or_else(|| invalid(format!("{name:?} has the unknown type {kind}")))?;
        Ok((name.to_owned(), dtype, shape, self.u64()?))
    }
}
