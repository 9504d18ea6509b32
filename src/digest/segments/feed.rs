//! Segments of a file whose bytes come in order, its header among them.

use std::sync::Arc;

use super::{Cutting, FIRST, Header, LEAST, Segment, SegmentHasher, join, look};

/// Is fed a file from its first byte on. A clone goes on from there on its own.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    len: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Nobody knows yet where the file is cut: its first bytes, and how many of them will tell.
    Header {
        bytes: Vec<u8>,
        wanted: u64,
    },
    Cut {
        cutting: Arc<Cutting>,
        hasher: SegmentHasher,
    },
    /// The file is not worth it.
    None,
    /// Bytes passed by that it was not fed.
    Lost,
}

impl Feed {
    /// For a file of `len` bytes.
    pub fn new(len: u64) -> Self {
        let header = State::Header { bytes: Vec::new(), wanted: FIRST.min(len) };
        Self { len, state: if len < LEAST { State::None } else { header } }
    }

    /// For a file of which an earlier process had the first bytes.
    pub fn lost(len: u64) -> Self {
        Self { len, state: State::Lost }
    }

    pub fn update(&mut self, more: &[u8]) {
        match &mut self.state {
            State::None | State::Lost => {}
            State::Cut { hasher, .. } => hasher.update(more),
            State::Header { bytes, wanted } => {
                bytes.extend_from_slice(more);
                if (bytes.len() as u64) < *wanted {
                    return;
                }
                let cutting = match look(bytes, self.len) {
                    Header::Longer(more) => {
                        *wanted = more;
                        return;
                    }
                    Header::Tensors(_, tensors) => Cutting::at(tensors.ok().as_deref(), self.len),
                    Header::Other => Cutting::at(None, self.len),
                };
                let first = std::mem::take(bytes);
                self.state = match cutting.map(Arc::new) {
                    None => State::None,
                    Some(cutting) => {
                        let mut hasher = SegmentHasher::new(cutting.clone(), 0);
                        hasher.update(&first);
                        State::Cut { cutting, hasher }
                    }
                };
            }
        }
    }

    /// Takes out what was found so far, so that a clone is small.
    pub fn take(&mut self) -> Vec<Segment> {
        match &mut self.state {
            State::Cut { hasher, .. } => hasher.take_found(),
            _ => Vec::new(),
        }
    }

    /// The file's segments, given what was taken out before. `None` when it was not fed all.
    pub fn finish(self, mut found: Vec<Segment>) -> Option<Vec<Segment>> {
        match self.state {
            State::Lost | State::Header { .. } => None,
            State::None => Some(Vec::new()),
            State::Cut { cutting, hasher } => {
                found.extend(hasher.found());
                Some(join(&cutting, found))
            }
        }
    }
}
