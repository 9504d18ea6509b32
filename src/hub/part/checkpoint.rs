//! How far a complete file is digested, for the next process.
//!
//! Proving and digesting a large file takes longer than some processes live. What a process did of
//! it is noted in `<digits>.digest`: the upstream hash's inner state after so many groups, and what
//! the part was like when they were read. Whoever finds the part untouched since goes on from
//! there; so each process gets ahead, however short it lives.
//!
//! It is noted only while every group is there and durable: then the part's time of change stands
//! still, and a power loss cannot bring back that time without those bytes. A note proves itself by
//! a checksum over itself and the chaining values that were found right; one that does not is none.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use super::{Group, Part, State};
use crate::digest::Upstream;
use crate::digest::tree::Cv;
use crate::error::FsError;
use crate::fs::Stat;
use crate::hub::hasher::Hasher;

/// How many groups are digested between two notes.
pub(super) const EVERY: usize = 64;

const CONTEXT: &str = "tonnage 2026 how far a part is digested, version 1";
/// Checksum, groups, and the part's size, time of change and inode.
const HEAD: usize = 32 + 4 * 8;
/// No state of a hash is larger.
const MAX: u64 = 1 << 10;

impl Part {
    /// Notes how far it is digested, if that is of use to the next process. Nothing is lost when the
    /// note cannot be written but that process's time.
    pub fn note(&self, hasher: &Hasher) {
        self.note_with(self.state(), hasher);
    }

    /// The same, unless a thread is digesting it: that thread notes it.
    pub fn note_idle(&self) {
        // The state first, as a worker that leads takes them: the other way round two would wait for
        // each other.
        let state = self.state();
        if let Ok(hasher) = self.hasher.try_lock() {
            self.note_with(state, &hasher);
        }
    }

    fn note_with(&self, state: MutexGuard<'_, State>, hasher: &Hasher) {
        if !state.is_complete() || !self.durable.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stat) = self.file.stat() else { return };
        let note = note(&self.upstream, state.digested, &stat, hasher, &state.cvs);
        drop(state);
        let _ = self.noted.write_at(&note, 0);
    }

    /// Whether a note is due after the group that was digested last.
    pub fn is_note_due(&self) -> bool {
        let state = self.state();
        state.digested.is_multiple_of(EVERY) || state.digested == state.groups.len()
    }

    /// Goes on from where an earlier process was.
    pub(super) fn resume_digest(&self) -> Result<(), FsError> {
        let mut state = self.state();
        if !state.is_complete() {
            return Ok(());
        }
        // What cannot be read is no note.
        let Ok(found) = self.noted.read_all(MAX) else { return self.noted.set_len(0) };
        let stat = self.file.stat()?;
        // The same digits may be listed with another size by now.
        if stat.size != self.size {
            return Ok(());
        }
        let Some((digested, hasher)) = read(&found, &self.upstream, &stat, &state.cvs) else {
            return Ok(());
        };
        for group in state.groups.iter_mut().take(digested) {
            *group = Group::There;
        }
        state.digested = digested;
        *self.hasher() = hasher;
        Ok(())
    }
}

fn note(upstream: &Upstream, digested: usize, stat: &Stat, hasher: &Hasher, cvs: &[Cv]) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEAD);
    body.extend((digested as u64).to_le_bytes());
    body.extend(stat.size.to_le_bytes());
    body.extend(stat.mtime_ns.to_le_bytes());
    body.extend(stat.ino.to_le_bytes());
    body.extend(hasher.state());
    let mut note = checksum(upstream, &body, cvs.get(..digested).unwrap_or_default()).to_vec();
    note.extend(body);
    note
}

/// How many groups are digested, and the state after them; `None` of what does not prove itself, or
/// is of other bytes.
fn read(found: &[u8], upstream: &Upstream, stat: &Stat, cvs: &[Cv]) -> Option<(usize, Hasher)> {
    let (sum, body) = found.split_at_checked(32)?;
    let (digested, rest) = body.split_first_chunk::<8>()?;
    let digested = usize::try_from(u64::from_le_bytes(*digested)).ok()?;
    if sum != checksum(upstream, body, cvs.get(..digested)?) {
        return None;
    }
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (mtime, rest) = rest.split_first_chunk::<8>()?;
    let (inode, state) = rest.split_first_chunk::<8>()?;
    let same = u64::from_le_bytes(*size) == stat.size
        && i64::from_le_bytes(*mtime) == stat.mtime_ns
        && u64::from_le_bytes(*inode) == stat.ino;
    if !same {
        return None;
    }
    Some((digested, Hasher::from_state(upstream, stat.size, state)?))
}

fn checksum(upstream: &Upstream, body: &[u8], cvs: &[Cv]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(upstream.to_string().as_bytes()).update(body).update(cvs.as_flattened());
    *hasher.finalize().as_bytes()
}
