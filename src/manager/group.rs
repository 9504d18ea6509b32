//! Several downloads as one: what an app needs before it can start.

use std::sync::Arc;

use super::progress::DownloadProgress;
use super::registry::Registry;
use super::task::DownloadTask;
use crate::error::ManagerError;
use crate::hub::Pulled;

/// Downloads that were asked for together. Dropping it cancels them.
#[must_use = "downloads go on only as long as their tasks are kept"]
pub struct DownloadGroup {
    tasks: Vec<DownloadTask>,
    registry: Arc<Registry>,
    seen: Option<Vec<(u64, bool)>>,
}

impl DownloadGroup {
    pub(super) fn new(tasks: Vec<DownloadTask>, registry: Arc<Registry>) -> Self {
        Self { tasks, registry, seen: None }
    }

    /// The downloads, in the order in which they were asked for.
    pub fn tasks(&self) -> &[DownloadTask] {
        &self.tasks
    }

    /// How far they are together; what was asked for twice counts once. The total grows until the
    /// hub has answered for each of them.
    #[must_use]
    pub fn progress(&self) -> DownloadProgress {
        let mut sum = DownloadProgress::default();
        for (i, task) in self.tasks.iter().enumerate() {
            let job = &task.control.job;
            if self.tasks.iter().take(i).any(|before| Arc::ptr_eq(&before.control.job, job)) {
                continue;
            }
            let one = task.progress();
            sum.bytes_downloaded += one.bytes_downloaded;
            sum.total_bytes += one.total_bytes;
            sum.files_completed += one.files_completed;
            sum.total_files += one.total_files;
            sum.bytes_per_second += one.bytes_per_second;
            sum.current_file = sum.current_file.or(one.current_file);
            sum.running |= one.running;
        }
        sum.estimated_time_remaining = sum.estimate();
        sum
    }

    /// How far they are: now, and then whenever that changes. `None` when all are over.
    pub async fn next_progress(&mut self) -> Option<DownloadProgress> {
        let mut changes = self.registry.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let state = |task: &DownloadTask| {
                let (job, member) = (&task.control.job, task.control.member);
                job.look(|state| (state.tick, state.outcome.is_some() || !state.has(member)))
            };
            let now: Vec<_> = self.tasks.iter().map(state).collect();
            if self.seen.as_ref() != Some(&now) {
                self.seen = Some(now);
                return Some(self.progress());
            }
            if now.iter().all(|(_, is_over)| *is_over) || changes.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Cancels each; see [`DownloadTask::cancel`].
    pub fn cancel(&self) {
        self.tasks.iter().for_each(DownloadTask::cancel);
    }

    /// Pauses each; see [`DownloadTask::pause`].
    pub fn pause(&self) {
        self.tasks.iter().for_each(DownloadTask::pause);
    }

    /// Goes on with each.
    pub fn resume(&self) {
        self.tasks.iter().for_each(DownloadTask::resume);
    }

    /// What came of each, in the order in which they were asked for, once all are over. One that
    /// fails does not stop the others.
    pub async fn results(&self) -> Vec<Result<Pulled, ManagerError>> {
        let mut results = Vec::with_capacity(self.tasks.len());
        for task in &self.tasks {
            results.push(task.result().await);
        }
        results
    }
}

impl std::fmt::Debug for DownloadGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DownloadGroup").field(&self.tasks).finish()
    }
}
