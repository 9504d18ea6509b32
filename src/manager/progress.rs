//! How far a download is, how fast, and for how long it will go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::hub::{PullProgress, Snapshot};
use crate::model::FilePath;

/// What the speed is an average over.
const WINDOW: Duration = Duration::from_secs(5);

/// How far a download is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadProgress {
    /// Bytes of the selected files that are here, those that need not be fetched among them. It can
    /// fall: what turns out to be wrong is fetched again.
    pub bytes_downloaded: u64,
    /// Bytes of the selected files; 0 until the hub has answered.
    pub total_bytes: u64,
    /// Selected files that are here whole.
    pub files_completed: u64,
    /// Selected files; 0 until the hub has answered.
    pub total_files: u64,
    /// The first of the files that are on their way now.
    pub current_file: Option<FilePath>,
    /// Bytes that came over the network per second, over the last five seconds.
    pub bytes_per_second: u64,
    /// How long the rest takes at this speed; `None` while nothing comes.
    pub estimated_time_remaining: Option<Duration>,
    /// Whether it is being worked on: not while it is paused, or waits for its turn.
    pub running: bool,
}

impl DownloadProgress {
    /// `None` when nothing comes.
    pub(super) fn estimate(&self) -> Option<Duration> {
        let left = self.total_bytes.saturating_sub(self.bytes_downloaded);
        let speed = self.bytes_per_second;
        (speed > 0).then(|| Duration::from_millis(left.saturating_mul(1000) / speed))
    }
}

/// Follows a download through all runs of the engine: pausing ends one, resuming begins the next.
#[derive(Debug, Default)]
pub(super) struct Meter {
    run: Option<Arc<PullProgress>>,
    /// How far the last run was that knew.
    last: Snapshot,
    /// Bytes that came in earlier runs.
    before: u64,
    /// Bytes that had come at some moments of the last five seconds, oldest first.
    window: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// A run begins.
    pub fn start(&mut self, run: Arc<PullProgress>, now: Instant) {
        self.stop();
        self.run = Some(run);
        self.sample(now);
    }

    /// The run is over.
    pub fn stop(&mut self) {
        if let Some(run) = self.run.take() {
            let snapshot = run.snapshot();
            self.before += snapshot.fetched_bytes;
            self.know(snapshot);
        }
        self.last.files.clear();
        self.window.clear();
    }

    /// Notes what came until now.
    pub fn sample(&mut self, now: Instant) {
        let Some(run) = &self.run else { return };
        self.window.push_back((now, self.before + run.snapshot().fetched_bytes));
        // One sample at the window's far end, or before it, stays: the speed is measured from it.
        while let Some((second, _)) = self.window.get(1)
            && now.saturating_duration_since(*second) >= WINDOW
        {
            self.window.pop_front();
        }
    }

    pub fn progress(&mut self, now: Instant) -> DownloadProgress {
        let mut fetched = self.before;
        if let Some(run) = &self.run {
            let snapshot = run.snapshot();
            fetched += snapshot.fetched_bytes;
            self.know(snapshot);
        }
        let last = &self.last;
        let mut progress = DownloadProgress {
            bytes_downloaded: last.done_bytes,
            total_bytes: last.total_bytes,
            files_completed: last.done_files,
            total_files: last.total_files,
            current_file: last.files.first().map(|file| file.path.clone()),
            bytes_per_second: self.speed(now, fetched),
            estimated_time_remaining: None,
            running: self.run.is_some(),
        };
        progress.estimated_time_remaining = progress.estimate();
        progress
    }

    /// A run that does not know yet what there is to do is as far as the one before it was.
    fn know(&mut self, snapshot: Snapshot) {
        if snapshot.total_files > 0 {
            self.last = snapshot;
        }
    }

    fn speed(&self, now: Instant, fetched: u64) -> u64 {
        let Some((since, then)) = self.window.front() else { return 0 };
        let millis = now.saturating_duration_since(*since).as_millis();
        let came = u128::from(fetched.saturating_sub(*then)) * 1000;
        came.checked_div(millis).map_or(0, |speed| u64::try_from(speed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_five_seconds() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut meter = Meter { run: Some(Arc::default()), ..Meter::default() };
        meter.window = (0..=100).map(|i| (at(i * 100), 1000 * i)).collect();
        meter.before = 100_000;
        meter.last = Snapshot {
            total_files: 1,
            total_bytes: 200_000,
            done_bytes: 100_000,
            ..Snapshot::default()
        };
        meter.sample(at(10_000));
        assert_eq!(meter.window.front().unwrap().0, at(5_000));
        let progress = meter.progress(at(10_000));
        assert_eq!(progress.bytes_per_second, 10_000);
        assert_eq!(progress.estimated_time_remaining, Some(Duration::from_secs(10)));
        // Nothing comes any more: it fades.
        meter.sample(at(15_000));
        let progress = meter.progress(at(15_000));
        assert_eq!((progress.bytes_per_second, progress.estimated_time_remaining), (0, None));
    }

    #[test]
    fn a_new_run_is_as_far_as_the_one_before_it() {
        let now = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.progress(now), DownloadProgress::default());
        meter.last =
            Snapshot { total_files: 3, done_bytes: 7, total_bytes: 9, ..Snapshot::default() };
        meter.start(Arc::default(), now);
        assert_eq!(meter.progress(now).bytes_downloaded, 7);
        meter.stop();
        assert_eq!(meter.progress(now).total_files, 3);
    }
}
