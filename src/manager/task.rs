//! A caller's share in a download.

use std::sync::Arc;

use super::job::Job;
use super::progress::DownloadProgress;
use crate::error::ManagerError;
use crate::hub::Pulled;
use crate::model::ModelId;

/// A download that somebody asked for.
///
/// It goes on by itself, whether anybody looks or not, until it is done, or nobody wants it any
/// more: dropping the task is [`cancel`](Self::cancel). Any executor may await what it returns.
#[must_use = "a download goes on only as long as its task is kept"]
pub struct DownloadTask {
    pub(super) control: DownloadControl,
    /// The last report of progress that the caller has.
    seen: Option<u64>,
    ended: bool,
}

/// Steers a [`DownloadTask`] from elsewhere: a button, another thread. It does not keep the download
/// going.
#[derive(Clone)]
pub struct DownloadControl {
    pub(super) job: Arc<Job>,
    pub(super) member: u64,
}

impl DownloadTask {
    pub(super) fn new(job: Arc<Job>, member: u64) -> Self {
        Self { control: DownloadControl { job, member }, seen: None, ended: false }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &ModelId {
        &self.control.job.request.model
    }

    /// How far it is: now, and then whenever that changes, at most ten times a second. The last
    /// thing that is told is how far it was at the end; `None` follows, and comes at once when this
    /// task is cancelled.
    pub async fn next_progress(&mut self) -> Option<DownloadProgress> {
        let control = &self.control;
        let mut changes = control.job.subscribe();
        while !self.ended {
            let (tick, is_over, is_mine) = {
                let state = changes.borrow_and_update();
                (state.tick, state.outcome.is_some(), state.has(control.member))
            };
            self.ended = is_over || !is_mine;
            if is_mine && self.seen != Some(tick) {
                self.seen = Some(tick);
                return Some(control.progress());
            }
            if !self.ended && changes.changed().await.is_err() {
                self.ended = true;
            }
        }
        None
    }

    /// How far it is now.
    #[must_use]
    pub fn progress(&self) -> DownloadProgress {
        self.control.progress()
    }

    /// Something that steers this task from elsewhere.
    #[must_use]
    pub fn control(&self) -> DownloadControl {
        self.control.clone()
    }

    /// Ends it for this caller. When no other is joined the download stops, and what was fetched is
    /// kept for the next.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Stops fetching, and keeps what came. When others are joined it goes on until they pause, too.
    pub fn pause(&self) {
        self.control.pause();
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.control.resume();
    }

    /// Whether this caller paused it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.control.is_paused()
    }

    /// What came of it, once it is over: the revision in the store. May be asked more than once.
    ///
    /// After [`cancel`](Self::cancel) this returns when the download has stopped, or at once when it
    /// goes on for others. A download that was done before it could stop is a success.
    ///
    /// # Errors
    /// All of [`ManagerError`].
    pub async fn result(&self) -> Result<Pulled, ManagerError> {
        let member = self.control.member;
        let mut changes = self.control.job.subscribe();
        let state = changes
            .wait_for(|state| state.outcome.is_some() || (!state.has(member) && state.is_wanted()))
            .await;
        match state.as_ref().map(|state| (&state.outcome, state.has(member))) {
            Ok((Some(Ok(pulled)), _)) => Ok(pulled.clone()),
            Ok((Some(Err(e)), true)) => Err(e.clone()),
            _ => Err(ManagerError::Cancelled),
        }
    }
}

impl Drop for DownloadTask {
    fn drop(&mut self) {
        self.control.cancel();
    }
}

impl std::fmt::Debug for DownloadTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownloadTask")
            .field("model", self.model())
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

impl DownloadControl {
    /// See [`DownloadTask::progress`].
    #[must_use]
    pub fn progress(&self) -> DownloadProgress {
        self.job.progress()
    }

    /// See [`DownloadTask::cancel`].
    pub fn cancel(&self) {
        self.job.leave(self.member);
    }

    /// See [`DownloadTask::pause`].
    pub fn pause(&self) {
        self.job.pause(self.member, true);
    }

    /// See [`DownloadTask::resume`].
    pub fn resume(&self) {
        self.job.pause(self.member, false);
    }

    /// See [`DownloadTask::is_paused`].
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.job.look(|state| state.is_paused(self.member))
    }
}

impl std::fmt::Debug for DownloadControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownloadControl")
            .field("model", &self.job.request.model)
            .finish_non_exhaustive()
    }
}
