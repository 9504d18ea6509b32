//! Bytes of a part as they come from the network.

use super::Part;
use crate::digest::tree::{GROUP, GroupHasher, TreeError};
use crate::error::FsError;
use crate::hub::hasher::Hasher;

/// How much is written at a time: a power of two that divides a group.
const BLOCK: u64 = 256 << 10;

/// Writes bytes in order from a group's start, and hashes each group on its way.
///
/// Frames of the network have any length. Gathered to aligned blocks they cost the file system less
/// than half, and the hash function likes them better too.
#[derive(Debug)]
pub(in crate::hub) struct Writer<'p> {
    part: &'p Part,
    /// Where the next byte goes.
    at: u64,
    /// The bytes before it that are not written yet.
    block: Vec<u8>,
    hasher: Option<GroupHasher>,
    /// The upstream's digest, when this is where the file is digested.
    lead: Option<Hasher>,
}

impl<'p> Writer<'p> {
    pub fn new(part: &'p Part, at: u64) -> Self {
        Self { part, at, block: Vec::with_capacity(BLOCK as usize), hasher: None, lead: None }
    }

    /// Where the next byte goes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Takes `bytes`, and writes what is whole. True when a thread must digest what there is now.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<bool, FsError> {
        let mut wake = false;
        while !bytes.is_empty() {
            let end = ((self.at / BLOCK + 1) * BLOCK).min(self.part.size);
            let room = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let Some((now, later)) = bytes.split_at_checked(room.min(bytes.len())) else { break };
            if now.is_empty() {
                break; // behind the file's end
            }
            bytes = later;
            self.at += now.len() as u64;
            if self.at < end {
                self.block.extend_from_slice(now);
            } else if self.block.is_empty() {
                wake |= self.flush(now)?;
            } else {
                let mut block = std::mem::take(&mut self.block);
                block.extend_from_slice(now);
                wake |= self.flush(&block)?;
                block.clear();
                self.block = block;
            }
        }
        Ok(wake)
    }

    /// Writes a block that ends at `at`.
    fn flush(&mut self, block: &[u8]) -> Result<bool, FsError> {
        let start = self.at - block.len() as u64;
        let group = start / GROUP * GROUP;
        let mut hasher = match self.hasher.take() {
            Some(hasher) => hasher,
            None => {
                self.lead = self.part.lead(group);
                GroupHasher::new(group).map_err(|e| self.part.misused(e))?
            }
        };
        hasher.update(block).map_err(|e| self.part.misused(e))?;
        self.part.write(block, start)?;
        if let Some(lead) = &mut self.lead {
            lead.update(block);
        }
        if self.at < (group + GROUP).min(self.part.size) {
            self.hasher = Some(hasher);
            return Ok(false);
        }
        let cv = hasher.finish().map_err(|e| self.part.misused(e))?;
        self.part.finish(group, cv, self.lead.take())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if self.lead.is_some() {
            self.part.unlead();
        }
    }
}

impl Part {
    /// A defect of this program.
    pub(super) fn misused(&self, error: TreeError) -> FsError {
        FsError::new("hash", self.file.path(), std::io::Error::other(error))
    }
}
