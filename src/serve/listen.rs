//! Connections: how many, for how long, and how they end.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::Peer;
use super::app::App;
use super::journal::Event;
use super::seats::{Busy, Seat, Seats};
use super::socket::Socket;

/// How many connections may be open. Each costs a few kilobytes, and a file descriptor or two.
const CONNECTIONS: usize = 2048;
/// How long a request's head may take, and a connection wait for the next one.
const HEAD: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// How long to wait before a connection is accepted again when the system has none to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Whom it is about when it is about this server.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What those get who are too many.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";

/// Serves until `stop` is done, and then until all answers under way are given.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    app: &Arc<App>,
    stop: impl Future<Output = ()>,
) {
    let seats = Seats::new(CONNECTIONS);
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    tell(app, NOBODY, StatusCode::INTERNAL_SERVER_ERROR, || e.to_string());
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let Some(taken) = seats.take() else {
            tell(app, peer.ip(), StatusCode::SERVICE_UNAVAILABLE, || {
                format!("no place for another connection: {CONNECTIONS} are busy")
            });
            tokio::spawn(refuse(stream));
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (router, peer) = (TowerToHyperService::new(router.clone()), peer.ip());
        let seat = taken.seat().clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
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
        app.metrics.connections.inc();
        let app = app.clone();
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tell_of(&app, peer, &error, taken.seat());
                },
                () = taken.left() => {}
            }
            app.metrics.connections.dec();
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Tells of a connection that ended before it could be answered. Who leaves is no error.
fn tell_of(app: &App, peer: IpAddr, error: &hyper::Error, seat: &Seat) {
    let status = if error.is_parse_too_large() {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    } else if error.is_parse() {
        StatusCode::BAD_REQUEST
    } else if error.is_timeout() && seat.has_begun() {
        StatusCode::REQUEST_TIMEOUT
    } else {
        return;
    };
    tell(app, peer, status, || format!("not a request: {error}"));
}

fn tell(app: &App, peer: IpAddr, status: StatusCode, why: impl FnOnce() -> String) {
    let event = Event { what: "connection", status, peer };
    app.journal.tell(event, || format!("{}: {}", status.as_u16(), why()));
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
