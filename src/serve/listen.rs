//! Connections: how many, for how long, and how they end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::Peer;
use super::seats::{Busy, Seats};
use super::socket::Socket;

/// How many connections may be open. Each costs a few kilobytes, and a file descriptor or two.
const CONNECTIONS: usize = 2048;
/// How long a request's head may take, and a connection wait for the next one.
const HEAD: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// How long to wait before a connection is accepted again when the system has none to give.
const PAUSE: Duration = Duration::from_millis(100);

/// What those get who are too many.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";

/// Serves until `stop` is done, and then until all answers under way are given.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    open: &Gauge,
    stop: impl Future<Output = ()>,
) {
    let seats = Seats::new(CONNECTIONS);
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let Some(taken) = seats.take() else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (router, peer) = (TowerToHyperService::new(router.clone()), Peer(peer.ip()));
        let seat = taken.seat().clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (busy, answer) = (seat.busy(), router.call(request));
            async move { Ok::<_, Infallible>(answer.await?.map(|body| Answer { body, _busy: busy })) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(MAX_HEAD)
            .half_close(false)
            .serve_connection(TokioIo::new(Socket::new(stream, taken.seat().clone())), service);
        let connection = graceful.watch(connection);
        open.inc();
        let open = open.clone();
        tokio::spawn(async move {
            // Who left is no error.
            tokio::select! {
                _ = connection => {}
                () = taken.left() => {}
            }
            open.dec();
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The body of an answer, and that it is being given.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(PAUSE, stream.write_all(FULL)).await;
}
