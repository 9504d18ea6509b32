//! The one verification that may run, and what the last one found.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::problem::{Problem, Trouble};
use crate::error::StoreError;
use crate::hub::Mender;
use crate::progress::Progress;
use crate::serve::app::App;
use crate::store::{Resolved, now};
use crate::verify::{self, Elsewhere, Level, RepairOptions, Repaired, Verified};

/// How often those who listen hear how far it is.
const TICK: Duration = Duration::from_millis(250);

/// What a verification found, or how far it is.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Verify {
    running: bool,
    checked_bytes: u64,
    total_bytes: u64,
    checked_files: u64,
    damaged: Vec<Damage>,
    /// What was damaged, and is whole again.
    mended: Vec<Damage>,
    /// Whether it was to mend what it found: what is damaged yet is in quarantine then.
    repair: bool,
    /// When it ended, in seconds since the epoch.
    finished: Option<i64>,
    /// Why it ended early.
    error: Option<Trouble>,
}

/// A file that is not what it should be, or was not.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Damage {
    model: String,
    revision: String,
    path: String,
    /// What is wrong, in words.
    why: String,
}

/// The one that may run, and the last one.
#[derive(Default)]
pub struct Verification(Mutex<State>);

#[derive(Default)]
struct State {
    running: Option<Arc<Progress>>,
    last: Verify,
}

impl Verification {
    pub fn told(&self) -> Verify {
        let state = self.state();
        let Some(progress) = &state.running else { return state.last.clone() };
        let (checked_bytes, total_bytes) = progress.bytes();
        let (checked_files, _) = progress.files();
        let running = true;
        Verify { running, checked_bytes, total_bytes, checked_files, ..Verify::default() }
    }

    /// Begins, unless one runs.
    pub fn begin(
        &self,
        app: &Arc<App>,
        revisions: Vec<Resolved>,
        level: Level,
        repair: bool,
    ) -> Result<Verify, Problem> {
        let mut state = self.state();
        if state.running.is_some() {
            return Err(Problem::busy("a verification is running"));
        }
        let progress = Arc::new(Progress::new());
        state.running = Some(progress.clone());
        drop(state);
        tokio::spawn(follow(app.clone(), Work { revisions, level, repair }, progress));
        Ok(self.told())
    }

    /// Has it stop soon, if one runs.
    pub fn cancel(&self) {
        if let Some(progress) = &self.state().running {
            progress.cancel();
        }
    }

    fn end(&self, last: Verify) {
        *self.state() = State { running: None, last };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be done.
struct Work {
    revisions: Vec<Resolved>,
    level: Level,
    repair: bool,
}

impl Work {
    fn run(
        &self,
        app: &App,
        runtime: Handle,
        progress: &Progress,
    ) -> Result<(Verified, Vec<Repaired>), StoreError> {
        let mut verified = verify::verify(&app.store, &self.revisions, self.level, progress)?;
        let mut mended = Vec::new();
        if self.repair && !verified.damaged.is_empty() {
            let hub = app.manager.client();
            let mender = Mender::new(hub, runtime);
            let elsewhere = (!hub.is_offline()).then_some(&mender as &dyn Elsewhere);
            let options = RepairOptions { from: &[], elsewhere, quarantine: true };
            (mended, verified.damaged) =
                verify::repair(&app.store, &verified.damaged, options, progress)?;
        }
        Ok((verified, mended))
    }
}

/// Verifies, and tells those who listen.
async fn follow(app: Arc<App>, work: Work, progress: Arc<Progress>) {
    let (of, counted, runtime) = (app.clone(), progress.clone(), Handle::current());
    let repair = work.repair;
    let verifying = move || work.run(&of, runtime, &counted);
    let mut job = tokio::task::spawn_blocking(verifying);
    let mut tick = tokio::time::interval(TICK);
    let done = loop {
        tokio::select! {
            done = &mut job => break done,
            _ = tick.tick() => app.news.verify(),
        }
    };
    let outcome = match done {
        Ok(verified) => verified.map_err(Problem::from),
        Err(e) => Err(Problem::failure(e.to_string())),
    };
    let found = Verify { finished: Some(now()), repair, ..Verify::ended(outcome, &progress) };
    app.metrics.damaged.inc_by((found.damaged.len() + found.mended.len()) as u64);
    app.verification.end(found);
    app.news.verify();
    // What was read, and what is damaged, is noted in the store.
    app.news.store();
}

impl Verify {
    fn ended(outcome: Result<(Verified, Vec<Repaired>), Problem>, progress: &Progress) -> Self {
        match outcome {
            Ok((verified, mended)) => Self {
                checked_bytes: verified.checked_bytes,
                total_bytes: verified.checked_bytes,
                checked_files: verified.checked_files,
                damaged: verified.damaged.into_iter().map(Damage::from).collect(),
                mended: mended.into_iter().map(|one| one.damaged.into()).collect(),
                ..Self::default()
            },
            Err(problem) => {
                let ((checked_bytes, total_bytes), (checked_files, _)) =
                    (progress.bytes(), progress.files());
                let error = Some(problem.into_trouble());
                Self { checked_bytes, total_bytes, checked_files, error, ..Self::default() }
            }
        }
    }
}

impl From<verify::Damaged> for Damage {
    fn from(damaged: verify::Damaged) -> Self {
        Self {
            model: damaged.model.to_string(),
            revision: damaged.revision.to_string(),
            path: damaged.path.to_string(),
            why: damaged.why,
        }
    }
}
