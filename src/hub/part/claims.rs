//! What a pull's directory says that it has of a file: the `.groups` beside a part.
//!
//! For each group 32 bytes, its chaining value, and zeros where it is not there. A value that was
//! read is a claim: it is believed when the bytes have it.

use crate::digest::Upstream;
use crate::digest::tree::Cv;
use crate::error::{FsError, StoreError};
use crate::fs::{Dir, File, Open};
use crate::store::partial::groups_name;

/// The file, open.
#[derive(Debug)]
pub(super) struct Claims(File);

impl Claims {
    /// Opens or makes it, and reads the values of `count` groups.
    pub fn open(
        dir: &Dir,
        upstream: &Upstream,
        count: usize,
    ) -> Result<(Self, Vec<Cv>), StoreError> {
        let file = dir.open_file(groups_name(upstream), Open::Ensure)?;
        let limit = count as u64 * 32;
        if file.stat()?.size > limit {
            file.set_len(limit)?;
        }
        let bytes = file.read_all(limit)?;
        let mut cvs = bytes.as_chunks::<32>().0.to_vec();
        cvs.resize(count, [0; 32]);
        Ok((Self(file), cvs))
    }

    /// Says that a group is there.
    pub fn set(&self, index: usize, cv: Cv) -> Result<(), FsError> {
        self.0.write_at(&cv, index as u64 * 32)
    }
}
