//! What was asked of the hub, and what it sent.

use super::Hub;
use super::encode::matches;
use super::server::State;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Hub,
    Cdn,
}

/// A request, as far as it has been answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub origin: Origin,
    pub method: String,
    /// The path of the URL, decoded.
    pub path: String,
    /// The query of the URL as it came, without its question mark.
    pub query: String,
    /// The asked first and last byte.
    pub range: Option<(u64, Option<u64>)>,
    pub authorization: Option<String>,
    /// All headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The path within the repository of the file that was asked for, on either origin.
    pub file: Option<String>,
    /// Whether bytes of that file are the answer, and not a redirect or an error.
    pub content: bool,
    /// The status of the answer; 0 until its head is sent.
    pub status: u16,
    /// Bytes of the body that were given to the system. They are counted before they can reach
    /// the client, so that whatever it has read is counted.
    pub body_sent: u64,
    /// Whether the answer is over, by a fault or by its end.
    pub done: bool,
    /// The same for requests on one connection.
    pub connection: u64,
}

impl Request {
    /// The value of a header, its name given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether a pattern (`*` is anything) is the file that was asked for or the URL's path.
    pub fn is_for(&self, pattern: &str) -> bool {
        self.file.as_deref().is_some_and(|file| matches(pattern, file))
            || matches(pattern, &self.path)
    }
}

/// The sum over the log behind [`Hub::body_bytes_sent`].
fn body_bytes(log: &[Request], path: &str) -> u64 {
    log.iter()
        .filter(|request| request.content && request.is_for(path))
        .map(|request| request.body_sent)
        .sum()
}

impl Hub {
    /// Every request, in the order in which they came.
    pub fn log(&self) -> Vec<Request> {
        self.shared.lock().log.clone()
    }

    /// The requests that `wanted` picks.
    pub fn requests(&self, mut wanted: impl FnMut(&Request) -> bool) -> Vec<Request> {
        self.shared.lock().log.iter().filter(|request| wanted(request)).cloned().collect()
    }

    /// How many bytes of files that `path` means (see [`Request::is_for`]) were sent as content.
    pub fn body_bytes_sent(&self, path: &str) -> u64 {
        body_bytes(&self.shared.lock().log, path)
    }

    /// The most files' bodies that were under way at once.
    pub fn most_bodies_at_once(&self) -> usize {
        self.shared.lock().most_bodies
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Forgets what was asked so far. Answers under way are forgotten too.
    pub fn forget_log(&self) {
        self.shared.change(State::forget_log);
    }

    /// Waits until the log is as `wanted` says; it blocks the thread.
    pub fn wait_for(&self, mut wanted: impl FnMut(&[Request]) -> bool) {
        self.shared.wait_until(|state| wanted(&state.log));
    }

    /// Waits until at least `bytes` of a file were sent.
    pub fn wait_for_bytes(&self, path: &str, bytes: u64) {
        self.wait_for(|log| body_bytes(log, path) >= bytes);
    }

    /// Waits until no more than `count` connections are open.
    pub fn wait_for_connections(&self, count: usize) {
        self.shared.wait_until(|state| state.connections.len() <= count);
    }
}
