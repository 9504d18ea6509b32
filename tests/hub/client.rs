//! A client that hides nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::hub::{Entry, Hub, Kind, RepoHandle};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With its last byte.
    Whole,
    /// Too early, in an orderly way.
    Cut,
    /// By a reset.
    Reset,
}

#[derive(Debug)]
pub struct Reply {
    /// 0 if nothing like a head came.
    pub status: u16,
    pub head: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub ended: Ended,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn location(&self) -> &str {
        self.header("location").unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Who hears nothing for so long fails, and does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to where a URL points.
    pub fn new(url: &str) -> Self {
        let host = url.strip_prefix("http://").unwrap();
        let host = host.split('/').next().unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub fn write(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.write(&format!("{method} {target} HTTP/1.1\r\nHost: hub\r\n{lines}\r\n"));
    }

    pub fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(method, target, headers);
        self.reply(method)
    }

    pub fn get(&mut self, target: &str) -> Reply {
        self.ask("GET", target, &[])
    }

    /// Reads until `wanted` is there, and says how it ended.
    fn fill(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Ended {
        let mut some = vec![0; 64 << 10];
        while !wanted(&self.buffer) {
            match self.stream.read(&mut some) {
                Ok(0) => return Ended::Cut,
                Ok(read) => self.buffer.extend(&some[..read]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ended::Reset,
                Err(e) => panic!("{e}"),
            }
        }
        Ended::Whole
    }

    /// Reads so many bytes of whatever comes.
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        assert_eq!(self.fill(|buffer| buffer.len() >= len), Ended::Whole);
        self.buffer.drain(..len).collect()
    }

    /// Reads to the end of the connection.
    pub fn rest(&mut self) -> (Vec<u8>, Ended) {
        let ended = self.fill(|_| false);
        (std::mem::take(&mut self.buffer), ended)
    }

    /// Reads the answer to a request that was sent.
    pub fn reply(&mut self, method: &str) -> Reply {
        let ended = self.fill(|buffer| head(buffer).is_some());
        let Some(len) = head(&self.buffer) else {
            let (head, _) = self.rest();
            let head = String::from_utf8(head).unwrap();
            return Reply { status: 0, head, headers: Vec::new(), body: Vec::new(), ended };
        };
        let head = String::from_utf8(self.buffer.drain(..len).collect()).unwrap();
        let headers: Vec<_> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let status = head[9..12].parse().unwrap();
        let mut reply = Reply { status, head, headers, body: Vec::new(), ended };
        let len = match reply.header("content-length") {
            Some(len) if method != "HEAD" => len.parse().unwrap(),
            _ => 0,
        };
        reply.ended = self.fill(|buffer| buffer.len() >= len);
        let len = len.min(self.buffer.len());
        reply.body = self.buffer.drain(..len).collect();
        reply
    }
}

/// The length of the head at the beginning.
fn head(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// A client of its own for one request, wherever the URL points.
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Reply {
    let at = url.find("//").unwrap() + 2;
    let path = url[at..].find('/').map_or("/", |slash| &url[at + slash..]);
    Client::new(url).ask(method, path, headers)
}

/// Asks the hub for a path.
pub fn get(hub: &Hub, path: &str) -> Reply {
    ask("GET", &format!("{}{path}", hub.url()), &[])
}

/// The URL of a large file on the content network.
pub fn link(hub: &Hub, path: &str) -> String {
    let reply = get(hub, path);
    assert_eq!(reply.status, 302, "{}", reply.head);
    reply.location().to_owned()
}

/// `len` bytes that are the same for the same seed.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut out);
    out
}

pub const SMALL: &[u8] = b"{\"model_type\": \"tiny\"}";

/// A model with a small file and a large one of 3,000,000 bytes.
pub fn model(hub: &Hub) -> (RepoHandle, String) {
    let repo = hub.repo(Kind::Model, "org/name");
    let commit = repo.commit(&[
        Entry::git("config.json", SMALL),
        Entry::lfs("weights/model.safetensors", large()),
    ]);
    (repo, commit)
}

pub fn large() -> Vec<u8> {
    bytes(1, 3_000_000)
}

pub const CONFIG: &str = "/org/name/resolve/main/config.json";
pub const WEIGHTS: &str = "/org/name/resolve/main/weights/model.safetensors";
