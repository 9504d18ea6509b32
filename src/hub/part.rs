//! A file on its way: its bytes on disk, and which of its groups are there.

mod checkpoint;
mod claims;
mod readers;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::hasher::Hasher;
use crate::digest::Upstream;
use crate::digest::segments::Segment;
use crate::digest::tree::{Cv, GROUP, TreeError, group_count, root_from_groups};
use crate::error::{FsError, StoreError};
use crate::fs::{Dir, File, Open};
use crate::store::partial::{digest_name, groups_name, part_name};
use claims::Claims;
pub(super) use readers::Readable;
pub(super) use writer::Writer;

/// How much one request asks for, in groups. A retry costs little, and the bytes come nearly in the
/// order in which they are to be digested.
const SEGMENT: usize = 16;

/// Whether a group is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Missing,
    /// An earlier process says that it came: believed when its bytes have the chaining value.
    Claimed,
    /// A worker fetches it.
    Busy,
    /// It came, or its claim was proven.
    There,
}

/// A file of several groups.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    /// `None` when the part was complete and may not be written.
    claims: Option<Claims>,
    /// How far it is digested, for the next process.
    noted: File,
    upstream: Upstream,
    size: u64,
    state: Mutex<State>,
    /// The upstream's digest of the groups that are digested.
    hasher: Mutex<Hasher>,
    /// The segments of these groups.
    segments: Mutex<Vec<Segment>>,
    /// Held while bytes are written.
    turn: Mutex<()>,
    /// Bytes that were written and not made durable.
    unflushed: AtomicU64,
    flushing: AtomicBool,
    /// All that was written is on the disk.
    durable: AtomicBool,
    /// Bytes came, or turned out to be right or wrong: who reads the part looks again.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    groups: Vec<Group>,
    cvs: Vec<Cv>,
    /// No group before this one is missing.
    first_missing: usize,
    /// Groups that are digested: the first ones.
    digested: usize,
    /// Whether somebody digests, or is going to.
    digesting: bool,
    /// How many bytes of groups that workers fetch are written, for those who read meanwhile.
    written: BTreeMap<usize, u64>,
    /// The groups that readers want, when nobody wants the whole file.
    wanted: Option<BTreeSet<usize>>,
}

/// What there is to digest next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This group, which must have the chaining value if there is one.
    Group { range: Range<u64>, prove: Option<Cv> },
    /// Nothing yet.
    Wait,
    /// All was digested.
    End,
}

impl Part {
    /// Opens what is there of a file in a pull's directory, or begins it. `whole`: all of it is to be
    /// fetched, and gets its room now; else only what readers [`want`](Self::want).
    ///
    /// # Errors
    /// What the file system says, of a full disk too.
    pub fn open(
        dir: &Dir,
        upstream: &Upstream,
        size: u64,
        whole: bool,
    ) -> Result<Self, StoreError> {
        let name = part_name(upstream);
        let count = usize::try_from(group_count(size)).unwrap_or(usize::MAX);
        match dir.stat(&name) {
            // It was complete when its mode was set, and may be a blob's inode by now: I1.
            Ok(stat) if stat.mode & 0o222 == 0 => {
                let (_, cvs) = Claims::open(dir, upstream, count)?;
                if stat.size == size && cvs.iter().all(|cv| *cv != [0; 32]) {
                    let file = dir.open_file(&name, Open::Read)?;
                    return Self::new(dir, file, None, upstream, size, (cvs, true));
                }
                Self::discard(dir, upstream)?;
            }
            Ok(_) => {}
            // Values without their part prove nothing.
            Err(e) if e.is_not_found() => Self::discard(dir, upstream)?,
            Err(e) => return Err(e.into()),
        }
        let file = dir.open_file(&name, Open::Ensure)?;
        if file.stat()?.size > size {
            file.set_len(size)?;
        }
        let (claims, cvs) = Claims::open(dir, upstream, count)?;
        // What is complete has its room, and keeps its time of change.
        if whole && cvs.contains(&[0; 32]) {
            file.reserve(size)?;
        }
        Self::new(dir, file, Some(claims), upstream, size, (cvs, whole))
    }

