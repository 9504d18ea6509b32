//! What is refused and what fails, told to who runs the server: each thing once, and then how often.
//!
//! Lines go to the [`log`] of the program. What the same caller does again within a minute is
//! counted, so nobody fills a disk with lines about themselves; and there is a most that is told in a
//! minute, whoever they are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use log::Level;

/// For how long the same is only counted.
const QUIET: Duration = Duration::from_secs(60);
/// How many different things are told in this time.
const MOST: usize = 200;
/// The most that is told of what somebody else wrote, in characters.
const SHOWN: usize = 200;

/// Why a request was not granted: it goes with the answer until it is told.
#[derive(Clone, Debug)]
pub(super) struct Why(pub String);

/// What happened, to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event {
    /// In a word or two: what was wanted.
    pub what: &'static str,
    pub status: StatusCode,
    pub peer: IpAddr,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    more: u64,
}

/// What was told lately.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<HashMap<Event, Said>>);

impl Journal {
    /// Tells of `event`, unless it was told just now; `details` follow who it was.
    pub fn tell(&self, event: Event, details: impl FnOnce() -> String) {
        let level = if event.status.is_server_error() { Level::Error } else { Level::Warn };
        let mut said = self.said();
        for (event, more) in settle(&mut said, Instant::now()) {
            log::warn!("{}", event.again(more));
        }
        if let Some(said) = said.get_mut(&event) {
            said.more += 1;
            return;
        }
        if said.len() == MOST {
            return;
        }
        said.insert(event, Said { at: Instant::now(), more: 0 });
        let is_last = said.len() == MOST;
        drop(said);
        let line = format!("{}: {}", event.peer.to_canonical(), details());
        log::log!(level, "{line}");
        if is_last {
            log::warn!("what else goes wrong within the next minute is not told");
        }
    }

    /// Tells how often what was told happened again.
    pub fn close(&self) {
        for (event, said) in self.said().drain().filter(|(_, said)| said.more > 0) {
            log::warn!("{}", event.again(said.more));
        }
    }

    fn said(&self) -> MutexGuard<'_, HashMap<Event, Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what was told long enough ago, and returns what happened again since.
fn settle(said: &mut HashMap<Event, Said>, now: Instant) -> Vec<(Event, u64)> {
    let old = said.extract_if(|_, said| now.duration_since(said.at) >= QUIET);
    old.filter(|(_, said)| said.more > 0).map(|(event, said)| (event, said.more)).collect()
}

impl Event {
    fn again(&self, times: u64) -> String {
        let Self { what, status, peer } = self;
        let status = status.as_u16();
        format!("{}: {what}, {status}: {times} more since it was told", peer.to_canonical())
    }
}

/// Whether an answer says that something is wrong. What is not there, was not changed or is over is
/// every client's daily bread.
pub(super) fn is_trouble(status: StatusCode) -> bool {
    let usual = [
        StatusCode::NOT_FOUND,
        StatusCode::CONFLICT,
        StatusCode::RANGE_NOT_SATISFIABLE,
        StatusCode::FAILED_DEPENDENCY,
    ];
    (status.is_client_error() || status.is_server_error()) && !usual.contains(&status)
}

/// The beginning of what somebody else wrote, on one line.
pub(super) fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().take(SHOWN).map(clean).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: Event = Event {
        what: "file",
        status: StatusCode::BAD_GATEWAY,
        peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    };

    #[test]
    fn what_happens_again_is_told_once_and_counted() {
        let journal = Journal::default();
        let mut told = 0;
        for _ in 0..3 {
            journal.tell(EVENT, || {
                told += 1;
                String::new()
            });
        }
        let other = Event { status: StatusCode::FORBIDDEN, ..EVENT };
        journal.tell(other, || {
            told += 1;
            String::new()
        });
        assert_eq!(told, 2);
        let mut said = journal.said();
        assert_eq!(settle(&mut said, Instant::now()), []);
        // It is told again after a while, with how often it happened meanwhile.
        assert_eq!(settle(&mut said, Instant::now() + QUIET), [(EVENT, 2)]);
        assert!(said.is_empty());
        let again = EVENT.again(2);
        assert_eq!(again, "127.0.0.1: file, 502: 2 more since it was told");
    }

    #[test]
    fn whoever_they_are_no_more_than_so_much_is_kept() {
        let journal = Journal::default();
        let mut told = 0;
        for last in 0..MOST as u32 + 100 {
            let peer = IpAddr::from(std::net::Ipv4Addr::from_bits(last));
            journal.tell(Event { peer, ..EVENT }, || {
                told += 1;
                String::new()
            });
        }
        assert_eq!((told, journal.said().len()), (MOST, MOST));
    }

    #[test]
    fn what_somebody_wrote_stays_on_one_line_and_short() {
        assert_eq!(shown("/a b\n\x1b[31m"), "/a b  [31m");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), SHOWN + 1);
    }
}
