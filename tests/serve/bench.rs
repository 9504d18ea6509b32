//! A hub, a store, and a mirror between clients and both.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;
use tonnage::hub::{Config, Retry};
use tonnage::serve::{Options, Server};
use tonnage::store::{Access, Store};

use crate::client::{Client, Reply};
use crate::hub::{Entry, Hub, Kind, RepoHandle};

pub const MIB: usize = 1 << 20;
pub const CONFIG: &str = "/org/name/resolve/main/config.json";
pub const WEIGHTS: &str = "/org/name/resolve/main/weights.bin";

/// What takes so long does not come: a test fails, and does not wait for ever.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Bench {
    pub hub: Hub,
    dir: TempDir,
}

/// A mirror that serves until it is dropped.
pub struct Mirror {
    pub url: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Closed when it is over.
    over: Mutex<Receiver<()>>,
}

impl Bench {
    pub fn new() -> Self {
        Self { hub: Hub::start(), dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(self.path(), Access::Write).unwrap())
    }

    pub fn repo(&self) -> RepoHandle {
        self.hub.repo(Kind::Model, "org/name")
    }

    /// A model with a small file and one of `len` bytes.
    pub fn model(&self, len: usize) -> (RepoHandle, String, Vec<u8>) {
        let weights = crate::client::bytes(7, len);
        let repo = self.repo();
        let commit = repo.commit(&[
            Entry::git("config.json", crate::client::SMALL),
            Entry::lfs("weights.bin", weights.clone()),
        ]);
        (repo, commit, weights)
    }

    pub fn options(&self) -> Options {
        let retry = Retry { base: Duration::from_millis(1), attempts: 3, ..Retry::default() };
        let hub = Config { endpoint: self.hub.url(), retry, ..Config::default() };
        Options { hub, ..Options::default() }
    }

    pub fn offline(&self) -> Options {
        let mut options = self.options();
        options.hub.offline = true;
        options
    }

    pub fn serve(&self) -> Mirror {
        Mirror::start(self.store(), self.options())
    }

    /// Bytes of the large file that the hub sent.
    pub fn sent(&self) -> u64 {
        self.hub.body_bytes_sent("weights.bin")
    }
}

impl Mirror {
    pub fn start(store: Arc<Store>, options: Options) -> Self {
        let server = Server::bind(store, options, "127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", server.addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (running, over) = channel();
        let thread = std::thread::spawn(move || {
            let _running: Sender<()> = running;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let stopped = async { drop(stopped.await) };
            runtime.block_on(server.run(stopped)).unwrap();
        });
        Self { url, stop: Some(stop), thread: Some(thread), over: Mutex::new(over) }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    pub fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Sends a request as a client of the hub does.
    pub fn send(&self, client: &mut Client, method: &str, path: &str, headers: &[(&str, &str)]) {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        client.write(&format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", self.host()));
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut client = self.client();
        self.send(&mut client, method, path, headers);
        client.reply(method)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }

    pub fn post(&self, path: &str, kind: &str, body: &str) -> Reply {
        let mut client = self.client();
        let len = body.len().to_string();
        let headers = [("content-type", kind), ("content-length", len.as_str())];
        self.send(&mut client, "POST", path, &headers);
        client.write(body);
        client.reply("POST")
    }

    /// Ends it in an orderly way: what came is published then.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            if self.over.get_mut().unwrap().recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
            {
                assert!(std::thread::panicking(), "it does not stop");
                return;
            }
            let done = thread.join();
            assert!(done.is_ok() || std::thread::panicking());
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.end();
    }
}
