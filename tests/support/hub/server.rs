//! The threads of a hub and what they share.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::content::Entry;
use super::exchange;
use super::fault::Live;
use super::log::{Origin, Request};
use super::repo::{Kind, Repo};
use super::send::Next;
use super::wire::Reader;

/// How long a test may wait for what does not happen before it is told so.
pub(super) const NEVER: Duration = Duration::from_secs(120);

pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    hub: SocketAddr,
    cdn: SocketAddr,
}

pub(super) struct Settings {
    pub page_size: usize,
    pub relative_links: bool,
    pub xet_signals: bool,
    pub serve_directly: bool,
}

/// A link to the content network that was given out.
#[derive(Clone)]
pub(super) struct Link {
    pub number: u64,
    pub repo: (Kind, String),
    pub entry: Entry,
}

pub(super) struct State {
    pub settings: Settings,
    pub repos: BTreeMap<(Kind, String), Repo>,
    /// From old names to new ones.
    pub moved: BTreeMap<(Kind, String), String>,
    /// From tokens to users.
    pub tokens: BTreeMap<String, String>,
    pub faults: Vec<Live>,
    pub log: Vec<Request>,
    /// The number of the first request in the log.
    pub forgotten: usize,
    /// By signature.
    pub links: HashMap<String, Link>,
    pub next_link: u64,
    /// Links below this number answer 403.
    pub expired: u64,
    pub connections: HashMap<u64, Arc<TcpStream>>,
    next_connection: u64,
    pub threads: usize,
    pub bodies: usize,
    pub most_bodies: usize,
    pub stopped: bool,
}

impl State {
    pub fn expire_links(&mut self) {
        self.expired = self.next_link;
    }

    pub fn forget_log(&mut self) {
        self.forgotten += self.log.len();
        self.log.clear();
        self.most_bodies = self.bodies;
    }

    /// A request by its number, unless it was forgotten.
    pub fn logged(&mut self, number: usize) -> Option<&mut Request> {
        self.log.get_mut(number.checked_sub(self.forgotten)?)
    }
}

impl Shared {
    pub fn new(hub: SocketAddr, cdn: SocketAddr) -> Self {
        let settings = Settings {
            page_size: 1000,
            relative_links: false,
            xet_signals: false,
            serve_directly: false,
        };
        let state = State {
            settings,
            repos: BTreeMap::new(),
            moved: BTreeMap::new(),
            tokens: BTreeMap::new(),
            faults: Vec::new(),
            log: Vec::new(),
            forgotten: 0,
            links: HashMap::new(),
            next_link: 0,
            expired: 0,
            connections: HashMap::new(),
            next_connection: 0,
            threads: 0,
            bodies: 0,
            most_bodies: 0,
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), hub, cdn }
    }

    pub fn url(&self, origin: Origin) -> String {
        match origin {
            Origin::Hub => format!("http://{}", self.hub),
            Origin::Cdn => format!("http://{}", self.cdn),
        }
    }

    /// The state, which a failed test may have left.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for it.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let out = change(&mut self.lock());
        self.changed.notify_all();
        out
    }

    /// Waits for what a test says must happen.
    pub fn wait_until(&self, mut happened: impl FnMut(&State) -> bool) {
        let deadline = Instant::now() + NEVER;
        if !self.wait(deadline, |state| happened(state)) && !std::thread::panicking() {
            let log = self.lock().log.clone();
            panic!("it never happened; the log is {log:#?}");
        }
    }

    /// Waits until something is so, and says whether it is: at the deadline it may not be.
    pub fn wait(&self, deadline: Instant, mut so: impl FnMut(&State) -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if so(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets time pass, unless the hub stops before it has.
    pub fn pause_until(&self, deadline: Instant) {
        self.wait(deadline, |state| state.stopped);
    }

    /// Ends every connection.
    pub fn stop(&self) {
        self.change(|state| {
            state.stopped = true;
            for stream in state.connections.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

/// Serves one origin until the hub stops.
pub(super) fn listen(shared: &Arc<Shared>, origin: Origin, listener: &TcpListener) {
    for stream in listener.incoming() {
        // A client may have gone before it was heard.
        let Ok(stream) = stream else { continue };
        let stream = Arc::new(stream);
        let registered = shared.change(|state| {
            let id = state.next_connection;
            state.next_connection += 1;
            state.threads += usize::from(!state.stopped);
            state.connections.insert(id, Arc::clone(&stream));
            (!state.stopped).then_some(id)
        });
        let Some(id) = registered else { return };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let _leaving = Leaving { shared: &shared, id };
            // A broken connection is the client's to notice.
            let _ = serve(&shared, origin, stream, id);
        });
    }
}

/// Takes a connection off the list however its thread ends.
struct Leaving<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.connections.remove(&self.id);
            state.threads -= 1;
        });
    }
}

fn serve(shared: &Shared, origin: Origin, stream: Arc<TcpStream>, id: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(&stream);
    while let Some(incoming) = reader.next()? {
        if exchange::exchange(shared, origin, id, &stream, &incoming)? == Next::Close {
            break;
        }
    }
    Ok(())
}
