//! Sends an answer byte for byte, up to where it is to end.

use std::io::{self, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::answer::Body;
use super::content::Source;
use super::plan::{End, How, Place, Plan, flip, is_flipped};
use super::server::{NEVER, Shared, State};
use super::wire::Incoming;

/// How much is sent, and counted, at once.
const STEP: u64 = 256 << 10;

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Next {
    Serve,
    Close,
}

/// An answer under way.
struct Sending<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    /// The request's number.
    number: usize,
    end: Option<End>,
    /// Whether it is counted among the bodies under way.
    is_body: bool,
}

pub(super) fn send(
    shared: &Shared,
    stream: &TcpStream,
    incoming: &Incoming,
    number: usize,
    plan: Plan,
) -> io::Result<Next> {
    let keep = incoming.keep_alive && plan.length_off == 0;
    // A lie is not announced.
    let head = plan.head(incoming.keep_alive);
    let len = if incoming.is_head() { 0 } else { plan.answer.body.len() };
    let mut sending = Sending { shared, stream, number, end: plan.end, is_body: false };
    if sending.head(&head, &plan, len)? == Next::Close {
        return Ok(Next::Close);
    }
    if !incoming.is_head() && sending.body(plan, len)? == Next::Close {
        return Ok(Next::Close);
    }
    Ok(if keep { Next::Serve } else { Next::Close })
}

