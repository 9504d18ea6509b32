//! A proxy of our own on loopback: it passes on what it is asked for (`GET http://…` and
//! `CONNECT host:port`), and remembers it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request that came to the proxy.
#[derive(Clone, Debug)]
pub struct Passed {
    pub method: String,
    /// `http://host:port/path`, or `host:port` of a `CONNECT`.
    pub target: String,
    pub authorization: Option<String>,
}

/// It serves for as long as the test's process runs.
pub struct Proxy {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Passed>>>,
}

impl Proxy {
    /// Lets everybody through.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// Lets nobody through who does not send this (`Basic …`).
    pub fn only_for(authorization: &str) -> Self {
        Self::with(Some(authorization.to_owned()))
    }

    fn with(wanted: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), log: Arc::default() };
        let log = proxy.log.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (log, wanted) = (log.clone(), wanted.clone());
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || serve(&client, &log, wanted.as_deref()));
            }
        });
        proxy
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn log(&self) -> Vec<Passed> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(client: &TcpStream, log: &Mutex<Vec<Passed>>, wanted: Option<&str>) -> io::Result<()> {
    let mut server: Option<TcpStream> = None;
    while let Some(head) = head(client)? {
        let passed = parse(&head);
        log.lock().unwrap().push(passed.clone());
        if wanted.is_some() && wanted != passed.authorization.as_deref() {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\
                Proxy-Authenticate: Basic realm=\"p\"\r\nConnection: close\r\n\r\n";
            return (&mut &*client).write_all(refusal.as_bytes());
        }
        if passed.method == "CONNECT" {
            let server = TcpStream::connect(&passed.target)?;
            (&mut &*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            copy(&server, client)?;
            return join(client, &server);
        }
        // A client that keeps a connection to a proxy asks one host over it.
        let server = match &mut server {
            Some(server) => server,
            none => {
                let host = passed.target.split('/').nth(2).unwrap_or_default();
                let connected = TcpStream::connect(host)?;
                copy(&connected, client)?;
                none.insert(connected)
            }
        };
        server.write_all(&head)?;
    }
    Ok(())
}

/// Passes on what a server says, beside what the client says.
fn copy(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn join(mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
    let _ = io::copy(&mut client, &mut server);
    server.shutdown(Shutdown::Write)
}

/// The next request's head; requests here have no body. `None` at the end.
fn head(mut client: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(head))
}

fn parse(head: &[u8]) -> Passed {
    let text = String::from_utf8_lossy(head);
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let authorization = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
    });
    Passed { method, target, authorization }
}
