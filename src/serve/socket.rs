//! A connection that files are sent on by the kernel.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::sendfile;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::seats::Seat;
use super::sendable;

/// Shorter bytes are not worth the look.
const LARGE: usize = 16 << 10;
/// How much is sent at a time: others have their turn then.
const CHUNK: usize = 1 << 20;
/// How long a client may take nothing of what it asked for.
const STALL: Duration = Duration::from_secs(120);

/// A client's connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// When a client that takes nothing is given up.
    stalled: Option<Pin<Box<Sleep>>>,
    seat: Arc<Seat>,
}

impl Socket {
    pub fn new(stream: TcpStream, seat: Arc<Seat>) -> Self {
        Self { stream, stalled: None, seat }
    }

    /// Notes whether the client took something.
    fn watch<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.seat.note();
            self.stalled = None;
            return done;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write_any(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let from = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(0);
        let bufs = bufs.get(from..).unwrap_or_default();
        let found = |buf: &IoSlice<'_>| (buf.len() >= LARGE).then(|| sendable::find(buf)).flatten();
        if let Some(first) = bufs.first()
            && let Some((file, offset)) = found(first)
        {
            return self.poll_send(cx, &file, offset, first.len());
        }
        // What comes before a file.
        let plain = bufs.iter().position(|buf| found(buf).is_some()).unwrap_or(bufs.len());
        let plain = bufs.get(..plain).unwrap_or_default();
        Pin::new(&mut self.stream).poll_write_vectored(cx, plain)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        file: &std::fs::File,
        offset: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let (to, mut at) = (self.stream.as_fd(), offset);
            let send = || Ok(sendfile(to, file, Some(&mut at), len.min(CHUNK))?);
            match self.stream.try_io(Interest::WRITABLE, send) {
                // Somebody cut the file short.
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(cx, buf);
        if done.is_ready() {
            self.seat.heard();
        }
        done
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let done = socket.poll_write_any(cx, bufs);
        socket.watch(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        // Also what is not gathered by the kernel must come here uncopied.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
