//! One download, whoever waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::progress::{DownloadProgress, Meter};
use super::registry::Registry;
use super::state::{Outcome, State, Want, wanted};
use crate::error::{ManagerError, PullError};
use crate::hub::{PullProgress, PullRequest};

/// How often those who wait hear how far a download is.
const TICK: Duration = Duration::from_millis(100);

/// A download.
pub(super) struct Job {
    pub request: PullRequest,
    registry: Arc<Registry>,
    state: watch::Sender<State>,
    meter: Mutex<Meter>,
}

impl Job {
    /// A download that one wants.
    pub fn new(request: PullRequest, registry: Arc<Registry>) -> (Arc<Self>, u64) {
        let mut state = State::default();
        let member = state.join();
        let (state, meter) = (watch::Sender::new(state), Mutex::default());
        (Arc::new(Self { request, registry, state, meter }), member)
    }

    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// What `look` finds in the state.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.borrow())
    }

    /// One more wants it.
    pub fn join(&self) -> u64 {
        let mut member = 0;
        self.change(|state| member = state.join());
        member
    }

    /// `member` wants it no more.
    pub fn leave(&self, member: u64) {
        self.change(|state| state.leave(member));
    }

    /// `member` wants it later, or again now.
    pub fn pause(&self, member: u64, paused: bool) {
        self.change(|state| state.pause(member, paused));
    }

    pub fn progress(&self) -> DownloadProgress {
        self.meter().progress(Instant::now())
    }

    /// Runs the engine whenever it is wanted, until the download is over; `run` is one run of it.
    pub async fn drive<F, R>(self: Arc<Self>, run: F)
    where
        F: Fn(Arc<PullProgress>) -> R,
        R: Future<Output = Outcome>,
    {
        let _end = End(self.clone());
        let mut state = self.subscribe();
        loop {
            match wanted(&mut state, |want| want != Want::Pause).await {
                Want::Run => {}
                Want::Pause => continue,
                Want::Stop if self.finish(Err(ManagerError::Cancelled), true) => return,
                Want::Stop => continue,
            }
            let permit = tokio::select! {
                permit = self.registry.permits.acquire() => permit,
                _ = wanted(&mut state, |want| want != Want::Run) => continue,
            };
            let progress = Arc::new(PullProgress::new());
            self.meter().start(progress.clone(), Instant::now());
            let outcome = self.watch(run(progress.clone()), &progress, &mut state).await;
            drop(permit);
            self.meter().stop();
            self.report();
            // It was asked to stop, and who asked may have thought better of it since.
            if outcome.is_err() && progress.is_cancelled() {
                continue;
            }
            self.finish(outcome, false);
            return;
        }
    }

    /// Waits for a run, reports how far it is, and cancels it when it is not wanted any more. A
    /// run that is cancelled is waited for, too: when it is over, nothing holds the parts.
    async fn watch(
        &self,
        run: impl Future<Output = Outcome>,
        progress: &PullProgress,
        state: &mut watch::Receiver<State>,
    ) -> Outcome {
        tokio::pin!(run);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outcome = &mut run => return outcome,
                _ = tick.tick() => {
                    self.meter().sample(Instant::now());
                    self.report();
                }
                _ = wanted(state, |want| want != Want::Run), if !progress.is_cancelled() => {
                    progress.cancel();
                }
            }
        }
    }

    /// Tells those who wait how far it is, when that is news.
    fn report(&self) {
        let now = self.progress();
        let news = self.state.send_if_modified(|state| {
            let news = state.told != now;
            if news {
                state.told = now;
                state.tick += 1;
            }
            news
        });
        if news {
            self.registry.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// The download is over, unless somebody wants it and it should be over only if nobody does.
    fn finish(&self, outcome: Outcome, if_unwanted: bool) -> bool {
        // Nobody joins meanwhile.
        let mut jobs = self.registry.jobs();
        if if_unwanted && self.look(State::is_wanted) {
            return false;
        }
        jobs.retain(|job| !std::ptr::eq(&**job, self));
        self.change(|state| {
            state.outcome.get_or_insert(outcome);
        });
        true
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
        self.registry.changes.send_modify(|changes| *changes += 1);
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a download whose driver ends without a word: it panicked, or its runtime was shut down.
struct End(Arc<Job>);

impl Drop for End {
    fn drop(&mut self) {
        if self.0.look(|state| state.outcome.is_none()) {
            self.0.meter().stop();
            let what = "the download's own task".to_owned();
            self.0.finish(Err(PullError::Stopped { what }.into()), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RefName;

    fn run(drive: impl Future<Output = ()> + Send + 'static) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let done = runtime.block_on(async { tokio::spawn(drive).await });
        done.is_ok()
    }

    fn job() -> (Arc<Registry>, Arc<Job>) {
        let registry = Arc::new(Registry::new());
        let (job, _, is_new) = registry.join(PullRequest::new("org/name".parse().unwrap()));
        assert!(is_new);
        (registry, job)
    }

    #[test]
    fn a_run_that_panics_ends_the_download_for_all_who_wait() {
        let (registry, job) = job();
        let main = PullRequest {
            revision: Some(RefName::main()),
            ..PullRequest::new("org/name".parse().unwrap())
        };
        assert!(!registry.join(main).2);
        #[allow(clippy::panic, reason = "this is what is tested")]
        let drive = job.clone().drive(|_| async { panic!("on purpose") });
        assert!(!run(drive));
        assert_eq!(registry.len(), 0);
        let stopped = |state: &State| {
            matches!(&state.outcome, Some(Err(ManagerError::DownloadFailed(e)))
                if matches!(**e, PullError::Stopped { .. }))
        };
        assert!(job.look(stopped));
    }

    #[test]
    fn a_driver_that_is_dropped_ends_the_download() {
        let (registry, job) = job();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.spawn(job.clone().drive(|_| std::future::pending()));
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(registry.len(), 1);
        drop(runtime);
        assert_eq!(registry.len(), 0);
        assert!(job.look(|state| state.outcome.is_some()));
    }

    #[test]
    fn who_joins_a_download_that_is_about_to_end_revives_it() {
        let (registry, job) = job();
        let (asked, again) = (job.clone(), registry.clone());
        let runs = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = runs.clone();
        let drive = job.clone().drive(move |progress| {
            let (job, registry) = (asked.clone(), again.clone());
            let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            async move {
                if first {
                    job.leave(0);
                    while !progress.is_cancelled() {
                        tokio::task::yield_now().await;
                    }
                    assert!(!registry.join(job.request.clone()).2);
                    return Err(ManagerError::Cancelled);
                }
                Err(ManagerError::RateLimited { url: String::new(), retry_after: None })
            }
        });
        assert!(run(drive));
        assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 2);
        let limited =
            |state: &State| matches!(state.outcome, Some(Err(ManagerError::RateLimited { .. })));
        assert!(job.look(limited));
    }
}
