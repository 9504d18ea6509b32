//! The downloads that are not over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::job::Job;
use crate::hub::PullRequest;
use crate::model::RefName;

/// How many downloads fetch at once. Each has several connections.
const AT_ONCE: usize = 4;

/// The downloads that are not over.
pub(super) struct Registry {
    jobs: Mutex<Vec<Arc<Job>>>,
    pub permits: Semaphore,
    /// Changes whenever any download does.
    pub changes: watch::Sender<u64>,
}

impl Registry {
    pub fn new() -> Self {
        Self {
            jobs: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
            changes: watch::Sender::new(0),
        }
    }

    /// Joins the download of what is asked for. `true`: there was none, and this one is to be
    /// driven.
    pub fn join(self: &Arc<Self>, request: PullRequest) -> (Arc<Job>, u64, bool) {
        let mut jobs = self.jobs();
        if let Some(job) = jobs.iter().find(|job| is_same(&job.request, &request)) {
            return (job.clone(), job.join(), false);
        }
        let (job, member) = Job::new(request, self.clone());
        jobs.push(job.clone());
        (job, member, true)
    }

    /// How many downloads are not over.
    pub fn len(&self) -> usize {
        self.jobs().len()
    }

    /// While this is held, nothing is over and nothing begins.
    pub fn jobs(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two requests are for the same files.
fn is_same(one: &PullRequest, other: &PullRequest) -> bool {
    let revision = |request: &PullRequest| request.revision.clone().unwrap_or_else(RefName::main);
    one.model == other.model && one.selection == other.selection && revision(one) == revision(other)
}
