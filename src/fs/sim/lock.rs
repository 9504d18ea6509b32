//! Advisory locks, as flock has them for whole files and Linux's open file description locks for
//! ranges of bytes: they belong to the open file, not to the process.

use std::io;
use std::ops::RangeInclusive;

use super::super::LockKind;
use super::file::SimFile;
use super::state::{Opened, State};

impl State {
    pub fn try_lock(&mut self, handle: u64, kind: LockKind) -> bool {
        let opened = self.opened.get_mut(&handle).expect("an open handle");
        let ino = opened.ino;
        // A lock that is converted is given up first, and lost if the new one is not to be had.
        opened.lock = None;
        let excluded = self.opened.values().filter(|o| o.ino == ino).any(|o| {
            o.lock.is_some_and(|held| LockKind::Exclusive == held || LockKind::Exclusive == kind)
        });
        if !excluded {
            self.opened.get_mut(&handle).expect("an open handle").lock = Some(kind);
        }
        !excluded
    }

    /// Whether another open file's lock on a part of `range` excludes one of this kind.
    fn range_excluded(&self, handle: u64, range: &RangeInclusive<u64>, kind: LockKind) -> bool {
        let ino = self.opened[&handle].ino;
        let others = self.opened.iter().filter(|(id, o)| **id != handle && o.ino == ino);
        others.flat_map(|(_, o)| &o.ranges).any(|(held, how)| {
            let overlap = held.start() <= range.end() && range.start() <= held.end();
            overlap && (*how == LockKind::Exclusive || kind == LockKind::Exclusive)
        })
    }

    /// Replaces what this open file has locked in `range` by `kind`; `None` unlocks.
    fn set_range(&mut self, handle: u64, range: RangeInclusive<u64>, kind: Option<LockKind>) {
        let opened = self.opened.get_mut(&handle).expect("an open handle");
        let mut ranges = Vec::new();
        for (held, how) in opened.ranges.drain(..) {
            if held.start() < range.start() {
                ranges.push((*held.start()..=*held.end().min(&(range.start() - 1)), how));
            }
            if held.end() > range.end() {
                ranges.push((*held.start().max(&(range.end() + 1))..=*held.end(), how));
            }
        }
        ranges.extend(kind.map(|kind| (range, kind)));
        opened.ranges = ranges;
    }

    /// Whether others would wait for this process now: it has a range locked exclusively, or the
    /// index's header, which is locked for moments only, or a directory that others wait for.
    pub fn excludes_others(&self, process: u64) -> bool {
        let waited_for = self.waited_for.as_ref().and_then(|path| self.resolve_dir(path).ok());
        let holds = |o: &Opened| {
            o.process == process && o.lock == Some(LockKind::Exclusive) && Some(o.ino) == waited_for
        };
        if self.opened.values().any(holds) {
            return true;
        }
        let mut ranges =
            self.opened.values().filter(|o| o.process == process).flat_map(|o| &o.ranges);
        ranges.any(|(range, how)| *how == LockKind::Exclusive || *range.start() < 1 << 62)
    }
}

impl SimFile {
    /// A lock on a range of bytes; `None` gives it up. False when somebody else's excludes it.
    pub fn lock_range(
        &self,
        range: RangeInclusive<u64>,
        kind: Option<LockKind>,
    ) -> io::Result<bool> {
        let mut state = self.handle.enter()?;
        if kind.is_some_and(|kind| state.range_excluded(self.handle.id(), &range, kind)) {
            return Ok(false);
        }
        state.set_range(self.handle.id(), range, kind);
        Ok(true)
    }

    /// Whether somebody else has any part of the range locked.
    pub fn is_range_locked(&self, range: RangeInclusive<u64>) -> io::Result<bool> {
        let state = self.handle.enter()?;
        Ok(state.range_excluded(self.handle.id(), &range, LockKind::Exclusive))
    }
}