    fn new(
        dir: &Dir,
        file: File,
        claims: Option<Claims>,
        upstream: &Upstream,
        size: u64,
        (cvs, whole): (Vec<Cv>, bool),
    ) -> Result<Self, StoreError> {
        let claim = |cv: &Cv| if *cv == [0; 32] { Group::Missing } else { Group::Claimed };
        let state = State {
            groups: cvs.iter().map(claim).collect(),
            cvs,
            first_missing: 0,
            digested: 0,
            digesting: false,
            written: BTreeMap::new(),
            wanted: (!whole).then(BTreeSet::new),
        };
        let hasher = Mutex::new(Hasher::like(upstream, size));
        let part = Self {
            file,
            claims,
            noted: dir.open_file(digest_name(upstream), Open::Ensure)?,
            upstream: *upstream,
            size,
            state: Mutex::new(state),
            hasher,
            segments: Mutex::default(),
            turn: Mutex::new(()),
            unflushed: AtomicU64::new(0),
            flushing: AtomicBool::new(false),
            durable: AtomicBool::new(false),
            changed: Notify::new(),
        };
        // What an earlier process wrote may not be on the disk yet.
        part.unflushed.store(part.have(), Ordering::Relaxed);
        part.resume_digest()?;
        Ok(part)
    }

    /// Removes what is there of a file.
    pub fn discard(dir: &Dir, upstream: &Upstream) -> Result<(), StoreError> {
        // The values first: a part without them is empty.
        for name in [digest_name(upstream), groups_name(upstream), part_name(upstream)] {
            match dir.remove_file(name) {
                Err(e) if !e.is_not_found() => return Err(e.into()),
                _ => {}
            }
        }
        Ok(())
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that are there, or are said to be.
    pub fn have(&self) -> u64 {
        let state = self.state();
        let there = |group: &Group| matches!(group, Group::Claimed | Group::There);
        let each = state.groups.iter().enumerate().filter(|(_, group)| there(group));
        each.map(|(index, _)| self.len_of(index)).sum()
    }

    /// The bytes of some missing groups in a row, which are the caller's to fetch now.
    pub fn take(&self) -> Option<Range<u64>> {
        let mut state = self.state();
        if state.wanted.is_some() {
            return state.take_wanted().map(|(start, run)| self.bytes_of(start, run));
        }
        let from = state.first_missing;
        let missing = |group: &Group| *group == Group::Missing;
        let start = from + state.groups.iter().skip(from).position(missing)?;
        let run = state.groups.iter().skip(start).take(SEGMENT).take_while(|g| missing(g)).count();
        for group in state.groups.iter_mut().skip(start).take(run) {
            *group = Group::Busy;
        }
        state.first_missing = start + run;
        Some(self.bytes_of(start, run))
    }

    fn bytes_of(&self, start: usize, run: usize) -> Range<u64> {
        let end = (start + run) as u64 * GROUP;
        start as u64 * GROUP..end.min(self.size)
    }

    /// Whether some group is there for nobody to fetch.
    pub fn is_missing(&self) -> bool {
        let state = self.state();
        state.groups.iter().skip(state.first_missing).any(|group| *group == Group::Missing)
    }

    /// Whether all groups are there, or are said to be.
    pub fn is_complete(&self) -> bool {
        self.state().is_complete()
    }

    /// Takes the group at `offset` if it is missing.
    pub fn take_one(&self, offset: u64) -> bool {
        let mut state = self.state();
        match state.groups.get_mut(index_of(offset)) {
            Some(group) if *group == Group::Missing => {
                *group = Group::Busy;
                true
            }
            _ => false,
        }
    }

    /// Gives back what was taken of `range` and did not come.
    pub fn give_back(&self, range: Range<u64>) {
        let mut state = self.state();
        let (from, to) = (index_of(range.start), index_of(range.end.next_multiple_of(GROUP)));
        let state = &mut *state;
        for (index, group) in state.groups.iter_mut().enumerate().take(to).skip(from) {
            if *group == Group::Busy {
                *group = Group::Missing;
                state.written.remove(&index);
                // Who waits for it still does.
                if let Some(wanted) = &mut state.wanted {
                    wanted.insert(index);
                }
            }
        }
        state.first_missing = state.first_missing.min(from);
    }

    /// Writes bytes of a group that the caller took.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), FsError> {
        // The file system lets one writer in at a time, and lets the others spin.
        let _turn = self.turn();
        self.durable.store(false, Ordering::SeqCst);
        self.unflushed.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        self.file.write_at(bytes, offset)?;
        let written = offset % GROUP + bytes.len() as u64;
        self.state().written.insert(index_of(offset), written);
        self.changed.notify_waiters();
        Ok(())
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when at least so many bytes are to be made durable, and the caller must see to it.
    pub fn begin_flush(&self, least: u64) -> bool {
        self.unflushed.load(Ordering::Relaxed) >= least.max(1)
            && !self.flushing.swap(true, Ordering::SeqCst)
    }

    /// Makes durable what was written so far.
    pub fn flush(&self) -> Result<(), FsError> {
        // Between two writes: a sync that begins within one may miss its bytes, and have the time of
        // change that they set.
        let turn = self.turn();
        self.durable.store(false, Ordering::SeqCst);
        self.unflushed.store(0, Ordering::SeqCst);
        drop(turn);
        let done = self.file.sync();
        let turn = self.turn();
        if done.is_ok() && self.unflushed.load(Ordering::SeqCst) == 0 {
            self.durable.store(true, Ordering::SeqCst);
        }
        drop(turn);
        self.flushing.store(false, Ordering::SeqCst);
        done
    }

    /// Whoever takes the group at `offset`, of which no byte is written, and finds all before it
    /// digested, digests it while its bytes pass by: they need not be read again. The hasher is to
    /// be fed, and given to [`finish`](Self::finish).
    fn lead(&self, offset: u64) -> Option<Hasher> {
        let mut state = self.state();
        if state.digesting || state.digested != index_of(offset) {
            return None;
        }
        state.digesting = true;
        Some(self.hasher().clone())
    }

    /// The group that was to be digested on the way will not be.
    fn unlead(&self) {
        self.state().digesting = false;
    }

    /// The group at `offset` is there, whole, and perhaps digested. True when the caller must see to
    /// it that a thread digests what there is now.
    fn finish(&self, offset: u64, cv: Cv, led: Option<Hasher>) -> Result<bool, FsError> {
        let index = index_of(offset);
        if let Some(claims) = &self.claims {
            claims.set(index, cv)?;
        }
        let mut state = self.state();
        if let Some(slot) = state.cvs.get_mut(index) {
            *slot = cv;
        }
        if let Some(group) = state.groups.get_mut(index) {
            *group = Group::There;
        }
        state.written.remove(&index);
        if let Some(mut hasher) = led {
            self.keep_segments(&mut hasher);
            *self.hasher() = hasher;
            state.digested += 1;
            state.digesting = false;
        }
        let wake = state.wake();
        drop(state);
        self.changed.notify_waiters();
        Ok(wake)
    }

    /// True when the caller must see to it that a thread digests what there is from the start.
    pub fn begin_digest(&self) -> bool {
        self.state().wake()
    }

    /// The digest of the groups that are digested. Only who digests may change it.
    pub fn hasher(&self) -> MutexGuard<'_, Hasher> {
        self.hasher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the segments that were found in groups that are digested.
    pub fn keep_segments(&self, hasher: &mut Hasher) {
        let found = hasher.take_segments();
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    }

    /// The file's segments, when all is digested; `None` when an earlier process digested a part of
    /// it.
    pub fn segments(&self) -> Option<Vec<Segment>> {
        let mut found = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *found);
        drop(found);
        self.hasher().segments(taken)
    }