impl Sending<'_> {
    fn head(&mut self, head: &[u8], plan: &Plan, len: u64) -> io::Result<Next> {
        let mut rest = head;
        if let Some(End { place: Place::Head(bytes), .. }) = self.end {
            let (first, after) = head.split_at((bytes as usize).min(head.len()));
            (&*self.stream).write_all(first)?;
            rest = after;
            if self.stop_here()? == Next::Close {
                return Ok(Next::Close);
            }
        }
        self.is_body = plan.is_content && len > 0;
        let is_body = self.is_body;
        self.shared.change(|state| {
            if is_body {
                state.bodies += 1;
                state.most_bodies = state.most_bodies.max(state.bodies);
            }
            if let Some(request) = state.logged(self.number) {
                request.status = plan.answer.status;
                request.content = plan.is_content;
                request.done = len == 0 && self.end.is_none();
            }
        });
        (&*self.stream).write_all(rest)?;
        Ok(Next::Serve)
    }

    fn body(&mut self, plan: Plan, len: u64) -> io::Result<Next> {
        let source = match &plan.answer.body {
            Body::Bytes(_) => None,
            Body::File { content, range } => Some((content.open()?, range.start)),
        };
        let mut at = 0;
        let mut due = Instant::now();
        loop {
            let until = match self.end {
                Some(End { place: Place::Body(end), .. }) => end,
                _ => u64::MAX,
            };
            if at == until && self.stop_here()? == Next::Close {
                return Ok(Next::Close);
            }
            if at == len {
                break;
            }
            // Behind its end, a stall that was released is over.
            let until = if until > at { until } else { u64::MAX };
            let step = plan.pace.map_or(STEP, |pace| (pace / 20).clamp(1, STEP));
            let next = len.min(at + step).min(until);
            self.count(next - at, next == len && until != len);
            let sent = self.step(&plan, source.as_ref(), at..next);
            if let (missing @ 1.., result) = sent {
                self.uncount(missing);
                result?;
                return Err(io::ErrorKind::WriteZero.into());
            }
            if let Some(pace) = plan.pace {
                due += Duration::from_secs_f64((next - at) as f64 / pace as f64);
                self.shared.pause_until(due);
            }
            at = next;
        }
        if plan.chunked {
            (&*self.stream).write_all(b"0\r\n\r\n")?;
        }
        Ok(Next::Serve)
    }

    /// Sends a part of the body: how many bytes of it are missing, and why.
    fn step(
        &self,
        plan: &Plan,
        source: Option<&(Source, u64)>,
        part: Range<u64>,
    ) -> (u64, io::Result<()>) {
        let mut left = part.end - part.start;
        let mut all = || {
            if plan.chunked {
                write!(&*self.stream, "{:x}\r\n", part.end - part.start)?;
            }
            match (&plan.answer.body, source) {
                (Body::Bytes(bytes), _) => {
                    self.write(&bytes[part.start as usize..part.end as usize], &mut left)?;
                }
                (Body::File { .. }, Some((source, start))) => {
                    let range = start + part.start..start + part.end;
                    self.write_from(source, range, &plan.flips, &mut left)?;
                }
                (Body::File { .. }, None) => {}
            }
            if plan.chunked { (&*self.stream).write_all(b"\r\n") } else { Ok(()) }
        };
        let result = all();
        // A whole step whose closing bytes failed is noticed at the next.
        (left, result)
    }

    fn write(&self, mut bytes: &[u8], left: &mut u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&*self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    *left -= sent as u64;
                    bytes = &bytes[sent..];
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn write_from(
        &self,
        source: &Source,
        range: Range<u64>,
        flips: &[u64],
        left: &mut u64,
    ) -> io::Result<()> {
        match source {
            Source::Memory(bytes) if !is_flipped(&range, flips) => {
                self.write(&bytes[range.start as usize..range.end as usize], left)
            }
            #[cfg(target_os = "linux")]
            Source::Disk(file) if !is_flipped(&range, flips) => {
                let mut offset = range.start;
                while offset < range.end {
                    let count = (range.end - offset) as usize;
                    match rustix::fs::sendfile(self.stream, file, Some(&mut offset), count) {
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Ok(sent) => *left -= sent as u64,
                        Err(rustix::io::Errno::INTR) => {}
                        Err(e) => return Err(e.into()),
                    }
                }
                Ok(())
            }
            _ => {
                let mut bytes = source.read(&range)?;
                flip(&mut bytes, range.start, flips);
                self.write(&bytes, left)
            }
        }
    }

    /// Counts bytes before they can arrive.
    fn count(&mut self, bytes: u64, is_last: bool) {
        let leaves = is_last && std::mem::take(&mut self.is_body);
        self.shared.change(|state| {
            state.bodies -= usize::from(leaves);
            if let Some(request) = state.logged(self.number) {
                request.body_sent += bytes;
                request.done = is_last;
            }
        });
    }

    fn uncount(&self, bytes: u64) {
        self.shared.change(|state| {
            if let Some(request) = state.logged(self.number) {
                request.body_sent -= bytes;
            }
        });
    }

    /// Ends the answer as it is to end; after a stall that was released it goes on.
    fn stop_here(&mut self) -> io::Result<Next> {
        let Some(end) = self.end.take() else { return Ok(Next::Serve) };
        match end.how {
            How::Close => Ok(Next::Close),
            How::Reset => {
                self.drain();
                rustix::net::sockopt::set_socket_linger(self.stream, Some(Duration::ZERO))?;
                Ok(Next::Close)
            }
            How::Stall => {
                let is_over = |state: &State| state.stopped || state.faults[end.fault].released;
                // A test that failed may never release it.
                let went_on = self.shared.wait(Instant::now() + NEVER, is_over);
                let goes_on = went_on && !self.shared.lock().stopped;
                Ok(if goes_on { Next::Serve } else { Next::Close })
            }
        }
    }

    /// Waits until what was sent has arrived, as a reset throws away what has not.
    #[cfg(target_os = "linux")]
    fn drain(&self) {
        loop {
            // What is unsent to a peer that is gone stays so.
            let arrived = unsent(self.stream).is_none_or(|bytes| bytes <= 0);
            if arrived || self.stream.peer_addr().is_err() || self.shared.lock().stopped {
                return;
            }
            self.shared.pause_until(Instant::now() + Duration::from_millis(1));
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn drain(&self) {}
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.bodies -= usize::from(self.is_body);
            if let Some(request) = state.logged(self.number) {
                request.done = true;
            }
        });
    }
}

/// How many bytes the peer's system has not acknowledged.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate has this ioctl in a safe form")]
fn unsent(stream: &TcpStream) -> Option<std::ffi::c_int> {
    const TIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: TIOCOUTQ on a socket writes one int to where it is told, and nothing else.
    unsafe {
        let getter = rustix::ioctl::Getter::<TIOCOUTQ, std::ffi::c_int>::new();
        rustix::ioctl::ioctl(stream, getter).ok()
    }
}
