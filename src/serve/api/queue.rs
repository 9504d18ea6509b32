//! The list of downloads that were started here: one for all who look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use bytesize::ByteSize;
use serde::Serialize;
use utoipa::ToSchema;

use super::news::News;
use super::problem::{Problem, Trouble};
use crate::error::ManagerError;
use crate::hub::PullRequest;
use crate::manager::{DownloadControl, DownloadProgress, DownloadTask};
use crate::model::{ModelId, RefName};
use crate::serve::app::App;
use crate::store::Limits;

/// How many downloads that are over are kept.
const MOST: usize = 100;

/// What a download is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Doing {
    /// For others to end.
    Waiting,
    Running,
    Paused,
    Done,
    Failed,
    Cancelled,
}

/// A download.
#[derive(Serialize, ToSchema)]
pub struct Download {
    id: u64,
    model: String,
    /// The branch, tag or commit that was asked for.
    revision: String,
    state: Doing,
    /// Bytes of the wanted files that are here. It can fall: what is found wrong is fetched again.
    bytes: u64,
    /// Bytes of the wanted files; 0 until the hub has answered.
    total_bytes: u64,
    /// Files that are here whole.
    files: u64,
    total_files: u64,
    /// One of the files that are on their way.
    current_file: Option<String>,
    bytes_per_second: u64,
    /// How long the rest takes at this speed; null while nothing comes.
    eta_seconds: Option<u64>,
    /// Why it failed.
    error: Option<Trouble>,
}

/// The downloads, and what became of the last ones that are over.
#[derive(Default)]
pub struct Downloads(Mutex<List>);

#[derive(Default)]
struct List {
    last_id: u64,
    runs: u64,
    all: Vec<Entry>,
}

struct Entry {
    id: u64,
    request: PullRequest,
    state: State,
}

enum State {
    /// `run` tells it from what was begun under the same id before.
    Active {
        control: DownloadControl,
        run: u64,
        cancelled: bool,
    },
    Over {
        ending: Ending,
        progress: DownloadProgress,
    },
}

enum Ending {
    Done,
    Failed(Trouble),
    Cancelled,
}

impl Downloads {
    /// All of them, the oldest first.
    pub fn told(&self) -> Vec<Download> {
        self.list().all.iter().map(Entry::told).collect()
    }

    /// Begins a download. One of the same files that is not over goes on instead; then this is false.
    pub fn begin(&self, app: &Arc<App>, request: PullRequest) -> (Download, bool) {
        let mut list = self.list();
        if let Some(entry) = list.all.iter().find(|entry| entry.is_going_for(&request)) {
            entry.resume();
            return (entry.told(), false);
        }
        list.last_id += 1;
        let id = list.last_id;
        let state = list.start(app, id, &request);
        let entry = Entry { id, request, state };
        let told = entry.told();
        list.all.push(entry);
        (told, true)
    }

    /// Pauses one that is not over.
    pub fn pause(&self, id: u64) -> Result<Download, Problem> {
        self.steer(id, |control, _| control.pause())
    }

    /// Has it go on.
    pub fn resume(&self, id: u64) -> Result<Download, Problem> {
        self.steer(id, |control, _| control.resume())
    }

    /// Ends it; what came is kept for the next.
    pub fn cancel(&self, id: u64) -> Result<Download, Problem> {
        self.steer(id, |control, cancelled| {
            control.cancel();
            *cancelled = true;
        })
    }

    fn steer(
        &self,
        id: u64,
        steer: impl FnOnce(&DownloadControl, &mut bool),
    ) -> Result<Download, Problem> {
        let mut list = self.list();
        let entry = list.find(id)?;
        match &mut entry.state {
            State::Active { control, cancelled, .. } if !*cancelled => steer(control, cancelled),
            _ => return Err(Problem::busy(format!("download {id} is over"))),
        }
        Ok(entry.told())
    }

    /// Begins one that failed or was cancelled again.
    pub fn retry(&self, app: &Arc<App>, id: u64) -> Result<Download, Problem> {
        let mut list = self.list();
        let entry = list.find(id)?;
        if !matches!(entry.doing(), Doing::Failed | Doing::Cancelled) {
            return Err(Problem::busy(format!("download {id} has not failed")));
        }
        let request = entry.request.clone();
        let state = list.start(app, id, &request);
        let entry = list.find(id)?;
        entry.state = state;
        Ok(entry.told())
    }

    /// Forgets one that is over.
    pub fn forget(&self, id: u64) -> Result<StatusCode, Problem> {
        let mut list = self.list();
        if !list.find(id)?.is_over() {
            return Err(Problem::busy(format!("download {id} is not over")).hint("cancel it first"));
        }
        list.all.retain(|entry| entry.id != id);
        Ok(StatusCode::NO_CONTENT)
    }

