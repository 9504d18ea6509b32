//! Verification of just what is touched, by the MiB.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::BlobHash;
use crate::digest::tree::{Cv, GROUP, chaining_value, group_count, root_from_groups};

/// Which groups of a file are verified.
#[derive(Debug)]
pub(super) struct Touched {
    blob: BlobHash,
    /// The chaining values of the file's groups, once they proved themselves.
    groups: OnceLock<Vec<Cv>>,
    /// What the index has of them.
    known: Option<Vec<Cv>>,
    /// A bit for each group that is verified.
    done: Vec<AtomicU64>,
}

/// What is wrong: a range of bytes, or all of them.
pub(super) type Wrong = Range<u64>;

impl Touched {
    pub fn new(blob: BlobHash, size: u64, known: Option<Vec<Cv>>) -> Self {
        let words = group_count(size).max(1).div_ceil(64);
        let done = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { blob, groups: OnceLock::new(), known, done }
    }

    /// Verifies the groups that `range` of the file `bytes` touches, those that are not yet. Several
    /// threads that touch one group may verify it each.
    pub fn verify(&self, bytes: &[u8], range: &Range<u64>) -> Result<(), Wrong> {
        let size = bytes.len() as u64;
        if range.is_empty() && size > 0 {
            return Ok(());
        }
        if group_count(size) == 0 {
            return self.once(0, || BlobHash::of(bytes) == self.blob).map_err(|()| 0..size);
        }
        let groups = self.groups(bytes).ok_or(0..size)?;
        for index in range.start / GROUP..range.end.div_ceil(GROUP) {
            let start = index * GROUP;
            let wrong = start..(start + GROUP).min(size);
            let is_right = || {
                let group = part(bytes, &wrong);
                let found = group.and_then(|group| chaining_value(start, group));
                let expected = usize::try_from(index).ok().and_then(|index| groups.get(index));
                found.as_ref() == expected && found.is_some()
            };
            self.once(index, is_right).map_err(|()| wrong.clone())?;
        }
        Ok(())
    }

    fn once(&self, index: u64, is_right: impl FnOnce() -> bool) -> Result<(), ()> {
        let word =
            usize::try_from(index / 64).ok().and_then(|word| self.done.get(word)).ok_or(())?;
        let bit = 1 << (index % 64);
        if word.load(Ordering::Acquire) & bit != 0 {
            return Ok(());
        }
        if !is_right() {
            return Err(());
        }
        word.fetch_or(bit, Ordering::Release);
        Ok(())
    }

    /// The chaining values, which must merge to the blob's hash. Where the index has none, or has
    /// wrong ones, they are those of the file, and all of it is read once.
    fn groups(&self, bytes: &[u8]) -> Option<&[Cv]> {
        if let Some(groups) = self.groups.get() {
            return Some(groups);
        }
        let size = bytes.len() as u64;
        let proven = |groups: &Vec<Cv>| {
            root_from_groups(size, groups).is_ok_and(|root| root == *self.blob.as_bytes())
        };
        let known = self.known.clone().filter(proven);
        let groups = known.or_else(|| {
            let chunks = bytes.chunks(usize::try_from(GROUP).ok()?);
            let own: Option<Vec<Cv>> =
                (0_u64..).zip(chunks).map(|(i, chunk)| chaining_value(i * GROUP, chunk)).collect();
            own.filter(proven)
        })?;
        Some(self.groups.get_or_init(|| groups))
    }
}

fn part<'b>(bytes: &'b [u8], range: &Range<u64>) -> Option<&'b [u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}
