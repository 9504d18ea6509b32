//! What is wanted of a download, and what came of it.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::progress::DownloadProgress;
use crate::error::ManagerError;
use crate::hub::Pulled;

pub(super) type Outcome = Result<Pulled, ManagerError>;

/// What is wanted of a download, and what came of it.
#[derive(Default)]
pub(super) struct State {
    /// Those who want it, and whether they want it later.
    members: BTreeMap<u64, bool>,
    next: u64,
    /// Counts reports of progress.
    pub tick: u64,
    pub told: DownloadProgress,
    pub outcome: Option<Outcome>,
}

/// What all who are joined want together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Run,
    Pause,
    Stop,
}

impl State {
    /// Whether `member` has neither cancelled nor gone away.
    pub fn has(&self, member: u64) -> bool {
        self.members.contains_key(&member)
    }

    pub fn is_paused(&self, member: u64) -> bool {
        self.members.get(&member).copied().unwrap_or(false)
    }

    pub fn is_wanted(&self) -> bool {
        !self.members.is_empty()
    }

    pub fn want(&self) -> Want {
        if self.members.is_empty() {
            Want::Stop
        } else if self.members.values().all(|paused| *paused) {
            Want::Pause
        } else {
            Want::Run
        }
    }

    /// One more wants it.
    pub fn join(&mut self) -> u64 {
        let member = self.next;
        self.next += 1;
        self.members.insert(member, false);
        member
    }

    /// `member` wants it no more.
    pub fn leave(&mut self, member: u64) {
        self.members.remove(&member);
    }

    /// `member` wants it later, or again now.
    pub fn pause(&mut self, member: u64, paused: bool) {
        if let Some(is) = self.members.get_mut(&member) {
            *is = paused;
        }
    }
}

/// Returns when what is wanted of the download is `right`.
pub(super) async fn wanted(
    state: &mut watch::Receiver<State>,
    right: impl Fn(Want) -> bool,
) -> Want {
    match state.wait_for(|state| right(state.want())).await {
        Ok(state) => state.want(),
        // The sender is the job's, and a job outlives its driver.
        Err(_) => Want::Stop,
    }
}
