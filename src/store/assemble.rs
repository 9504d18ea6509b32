//! A copy that is assembled: what is known of it is put on the blocks where it is, and the rest is
//! written.
//!
//! Bytes that are written and then shared cost the disk twice. So as a file comes, front to back, each
//! segment is looked for; one that is found, and is the same byte for byte, is not written, but
//! cloned, together with those behind it that go on the same way in the same file.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::recut::CutFile;
use super::sharer::{Of, Sharer, Staged};
use crate::digest::segments::{Regions, SEGMENT, Segment, hash_of};
use crate::digest::stream::Sink;
use crate::fs::File;

/// How many places a segment is compared with.
const TRIES: usize = 4;
const BUFFER: usize = 64 << 10;

/// A file under way.
pub(crate) struct Assembly<'s> {
    sharer: &'s Sharer<'s>,
    regions: Arc<Regions>,
    staged: Arc<Staged>,
    file: File,
    /// `None` when the file has all bytes, and only shares them with its source.
    out: Option<CutFile>,
    len: u64,
    state: Mutex<State>,
}

struct State {
    /// Where the next byte belongs.
    at: u64,
    /// The segment under way, and its bytes so far.
    segment: Range<u64>,
    carry: Vec<u8>,
    run: Option<Run>,
}

/// What is known, and is neither cloned nor written yet.
struct Run {
    of: Of,
    source: File,
    size: u64,
    /// When its bytes were last changed, before they were looked at.
    mtime_ns: Option<i64>,
    offset: u64,
    at: u64,
    len: u64,
}

impl<'s> Assembly<'s> {
    /// For `file`, of `len` bytes, which is empty, and is written in its order; or, if it is a reflink
    /// of what it is to be, is only put on other blocks.
    pub fn new(
        sharer: &'s Sharer<'s>,
        staged: Arc<Staged>,
        (file, is_reflink): (File, bool),
        regions: Arc<Regions>,
        len: u64,
    ) -> Self {
        let disk = sharer.disk();
        let cuts = disk.whole_extents.then_some(&*regions);
        let out = (!is_reflink).then(|| CutFile::new(file.clone(), cuts, disk.block));
        let segment = segment_at(&regions, 0);
        let state = State { at: 0, segment, carry: Vec::new(), run: None };
        Self { sharer, regions, staged, file, out, len, state: Mutex::new(state) }
    }

    /// A segment is whole.
    fn take(&self, state: &mut State, bytes: &[u8]) -> io::Result<()> {
        let at = state.segment.start;
        if let Some(run) = &mut state.run
            && is_same(&run.source, run.offset + run.len, bytes)
        {
            run.len += bytes.len() as u64;
            return Ok(());
        }
        if let Some(run) = state.run.take() {
            self.put(&run)?;
        }
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        let segment = Segment { offset: at, len, hash: hash_of(bytes) };
        state.run = self.find(&segment, bytes);
        if state.run.is_some() {
            return Ok(());
        }
        let written = self.write(bytes, at);
        self.sharer.written(&self.staged, &segment, written.is_ok());
        written
    }

    /// Where a segment is, if there is a whole block of it to share.
    fn find(&self, segment: &Segment, bytes: &[u8]) -> Option<Run> {
        let block = self.sharer.disk().block;
        let (at, len) = (segment.offset, u64::from(segment.len));
        if at.next_multiple_of(block) + block > segment.end() {
            return None;
        }
        // What cannot be asked is written.
        for (of, offset) in self.sharer.find(segment).ok()?.into_iter().take(TRIES) {
            let Some((source, size)) = self.sharer.open(&of) else { continue };
            let mtime_ns = match &of {
                Of::Blob(_) => Some(source.stat().ok()?.mtime_ns),
                // It grows, and what was compared is there for good.
                Of::Staged(_) => None,
            };
            if is_same(&source, offset, bytes) {
                return Some(Run { of, source, size, mtime_ns, offset, at, len });
            }
        }
        None
    }

    /// Clones the whole blocks of a run, and writes the ends.
    fn put(&self, run: &Run) -> io::Result<()> {
        let block = self.sharer.disk().block;
        let end = run.at + run.len;
        let from = run.at.next_multiple_of(block).min(end);
        // A block may end with both files.
        let is_tail = end == self.len && run.offset + run.len == run.size;
        let to = if is_tail { end } else { (end - end % block).max(from) };
        self.copy(run, run.at..from)?;
        let offset = run.offset + (from - run.at);
        match self.file.clone_range(&run.source, offset, to - from, from) {
            Ok(()) => {
                let stat = run.source.stat().map_err(io::Error::other)?;
                if run.mtime_ns.is_some_and(|before| before != stat.mtime_ns) {
                    let path = run.source.path().display();
                    return Err(io::Error::other(format!("{path} changed while it was shared")));
                }
                self.staged.count(to - from);
                self.sharer.mark(&run.of);
            }
            Err(_) => self.copy(run, from..to)?,
        }
        self.copy(run, to..end)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.out.as_ref().map_or(Ok(()), |out| out.write_at(bytes, at))
    }

    /// Writes what a run has.
    fn copy(&self, run: &Run, range: Range<u64>) -> io::Result<()> {
        if self.out.is_none() {
            return Ok(());
        }
        let mut buffer = [0; BUFFER];
        let mut at = range.start;
        while at < range.end {
            let most = usize::try_from(range.end - at).unwrap_or(BUFFER).min(BUFFER);
            let part = buffer.get_mut(..most).unwrap_or_default();
            let count = run.source.read_at(part, run.offset + (at - run.at));
            let count = count.map_err(io::Error::other)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.write(buffer.get(..count).unwrap_or_default(), at)?;
            at += count as u64;
        }
        Ok(())
    }
}

impl Sink for Assembly<'_> {
    fn write_at(&self, mut buf: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if offset != state.at {
            return Err(io::Error::other("internal error: a file is not written in its order"));
        }
        while !buf.is_empty() {
            let room = usize::try_from(state.segment.end - state.at).unwrap_or(buf.len());
            let (now, later) = buf.split_at(room.min(buf.len()));
            buf = later;
            state.at += now.len() as u64;
            if state.at < state.segment.end {
                state.carry.extend_from_slice(now);
                continue;
            }
            if state.carry.is_empty() {
                self.take(&mut state, now)?;
            } else {
                let mut whole = std::mem::take(&mut state.carry);
                whole.extend_from_slice(now);
                self.take(&mut state, &whole)?;
                whole.clear();
                state.carry = whole;
            }
            if state.at >= self.len {
                if let Some(run) = state.run.take() {
                    self.put(&run)?;
                }
                // XFS gives a growing file more than it needs, and does not take it back when the
                // file was closed by others meanwhile.
                return self.file.set_len(self.len).map_err(io::Error::other);
            }
            state.segment = segment_at(&self.regions, state.at);
        }
        Ok(())
    }
}

/// The segment that begins at `at`.
fn segment_at(regions: &Regions, at: u64) -> Range<u64> {
    at..(at + SEGMENT).min(regions.at(at).end)
}

/// Whether a file has these bytes at `offset`.
fn is_same(file: &File, offset: u64, bytes: &[u8]) -> bool {
    let mut buffer = [0; BUFFER];
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let most = rest.len().min(BUFFER);
        let part = buffer.get_mut(..most).unwrap_or_default();
        match file.read_at(part, offset + at as u64) {
            Ok(count) if count > 0 && part.get(..count) == rest.get(..count) => at += count,
            _ => return false,
        }
    }
    true
}
