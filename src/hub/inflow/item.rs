//! A file on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::{Inner, Shared, Span};
use crate::digest::tree::GROUP;
use crate::error::PullError;
use crate::hub::RemoteFile;
use crate::hub::fetch::{Fetched, Fetching, Run};
use crate::hub::progress::PullProgress;

/// A file of at most so many bytes is fetched whole, whatever is wanted of it.
const SMALL: u64 = 64 << 20;

/// How a fetch ended.
pub(super) type Outcome = Result<Fetched, Shared<PullError>>;

/// A file that workers fetch.
#[derive(Debug)]
pub(super) struct Item {
    pub file: RemoteFile,
    pub run: Arc<Run>,
    pub progress: Arc<PullProgress>,
    /// Bytes that are going to be fetched, at most.
    needed: AtomicU64,
    outcome: watch::Sender<Option<Outcome>>,
}

/// Whether all of a file is fetched for this.
pub(super) fn is_whole(file: &RemoteFile, span: &Span) -> bool {
    span.whole || file.size <= SMALL
}

/// What a part of a file takes: whole groups come.
pub(super) fn needed(file: &RemoteFile, span: &Span) -> u64 {
    if is_whole(file, span) {
        return file.size;
    }
    (span.bytes.end - span.bytes.start).saturating_add(2 * GROUP).min(file.size)
}

impl Item {
    /// A fetch that began, and goes on by itself.
    pub fn new(
        inner: Arc<Inner>,
        file: RemoteFile,
        fetching: Fetching,
        progress: Arc<PullProgress>,
        needed: u64,
    ) -> Arc<Self> {
        let item = Arc::new(Self {
            file,
            run: fetching.run().clone(),
            progress,
            needed: needed.into(),
            outcome: watch::Sender::new(None),
        });
        let driven = item.clone();
        tokio::spawn(async move {
            let done = fetching.finish().await;
            if driven.run.beginnings() > 0 {
                inner.was_wrong(driven.file.upstream).await;
            }
            let outcome = match done.map(|fetched| fetched.into_iter().next()) {
                Ok(Some(fetched)) => Ok(fetched),
                Ok(None) => Err(PullError::Stopped { what: "a fetch".to_owned() }),
                Err(e) => Err(e),
            };
            driven.outcome.send_replace(Some(outcome.map_err(Arc::new)));
        });
        item
    }

    /// Has what is wanted fetched, too.
    ///
    /// # Errors
    /// What the file system says, of a full disk too.
    pub fn want(&self, span: &Span) -> Result<(), PullError> {
        if is_whole(&self.file, span) {
            self.needed.store(self.file.size, Ordering::Relaxed);
            self.run.want_all()?;
        } else {
            self.needed.fetch_max(needed(&self.file, span), Ordering::Relaxed);
        }
        Ok(())
    }

    pub fn needed(&self) -> u64 {
        self.needed.load(Ordering::Relaxed)
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<Option<Outcome>> {
        self.outcome.subscribe()
    }

    /// Ends the fetch, if it goes on, and waits for its end.
    pub async fn stop(&self) -> Option<Outcome> {
        self.progress.cancel();
        self.watch().wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}
