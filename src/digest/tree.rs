//! BLAKE3 subtree arithmetic.
//!
//! A file is cut into *groups* of [`GROUP`] bytes. Every group is a complete
//! BLAKE3 subtree (only the last one may be short), so groups can be hashed in
//! any order, on any thread, and merged afterwards into exactly the hash that
//! `blake3::hash` gives for the whole file.
//!
//! A file of at most one group has no subtree to merge: its hash needs the
//! root finalization, which a plain `blake3::Hasher` does.

use blake3::Hasher;
use blake3::hazmat::{
    HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use std::fmt;

/// The size of a group in bytes: 1 MiB.
///
/// It is a power of two, so equal groups always fall on subtree boundaries,
/// and 32 bytes for every 1 MiB keep a terabyte's chaining values at 32 MiB.
pub const GROUP: u64 = 1 << 20;

/// The chaining value (non-root hash) of a subtree.
pub type Cv = [u8; 32];

/// Why chaining values could not be computed or merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// A group has to start at a multiple of [`GROUP`].
    Misaligned {
        /// The refused start.
        offset: u64,
    },
    /// A group holds at least one byte and at most [`GROUP`] bytes.
    GroupLength {
        /// The length that the group has, or would have had.
        len: u64,
    },
    /// A file of at most one group is hashed whole, not from groups.
    TooSmall {
        /// The length of the file.
        total_len: u64,
    },
    /// The number of chaining values does not fit the length of the file.
    GroupCount {
        /// How many groups the file has.
        expected: u64,
        /// How many chaining values were given.
        found: u64,
    },
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned { offset } => write!(f, "no hash group starts at offset {offset}"),
            Self::GroupLength { len } => write!(f, "a hash group cannot hold {len} bytes"),
            Self::TooSmall { total_len } => {
                write!(f, "a file of {total_len} bytes has no hash groups to merge")
            }
            Self::GroupCount { expected, found } => {
                write!(f, "expected {expected} hash groups, found {found}")
            }
        }
    }
}

impl std::error::Error for TreeError {}

/// How many groups a file of `total_len` bytes has; 0 if it is hashed whole.
#[must_use]
pub const fn group_count(total_len: u64) -> u64 {
    if total_len <= GROUP { 0 } else { total_len.div_ceil(GROUP) }
}

/// Hashes the bytes of one group to its chaining value.
///
/// Updates of 64 KiB or more, in powers of two, keep all SIMD lanes busy.
#[derive(Debug)]
pub struct GroupHasher {
    hasher: Hasher,
    len: u64,
}

impl GroupHasher {
    /// Starts the group at `offset` in the file, a multiple of [`GROUP`].
    ///
    /// # Errors
    ///
    /// [`TreeError::Misaligned`] if no group starts at `offset`.
    pub fn new(offset: u64) -> Result<Self, TreeError> {
        if !offset.is_multiple_of(GROUP) {
            return Err(TreeError::Misaligned { offset });
        }
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset);
        Ok(Self { hasher, len: 0 })
    }

    /// Adds the next bytes of the group.
    ///
    /// # Errors
    ///
    /// [`TreeError::GroupLength`] if the group would grow beyond [`GROUP`];
    /// the bytes are then not added.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        // Checked here because BLAKE3 panics on an overlong subtree, and only
        // for groups other than the first.
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > GROUP {
            return Err(TreeError::GroupLength { len });
        }
        self.hasher.update(bytes);
        self.len = len;
        Ok(())
    }

    /// The chaining value of the bytes added so far.
    ///
    /// # Errors
    ///
    /// [`TreeError::GroupLength`] if there were none: no subtree is empty.
    pub fn finish(self) -> Result<Cv, TreeError> {
        if self.len == 0 {
            return Err(TreeError::GroupLength { len: 0 });
        }
        Ok(self.hasher.finalize_non_root())
    }
}

/// The chaining value of the group `bytes` at `offset`. `None` when there can be no such group.
pub(crate) fn chaining_value(offset: u64, bytes: &[u8]) -> Option<Cv> {
    let mut hasher = GroupHasher::new(offset).ok()?;
    hasher.update(bytes).ok()?;
    hasher.finish().ok()
}

/// Merges the chaining values of all groups of a file, in file order, into
/// the file's ordinary BLAKE3 hash.
///
/// # Errors
///
/// [`TreeError::TooSmall`] if the file has no groups ([`group_count`] is 0),
/// [`TreeError::GroupCount`] if `groups` has a different number of them.
pub fn root_from_groups(total_len: u64, groups: &[Cv]) -> Result<[u8; 32], TreeError> {
    let expected = group_count(total_len);
    let found = groups.len() as u64;
    if expected == 0 {
        return Err(TreeError::TooSmall { total_len });
    }
    if expected != found {
        return Err(TreeError::GroupCount { expected, found });
    }
    let (left, right) = split(total_len, groups)?;
    let hash = merge_subtrees_root(&subtree(left)?, &subtree(right)?, Mode::Hash);
    Ok(*hash.as_bytes())
}

