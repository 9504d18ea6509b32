//! An answer as it is to be sent, with all that goes wrong in it.

use std::io;
use std::ops::Range;

use super::answer::{Answer, Body, reason};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    Close,
    Reset,
    Stall,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Head(u64),
    Body(u64),
}

#[derive(Clone, Copy)]
pub(super) struct End {
    pub fault: usize,
    pub how: How,
    pub place: Place,
}

/// An answer and how it is sent.
pub(super) struct Plan {
    pub answer: Answer,
    pub is_content: bool,
    /// Offsets in the file.
    pub flips: Vec<u64>,
    pub length_off: i64,
    pub chunked: bool,
    /// Bytes a second.
    pub pace: Option<u64>,
    pub end: Option<End>,
}

impl Plan {
    pub fn new(answer: Answer) -> Self {
        let is_file = matches!(answer.body, Body::File { .. });
        let is_content = is_file && matches!(answer.status, 200 | 206);
        let flips = Vec::new();
        Self { answer, is_content, flips, length_off: 0, chunked: false, pace: None, end: None }
    }

    /// The body in memory, and none left.
    pub fn take_bytes(&mut self) -> io::Result<Vec<u8>> {
        match std::mem::replace(&mut self.answer.body, Body::Bytes(Vec::new())) {
            Body::Bytes(bytes) => Ok(bytes),
            Body::File { content, range } => {
                let mut bytes = content.read(&range)?;
                flip(&mut bytes, range.start, &self.flips);
                Ok(bytes)
            }
        }
    }

    /// The head; whether the connection stays open is said there.
    pub fn head(&self, keep: bool) -> Vec<u8> {
        let status = self.answer.status;
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in &self.answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if status != 304 {
            let len = self.answer.body.len().saturating_add_signed(self.length_off);
            head += &format!("Content-Length: {len}\r\n");
        }
        if !keep {
            head += "Connection: close\r\n";
        }
        (head + "\r\n").into_bytes()
    }
}

/// Flips the bits of `bytes`, which begin at `start` in the file.
pub(super) fn flip(bytes: &mut [u8], start: u64, offsets: &[u64]) {
    for offset in offsets {
        let at = offset.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
    }
}

/// Whether one of the offsets is in `range`.
pub(super) fn is_flipped(range: &Range<u64>, offsets: &[u64]) -> bool {
    offsets.iter().any(|offset| range.contains(offset))
}
