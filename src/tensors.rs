//! The tensors in a file, read from its header: safetensors, and GGUF versions 2 and 3.
//!
//! Headers are hostile input. What is here reads bytes that somebody else has got, and no more of
//! them than the format's limit; nothing is allocated by a number that was not held against the bytes
//! there are; and a header about which there is any doubt is an error, because then the file is
//! better treated as bytes.

mod dtype;
mod gguf;
mod safetensors;

pub use dtype::Dtype;

use std::ops::Range;

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tensor {
    /// What it is called.
    pub name: String,
    /// What its elements are.
    pub dtype: Dtype,
    /// Its dimensions as the file has them: slowest first in safetensors, fastest first in GGUF.
    pub shape: Vec<u64>,
    /// Where its bytes are in the file.
    pub range: Range<u64>,
}

/// A format that has a header with tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.safetensors`
    Safetensors,
    /// `.gguf`
    Gguf,
}

/// Why a header has no tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header goes on behind the bytes that were given: so many are needed at least.
    Short {
        /// Bytes from the file's beginning.
        needed: u64,
    },
    /// It is none, or not one that is understood.
    Invalid {
        /// What is wrong.
        why: String,
    },
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Short { needed } => write!(f, "the header is longer than {needed} bytes"),
            Self::Invalid { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for HeaderError {}

impl Format {
    /// The format that a file's name tells.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let end = path.rsplit('.').next()?;
        if end.eq_ignore_ascii_case("safetensors") {
            Some(Self::Safetensors)
        } else if end.eq_ignore_ascii_case("gguf") {
            Some(Self::Gguf)
        } else {
            None
        }
    }

    /// The format of a file that begins with these bytes, whatever it is called.
    #[must_use]
    pub fn of_bytes(start: &[u8]) -> Option<Self> {
        if start.starts_with(b"GGUF") {
            return Some(Self::Gguf);
        }
        // A length, and an object.
        (start.get(6..10) == Some(b"\0\0{\"")).then_some(Self::Safetensors)
    }

    /// The tensors of a file of `len` bytes that begins with `start`, in the order of their bytes.
    ///
    /// # Errors
    /// [`HeaderError::Short`] when more of the file has to be given, [`HeaderError::Invalid`].
    pub fn parse(self, start: &[u8], len: u64) -> Result<Vec<Tensor>, HeaderError> {
        let mut tensors = match self {
            Self::Safetensors => safetensors::parse(start, len)?,
            Self::Gguf => gguf::parse(start, len)?,
        };
        tensors.sort_by(|a, b| {
            (a.range.start, a.range.end, &a.name).cmp(&(b.range.start, b.range.end, &b.name))
        });
        let mut end = 0;
        for tensor in &tensors {
            if tensor.range.start < end && !tensor.range.is_empty() {
                return Err(invalid(format!("the tensor {:?} overlaps another one", tensor.name)));
            }
            end = end.max(tensor.range.end);
        }
        let mut names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|two| two.first() == two.last()) {
            return Err(invalid(format!("there are two tensors {:?}", twice.first())));
        }
        Ok(tensors)
    }
}

fn invalid(why: impl Into<String>) -> HeaderError {
    HeaderError::Invalid { why: why.into() }
}

/// No honest file has more tensors: what a header makes us keep must not take the memory of a small
/// machine.
const MAX_TENSORS: usize = 1 << 16;

/// The bytes of a tensor of this shape. `None` when its rows are no whole blocks, or it is too large
/// to exist.
fn byte_len(dtype: Dtype, shape: &[u64], row: Option<u64>) -> Option<u64> {
    let elements = shape.iter().try_fold(1_u64, |all, side| all.checked_mul(*side))?;
    let (block, bytes) = (u64::from(dtype.block_elements()), u64::from(dtype.block_bytes()));
    if !row.unwrap_or(elements).is_multiple_of(block) {
        return None;
    }
    (elements / block).checked_mul(bytes)
}

#[cfg(test)]
mod tests;
