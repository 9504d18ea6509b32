//! Who reads a part while it comes.

use std::collections::BTreeSet;
use std::ops::Range;

use tokio::sync::futures::Notified;

use super::{Group, Part, SEGMENT, State, index_of};
use crate::digest::tree::{GROUP, GroupHasher};
use crate::error::StoreError;

/// What a reader finds at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::hub) enum Readable {
    /// So many bytes, at least 1, that came over the network in this process, or were proven.
    Bytes(u64),
    /// Bytes that an earlier process says it fetched: see [`Part::prove`].
    Claimed,
    /// Nothing yet.
    Nothing,
}

impl Part {
    /// Ends when anything about it changes after this call.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// What can be read at `offset`, which is within the file.
    pub fn readable(&self, offset: u64) -> Readable {
        let state = self.state();
        let (index, within) = (index_of(offset), offset % GROUP);
        match state.groups.get(index) {
            Some(Group::There) => Readable::Bytes(self.len_of(index) - within),
            Some(Group::Claimed) => Readable::Claimed,
            _ => match state.written.get(&index) {
                Some(written) if *written > within => Readable::Bytes(written - within),
                _ => Readable::Nothing,
            },
        }
    }

    /// Whether all before `offset` is there, or said to be.
    pub fn has_all_before(&self, offset: u64) -> bool {
        let state = self.state();
        let there = |group: &Group| matches!(group, Group::There | Group::Claimed);
        state.groups.iter().take(index_of(offset)).all(there)
    }

    /// Says that somebody waits for these bytes. True when a worker is to fetch some of them.
    pub fn want(&self, bytes: Range<u64>) -> bool {
        let mut state = self.state();
        let state = &mut *state;
        let Some(wanted) = &mut state.wanted else { return false };
        let before = wanted.len();
        for index in index_of(bytes.start)..index_of(bytes.end.next_multiple_of(GROUP)) {
            if state.groups.get(index) == Some(&Group::Missing) {
                wanted.insert(index);
            }
        }
        wanted.len() > before
    }

    /// Says that somebody wants all of it, which gets its room on the disk now.
    ///
    /// # Errors
    /// What the file system says, of a full disk too.
    pub fn want_all(&self) -> Result<(), StoreError> {
        if self.state().wanted.is_some() {
            self.file.reserve(self.size)?;
            self.state().wanted = None;
        }
        Ok(())
    }

    /// Reads the group at `offset`, of which an earlier process says that it came, and takes it for
    /// there when it has the value that it should have.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn prove(&self, offset: u64) -> Result<(), StoreError> {
        let index = index_of(offset);
        let start = index as u64 * GROUP;
        let Some(cv) = self.claimed(index) else { return Ok(()) };
        let mut bytes = vec![0; usize::try_from(self.len_of(index)).unwrap_or(0)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, start + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let mut hasher = GroupHasher::new(start).map_err(|e| self.misused(e))?;
        hasher.update(bytes.get(..filled).unwrap_or_default()).map_err(|e| self.misused(e))?;
        let right = hasher.finish().is_ok_and(|found| found == cv);
        let mut state = self.state();
        // The thread that digests judges the group that it is at.
        if state.groups.get(index) == Some(&Group::Claimed) && (right || index > state.digested) {
            if let Some(group) = state.groups.get_mut(index) {
                *group = if right { Group::There } else { Group::Missing };
            }
            if !right {
                state.first_missing = state.first_missing.min(index);
            }
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    fn claimed(&self, index: usize) -> Option<[u8; 32]> {
        let state = self.state();
        (state.groups.get(index) == Some(&Group::Claimed)).then(|| state.cvs.get(index).copied())?
    }
}

impl State {
    /// Groups in a row that readers want, now the caller's to fetch: the first, and how many.
    pub(super) fn take_wanted(&mut self) -> Option<(usize, usize)> {
        let Self { groups, wanted, .. } = self;
        let wanted: &mut BTreeSet<usize> = wanted.as_mut()?;
        wanted.retain(|index| groups.get(*index) == Some(&Group::Missing));
        let start = *wanted.first()?;
        let mut run = 0;
        while run < SEGMENT && wanted.remove(&(start + run)) {
            if let Some(group) = groups.get_mut(start + run) {
                *group = Group::Busy;
            }
            run += 1;
        }
        Some((start, run))
    }
}