    /// Ends all of them, and waits until nothing works on them any more.
    pub async fn close(&self, news: &News) {
        let mut changes = news.subscribe();
        loop {
            // Before the look: one may end right after it.
            changes.mark_unchanged();
            if !self.stop_active() || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether there are any.
    fn stop_active(&self) -> bool {
        let list = self.list();
        let mut any = false;
        for entry in &list.all {
            if let State::Active { control, .. } = &entry.state {
                control.cancel();
                any = true;
            }
        }
        any
    }

    fn end(&self, id: u64, run: u64, ending: Ending, progress: DownloadProgress) {
        let mut list = self.list();
        let is_it = |entry: &&mut Entry| {
            entry.id == id && matches!(entry.state, State::Active { run: is, .. } if is == run)
        };
        if let Some(entry) = list.all.iter_mut().find(is_it) {
            entry.state = State::Over { ending, progress };
        }
        let over = list.all.iter().filter(|entry| entry.is_over()).count();
        if over > MOST
            && let Some(oldest) = list.all.iter().position(Entry::is_over)
        {
            list.all.remove(oldest);
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn find(&mut self, id: u64) -> Result<&mut Entry, Problem> {
        let not_found = || Problem::not_found(format!("there is no download {id}"));
        self.all.iter_mut().find(|entry| entry.id == id).ok_or_else(not_found)
    }

    fn start(&mut self, app: &Arc<App>, id: u64, request: &PullRequest) -> State {
        self.runs += 1;
        let run = self.runs;
        let task = app.manager.download(request.clone());
        let control = task.control();
        tokio::spawn(follow(app.clone(), id, run, request.model.clone(), task));
        State::Active { control, run, cancelled: false }
    }
}

/// Tells those who listen how far a download is, to its end.
async fn follow(app: Arc<App>, id: u64, run: u64, model: ModelId, mut task: DownloadTask) {
    while task.next_progress().await.is_some() {
        app.news.downloads();
    }
    let outcome = task.result().await;
    // It may have evicted models and then failed.
    app.news.store();
    let ending = match outcome {
        Ok(_) => Ending::Done,
        Err(ManagerError::Cancelled) => Ending::Cancelled,
        Err(e) => {
            let trouble = trouble(&app, e);
            log::error!("download {id} of {model}: {}", trouble.message);
            Ending::Failed(trouble)
        }
    };
    app.downloads.end(id, run, ending, task.progress());
    app.news.downloads();
}

/// What is wrong, in sizes that people read; where there is a limit, it may be what is in the way.
fn trouble(app: &App, error: ManagerError) -> Trouble {
    let size = |bytes| ByteSize::b(bytes).display().si();
    let words = match error {
        ManagerError::InsufficientSpace { required, available, evictable } => {
            let place = match app.store.limits() {
                Limits { max_bytes: Some(max), .. } => {
                    format!("within the limit of {}", size(max))
                }
                _ => "on the disk".to_owned(),
            };
            let (needed, free) = (size(required), size(available));
            let freed = (evictable > 0).then(|| {
                format!(", or evict models: those that nothing holds have {}", size(evictable))
            });
            Some((
                format!("{needed} are needed, and {free} are free {place}"),
                format!("free some space{}", freed.unwrap_or_default()),
            ))
        }
        _ => None,
    };
    let mut trouble = Problem::from(error).into_trouble();
    if let Some((message, hint)) = words {
        (trouble.message, trouble.hint) = (message, Some(hint));
    }
    trouble
}

impl Entry {
    fn doing(&self) -> Doing {
        match &self.state {
            State::Active { cancelled: true, .. } => Doing::Cancelled,
            State::Active { control, .. } if control.is_paused() => Doing::Paused,
            State::Active { control, .. } if control.progress().running => Doing::Running,
            State::Active { .. } => Doing::Waiting,
            State::Over { ending: Ending::Done, .. } => Doing::Done,
            State::Over { ending: Ending::Failed(_), .. } => Doing::Failed,
            State::Over { ending: Ending::Cancelled, .. } => Doing::Cancelled,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.doing(), Doing::Done | Doing::Failed | Doing::Cancelled)
    }

    fn is_going_for(&self, request: &PullRequest) -> bool {
        let is_same =
            self.request.model == request.model && self.request.selection == request.selection;
        is_same && self.revision() == revision(request) && !self.is_over()
    }

    fn resume(&self) {
        if let State::Active { control, .. } = &self.state {
            control.resume();
        }
    }

    fn revision(&self) -> String {
        revision(&self.request)
    }

    fn told(&self) -> Download {
        let (progress, error) = match &self.state {
            State::Active { control, .. } => (control.progress(), None),
            State::Over { ending: Ending::Failed(trouble), progress } => {
                (progress.clone(), Some(trouble.clone()))
            }
            State::Over { progress, .. } => (progress.clone(), None),
        };
        Download {
            id: self.id,
            model: self.request.model.to_string(),
            revision: self.revision(),
            state: self.doing(),
            bytes: progress.bytes_downloaded,
            total_bytes: progress.total_bytes,
            files: progress.files_completed,
            total_files: progress.total_files,
            current_file: progress.current_file.map(|path| path.to_string()),
            bytes_per_second: progress.bytes_per_second,
            eta_seconds: progress.estimated_time_remaining.map(|left| left.as_secs()),
            error,
        }
    }
}

fn revision(request: &PullRequest) -> String {
    request.revision.clone().unwrap_or_else(RefName::main).to_string()
}