    /// What the thread that digests does next. After [`Next::Wait`] it is no longer that thread.
    pub fn next_to_digest(&self) -> Next {
        let mut state = self.state();
        let index = state.digested;
        let Some(group) = state.groups.get(index) else { return Next::End };
        let start = index as u64 * GROUP;
        let range = start..start + self.len_of(index);
        match group {
            Group::There => Next::Group { range, prove: None },
            Group::Claimed => Next::Group { range, prove: state.cvs.get(index).copied() },
            Group::Missing | Group::Busy => {
                state.digesting = false;
                Next::Wait
            }
        }
    }

    /// The group that was next is digested.
    pub fn digested(&self) {
        let mut state = self.state();
        let index = state.digested;
        if let Some(group) = state.groups.get_mut(index) {
            *group = Group::There;
        }
        state.digested += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    /// The group that was next does not have the value that it was claimed to have. False when
    /// nothing can be done about it: the part may not be written.
    pub fn refuted(&self) -> bool {
        let mut state = self.state();
        let index = state.digested;
        state.digesting = false;
        if let Some(group) = state.groups.get_mut(index) {
            *group = Group::Missing;
        }
        state.first_missing = state.first_missing.min(index);
        // Who waited for it to be proven asks for it.
        drop(state);
        self.changed.notify_waiters();
        self.claims.is_some()
    }

    /// The file's BLAKE3 hash and the chaining values of its groups, when all are there.
    pub fn root(&self) -> Result<([u8; 32], Vec<Cv>), TreeError> {
        let state = self.state();
        Ok((root_from_groups(self.size, &state.cvs)?, state.cvs.clone()))
    }

    fn len_of(&self, index: usize) -> u64 {
        GROUP.min(self.size.saturating_sub(index as u64 * GROUP))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_complete(&self) -> bool {
        self.groups.iter().all(|group| matches!(group, Group::There | Group::Claimed))
    }

    fn wake(&mut self) -> bool {
        let there = |group: &Group| matches!(group, Group::There | Group::Claimed);
        // Behind the last group the digest waits to be looked at.
        if self.digesting || !self.groups.get(self.digested).is_none_or(there) {
            return false;
        }
        self.digesting = true;
        true
    }
}

fn index_of(offset: u64) -> usize {
    usize::try_from(offset / GROUP).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
