//! How far a pull is: on a terminal lines that are replaced, elsewhere lines of a log, objects on
//! request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tonnage::hub::{PullProgress, Snapshot, Stage};

use super::lines::{Row, Total, figures, lines};
use crate::context::Context;
use crate::out::Out;
use crate::text::{plain, size};
use crate::watch::Watched;

/// Speed is what came in so long a time.
const WINDOW: Duration = Duration::from_secs(5);
/// How often a log gets a line.
const LOG: Duration = Duration::from_secs(10);
/// How often a program gets an object.
const EVENT: Duration = Duration::from_secs(1);

pub struct Watching {
    progress: Arc<PullProgress>,
    out: Out,
    /// How many files can be under way.
    jobs: usize,
    /// Where nobody draws: how often is told.
    tells: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    /// When so many bytes had come over the network.
    seen: VecDeque<(Instant, u64)>,
    told: Instant,
}

impl Watching {
    pub fn new(
        progress: Arc<PullProgress>,
        context: &Context,
        events: Option<&Out>,
        jobs: usize,
    ) -> Self {
        let out = context.out;
        let tells = match (events, out.json || out.quiet || out.draws()) {
            (Some(_), _) => Some(EVENT),
            (None, false) => Some(LOG),
            (None, true) => None,
        };
        let now = Instant::now();
        // Nothing has come yet: a log's first line, too, has a speed.
        let state = Mutex::new(State { seen: VecDeque::from([(now, 0)]), told: now });
        Self { progress, out, jobs, tells, state }
    }

    /// Bytes a second over the last [`WINDOW`].
    fn speed(&self, fetched: u64) -> f64 {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.push_back((now, fetched));
        while state.seen.len() > 2
            && state.seen.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW)
        {
            state.seen.pop_front();
        }
        match state.seen.front() {
            Some((then, bytes)) if now > *then => {
                fetched.saturating_sub(*bytes) as f64 / now.duration_since(*then).as_secs_f64()
            }
            _ => 0.0,
        }
    }

    fn is_due(&self, every: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = state.told.elapsed() >= every;
        if due {
            state.told = Instant::now();
        }
        due
    }

    /// A line of a log.
    fn text(&self, now: &Snapshot, speed: f64) -> String {
        if let Some(text) = apart(now) {
            return text;
        }
        let mut text = figures(&total(now, speed), usize::MAX);
        if let Some(file) = now.files.first() {
            text = format!("{text}, {}", plain(file.path.as_str()));
        }
        text
    }
}

/// What is done while nothing is fetched.
fn apart(now: &Snapshot) -> Option<String> {
    Some(match now.stage {
        Stage::Resolving => "asking the hub".to_owned(),
        Stage::Checking if now.hashed_bytes.1 > 0 => {
            let (done, all) = now.hashed_bytes;
            format!("looking what is here: {} of {} read", size(done), size(all))
        }
        Stage::Checking => "looking what is here".to_owned(),
        Stage::Publishing => "making it durable".to_owned(),
        _ => return None,
    })
}

fn total(now: &Snapshot, speed: f64) -> Total {
    Total {
        what: if now.stage == Stage::Waiting { "another process fetches: " } else { "" },
        bytes: now.done_bytes,
        size: now.total_bytes,
        files: now.done_files,
        all_files: now.total_files,
        speed,
    }
}

impl Watched for Watching {
    fn lines(&self, _took: Duration, room: (usize, usize)) -> Vec<String> {
        let now = self.progress.snapshot();
        let speed = self.speed(now.fetched_bytes);
        if let Some(text) = apart(&now) {
            return vec![text];
        }
        let files = now.files.iter().map(|file| Row {
            name: file.path.as_str(),
            bytes: file.bytes,
            size: file.size,
        });
        lines(&total(&now, speed), &files.collect::<Vec<_>>(), self.jobs, room)
    }

    fn cancel(&self) {
        self.progress.cancel();
    }

    fn tick(&self) {
        let Some(every) = self.tells.filter(|every| self.is_due(*every)) else { return };
        let now = self.progress.snapshot();
        let speed = self.speed(now.fetched_bytes);
        if every == EVENT {
            self.out.event(&object(&now, speed));
        } else {
            self.out.log(&self.text(&now, speed));
        }
    }
}

fn object(now: &Snapshot, speed: f64) -> serde_json::Value {
    let left = now.total_bytes.saturating_sub(now.done_bytes) as f64;
    let files: Vec<_> = now
        .files
        .iter()
        .map(|file| json!({ "path": file.path, "size": file.size, "bytes": file.bytes }))
        .collect();
    json!({
        "event": "progress",
        "stage": match now.stage {
            Stage::Resolving => "resolving",
            Stage::Checking => "checking",
            Stage::Waiting => "waiting",
            Stage::Fetching => "fetching",
            Stage::Publishing => "publishing",
            _ => "done",
        },
        "bytes": now.done_bytes,
        "total_bytes": now.total_bytes,
        "fetched_bytes": now.fetched_bytes,
        "files": now.done_files,
        "total_files": now.total_files,
        "bytes_per_second": speed as u64,
        "seconds_left": (speed >= 1.0).then_some(left / speed),
        "current": files,
    })
}
