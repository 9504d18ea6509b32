//! A store that is served on loopback for as long as somebody needs it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use tonnage::error::ErrorKind;
use tonnage::hub::Config;
use tonnage::serve::{Options, Server};
use tonnage::store::Store;

use crate::fail::Failure;

/// It ends when this is dropped, too: an interruption leaves no server behind in a directory that
/// is about to go.
pub struct Serving {
    pub url: String,
    /// That it is dropped is the word to stop.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Serving {
    pub fn start(store: Arc<Store>) -> Result<Self, Failure> {
        let hub = Config { offline: true, ..Config::default() };
        let options = Options { hub, ..Options::default() };
        let server = Server::bind(store, options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let url = format!("http://{}", server.addr().map_err(cannot_serve)?);
        // Of its own: the pull's runtime ends with the pull.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(cannot_serve)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || runtime.block_on(server.run(async { drop(stopped.await) }));
        let thread = thread::Builder::new().spawn(serve).map_err(cannot_serve)?;
        Ok(Self { url, stop: Some(stop), thread: Some(thread) })
    }

    pub fn stop(mut self) -> Result<(), Failure> {
        self.end().map_err(cannot_serve)
    }

    fn end(&mut self) -> io::Result<()> {
        drop(self.stop.take());
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(done)) => done,
            Some(Err(_)) => Err(io::Error::other("its thread panicked")),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Who drops it has an error to tell already.
        let _ = self.end();
    }
}

fn cannot_serve(e: io::Error) -> Failure {
    Failure::new(ErrorKind::Failure, format!("cannot serve the store: {e}"))
}
