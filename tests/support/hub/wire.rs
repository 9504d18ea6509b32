//! Requests as they come over a connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The longest head, and the longest body, that is read.
const LIMIT: usize = 8 << 20;

pub(super) struct Incoming {
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub keep_alive: bool,
}

impl Incoming {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The token in the request.
    pub fn token(&self) -> Option<&str> {
        let value = self.header("authorization")?;
        Some(value.strip_prefix("Bearer ").unwrap_or(value).trim())
    }

    /// The first and last byte of a request for one range, which may leave either out.
    pub fn range(&self) -> Option<(Option<u64>, Option<u64>)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| match text.trim() {
            "" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        match (number(first)?, number(last)?) {
            (None, None) => None,
            range => Some(range),
        }
    }
}

pub(super) struct Reader<'a> {
    stream: &'a TcpStream,
    /// What came and was not used yet.
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub fn new(stream: &'a TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads some more; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        if self.buffer.len() > LIMIT {
            return Err(io::Error::other("a request without an end"));
        }
        let mut some = [0; 16 << 10];
        let read = self.stream.read(&mut some)?;
        self.buffer.extend(&some[..read]);
        Ok(read > 0)
    }

    /// The next request; `None` when the client has no more.
    pub fn next(&mut self) -> io::Result<Option<Incoming>> {
        let (mut incoming, head) = loop {
            match parse(&self.buffer)? {
                Some(parsed) => break parsed,
                None if self.more()? => {}
                None => return Ok(None),
            }
        };
        self.buffer.drain(..head);
        let len = incoming.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        if len > 0 && incoming.header("expect").is_some_and(|e| e.starts_with("100")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while self.buffer.len() < len {
            if !self.more()? {
                return Ok(None);
            }
        }
        incoming.body = self.buffer.drain(..len).collect();
        Ok(Some(incoming))
    }
}

/// A request's head and its length, if it is whole.
fn parse(buffer: &[u8]) -> io::Result<Option<(Incoming, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(buffer).map_err(io::Error::other)? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let target = request.path.unwrap_or("/");
    // What a client sends to a proxy names the host too.
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()))
        .collect();
    let mut incoming = Incoming {
        method: request.method.unwrap_or_default().into(),
        target: target.into(),
        headers,
        body: Vec::new(),
        keep_alive: request.version == Some(1),
    };
    match incoming.header("connection").map(str::to_ascii_lowercase).as_deref() {
        Some("close") => incoming.keep_alive = false,
        Some("keep-alive") => incoming.keep_alive = true,
        _ => {}
    }
    Ok(Some((incoming, head)))
}