/// A run of groups together with the number of bytes that they cover.
type Run<'a> = (u64, &'a [Cv]);

/// The chaining value of one or more groups. The recursion is as deep as the
/// tree: at most 44 levels for the longest possible file.
fn subtree((len, groups): Run<'_>) -> Result<Cv, TreeError> {
    if let [only] = groups {
        return Ok(*only);
    }
    let (left, right) = split(len, groups)?;
    Ok(merge_subtrees_non_root(&subtree(left)?, &subtree(right)?, Mode::Hash))
}

/// Splits two or more groups where BLAKE3 splits the bytes that they cover.
fn split(len: u64, groups: &[Cv]) -> Result<(Run<'_>, Run<'_>), TreeError> {
    // A run longer than one group has a left side of at least one whole group,
    // a power of two; so the division below is exact.
    let left_len = left_subtree_len(len);
    let count = usize::try_from(left_len / GROUP).unwrap_or(usize::MAX);
    match groups.split_at_checked(count) {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => {
            Ok(((left_len, left), (len - left_len, right)))
        }
        _ => Err(TreeError::GroupCount { expected: group_count(len), found: groups.len() as u64 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = GROUP as usize;

    fn sample(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut reader = Hasher::new().update(b"tree sample").finalize_xof();
        reader.fill(&mut bytes);
        bytes
    }

    /// Hashes through the groups, feeding `cut` bytes at a time.
    fn by_groups(bytes: &[u8], cut: usize) -> [u8; 32] {
        if group_count(bytes.len() as u64) == 0 {
            return *blake3::hash(bytes).as_bytes();
        }
        let cvs: Vec<Cv> = (0..)
            .zip(bytes.chunks(MIB))
            .map(|(index, group)| {
                let mut hasher = GroupHasher::new(index * GROUP).unwrap();
                for part in group.chunks(cut) {
                    hasher.update(part).unwrap();
                }
                hasher.finish().unwrap()
            })
            .collect();
        root_from_groups(bytes.len() as u64, &cvs).unwrap()
    }

    #[test]
    fn agrees_with_plain_blake3() {
        let all = sample(17 * MIB + 123);
        let sizes = [
            0,
            1,
            1023,
            1024,
            1025,
            MIB - 1,
            MIB,
            MIB + 1,
            2 * MIB,
            2 * MIB + 1,
            3 * MIB + 5,
            4 * MIB,
            5 * MIB,
            8 * MIB - 1,
            17 * MIB + 123,
        ];
        for size in sizes {
            let bytes = &all[..size];
            let expected = *blake3::hash(bytes).as_bytes();
            for cut in [MIB, 64 << 10, 65_537, 1000, 4099] {
                assert_eq!(by_groups(bytes, cut), expected, "size {size}, cut {cut}");
            }
        }
    }

    #[test]
    fn counts_groups() {
        let cases =
            [(0, 0), (1, 0), (GROUP, 0), (GROUP + 1, 2), (2 * GROUP, 2), (2 * GROUP + 1, 3)];
        for (len, count) in cases {
            assert_eq!(group_count(len), count, "length {len}");
        }
        assert_eq!(group_count(u64::MAX), 1 << 44);
    }

    #[test]
    fn refuses_impossible_groups() {
        assert_eq!(GroupHasher::new(1024).err(), Some(TreeError::Misaligned { offset: 1024 }));
        let mut hasher = GroupHasher::new(0).unwrap();
        hasher.update(&sample(MIB)).unwrap();
        assert_eq!(hasher.update(b"x"), Err(TreeError::GroupLength { len: GROUP + 1 }));
        let empty = GroupHasher::new(GROUP).unwrap();
        assert_eq!(empty.finish(), Err(TreeError::GroupLength { len: 0 }));
    }

    #[test]
    fn refuses_the_wrong_number_of_groups() {
        let cv = [0; 32];
        assert_eq!(root_from_groups(GROUP, &[cv]), Err(TreeError::TooSmall { total_len: GROUP }));
        assert_eq!(
            root_from_groups(GROUP + 1, &[cv; 3]),
            Err(TreeError::GroupCount { expected: 2, found: 3 })
        );
        assert_eq!(
            root_from_groups(3 * GROUP, &[cv; 2]),
            Err(TreeError::GroupCount { expected: 3, found: 2 })
        );
    }
}
