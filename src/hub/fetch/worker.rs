//! A worker: takes tasks from the queue, one connection at a time.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::queue::{Active, Task};
use super::{Fetched, Run};
use crate::digest::tree::GROUP;
use crate::digest::{BlobHash, Upstream};
use crate::error::{HubError, PullError};
use crate::fs::Open;
use crate::hub::digester::Digesting;
use crate::hub::hasher::Hasher;
use crate::hub::part::{Part, Writer};
use crate::hub::progress::FileProgress;
use crate::hub::{Body, RemoteFile};
use crate::store::partial::{have, part_name};

/// How many bytes of a file are made durable together.
const FLUSH: u64 = 128 << 20;

/// Works until all files are complete.
pub(super) async fn work(run: Arc<Run>) -> Result<(), PullError> {
    // A file that a worker has to itself needs to be read only once: its bytes are digested as they
    // come.
    let mut last = None;
    while let Some(task) = run.queue.next(last).await {
        last = task.file();
        match task {
            Task::Small(index) => run.small(index).await?,
            Task::Open(index) => run.open(index)?,
            Task::Segment(active, range) => {
                let done = run.segment(&active, range).await;
                run.queue.left(&active);
                done?;
            }
            Task::Whole(active) => {
                let done = run.whole(&active).await;
                active.ranges.end_whole();
                done?;
                run.queue.wake();
            }
        }
    }
    Ok(())
}

impl Run {
    fn open(&self, index: usize) -> Result<(), PullError> {
        let Some((file, _)) = self.order.files.get(index) else { return Ok(()) };
        let whole = self.is_whole();
        let part = Arc::new(Part::open(&self.dir, &file.upstream, file.size, whole)?);
        let progress = self.progress.begin(index, &file.path, file.size, part.have());
        let digesting = Arc::new(Digesting { index, part });
        let awake = digesting.part.begin_digest();
        let active = Active {
            digesting: digesting.clone(),
            progress,
            ranges: Arc::default(),
            workers: Arc::default(),
        };
        // Known to the queue before anything can be found of it.
        self.queue.opened(active);
        if self.is_whole() {
            // Said while the part was being opened.
            digesting.part.want_all()?;
        }
        if digesting.part.is_complete() {
            self.flusher.look(&digesting, 1);
        }
        if awake {
            self.digesters.wake(&digesting);
        }
        Ok(())
    }

    /// Fetches a segment, from as many answers as it takes.
    async fn segment(&self, active: &Active, range: Range<u64>) -> Result<(), PullError> {
        let Some(file) = self.file(active) else { return Ok(()) };
        let part = &active.digesting.part;
        let mut writer = Writer::new(part, range.start);
        let mut failures = 0;
        while writer.at() < range.end {
            let (before, rest) = (writer.at(), writer.at()..range.end);
            let error = match self.ask(file, Some(rest)).await {
                Ok(body) if body.start() != before => {
                    // The whole file instead of a range. That may be a moment's weakness.
                    active.ranges.ignore();
                    let what = "the server gave the whole file instead of a range";
                    self.pause(&mut failures, self.nonsense(what)).await?;
                    if active.ranges.is_ignored() {
                        part.give_back(before / GROUP * GROUP..range.end);
                        self.queue.wake();
                        return Ok(());
                    }
                    continue;
                }
                Ok(body) => self.pour(active, body, &mut writer).await?,
                Err(e) => Some(e),
            };
            if writer.at() > before {
                failures = 0;
            }
            match error {
                Some(e) => self.pause(&mut failures, e).await?,
                None if writer.at() == before => {
                    self.pause(&mut failures, self.nonsense("an empty answer")).await?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Writes what comes. Gives back why no more came, if that is for the caller to judge.
    async fn pour(
        &self,
        active: &Active,
        mut body: Body,
        writer: &mut Writer<'_>,
    ) -> Result<Option<HubError>, PullError> {
        loop {
            match self.receive(&mut body, &active.progress).await {
                Ok(Some(bytes)) => {
                    let wake = writer.write(&bytes)?;
                    if wake {
                        self.digesters.wake(&active.digesting);
                    }
                    self.flusher.look(&active.digesting, FLUSH);
                }
                Ok(None) => return Ok(None),
                Err(e) => return Ok(Some(e)),
            }
        }
    }

    /// Fetches all that is missing of a file whose server gives no ranges.
    async fn whole(&self, active: &Active) -> Result<(), PullError> {
        let Some(file) = self.file(active) else { return Ok(()) };
        let part = &active.digesting.part;
        let mut failures = 0;
        while part.is_missing() {
            let had = part.have();
            let error = match self.ask(file, None).await {
                Ok(body) => self.pour_missing(active, body).await?,
                Err(e) => Some(e),
            };
            if part.have() > had {
                failures = 0;
            }
            match error {
                Some(e) => self.pause(&mut failures, e).await?,
                None if part.have() == had && part.is_missing() => {
                    self.pause(&mut failures, self.nonsense("an empty answer")).await?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Writes the groups that are missing out of the whole file.
    async fn pour_missing(
        &self,
        active: &Active,
        mut body: Body,
    ) -> Result<Option<HubError>, PullError> {
        let part = &active.digesting.part;
        let mut at = body.start();
        let mut writer: Option<Writer<'_>> = None;
        let ended = loop {
            let mut bytes = match body.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break None,
                Err(e) => break Some(e),
            };
            self.limit(&bytes).await;
            while !bytes.is_empty() {
                let end = (at / GROUP + 1) * GROUP;
                if at.is_multiple_of(GROUP) {
                    writer = part.take_one(at).then(|| Writer::new(part, at));
                }
                let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(bytes.len());
                let now = bytes.split_to(len);
                at += len as u64;
                let Some(writer) = &mut writer else { continue };
                self.progress.fetched(&active.progress, len as u64);
                if writer.write(&now)? {
                    self.digesters.wake(&active.digesting);
                }
            }
            if !part.is_missing() && at.is_multiple_of(GROUP) {
                break None;
            }
        };
        // A group that did not come whole.
        if writer.is_some() && !at.is_multiple_of(GROUP) && at < part.size() {
            let start = at / GROUP * GROUP;
            self.progress.lost(&active.progress, at - start);
            part.give_back(start..at);
        }
        Ok(ended)
    }

    /// Fetches a file of one group or less, which is digested in memory and written when it is right.
    async fn small(&self, index: usize) -> Result<(), PullError> {
        let Some((file, copies)) = self.order.files.get(index) else { return Ok(()) };
        let progress = self.progress.begin(index, &file.path, file.size, 0);
        let name = part_name(&file.upstream);
        let kept = self.dir.open_file(&name, Open::Read).and_then(|part| part.read_all(file.size));
        let kept = kept.ok().filter(|bytes| is(&file.upstream, bytes).is_ok());
        let bytes = match kept {
            Some(bytes) => bytes,
            None => {
                let counted = have(&self.dir, &file.upstream, file.size);
                self.progress.lost(&progress, counted);
                let bytes = self.small_bytes(index, file, &progress).await?;
                Part::discard(&self.dir, &file.upstream)?;
                self.dir.open_file(&name, Open::New)?.write_at(&bytes, 0)?;
                bytes
            }
        };
        let (upstream, size, blob) = (file.upstream, file.size, BlobHash::of(&bytes));
        self.progress.finished(index, *copies);
        self.queue
            .finish(index, Fetched { upstream, size, blob, groups: Vec::new(), segments: None });
        Ok(())
    }

    async fn small_bytes(
        &self,
        index: usize,
        file: &RemoteFile,
        progress: &FileProgress,
    ) -> Result<Vec<u8>, PullError> {
        let mut bytes = Vec::with_capacity(usize::try_from(file.size.min(GROUP)).unwrap_or(0));
        let mut failures = 0;
        loop {
            let had = bytes.len() as u64;
            if had == file.size {
                match is(&file.upstream, &bytes) {
                    Ok(()) => return Ok(bytes),
                    Err(found) => self.refuse(index, &found)?,
                }
                self.progress.lost(progress, had);
                bytes.clear();
                continue;
            }
            let error = match self.ask(file, (had > 0).then_some(had..file.size)).await {
                Ok(mut body) => {
                    if body.start() != had {
                        self.progress.lost(progress, had);
                        bytes.clear();
                    }
                    loop {
                        match self.receive(&mut body, progress).await {
                            Ok(Some(more)) => bytes.extend_from_slice(&more),
                            Ok(None) => break None,
                            Err(e) => break Some(e),
                        }
                    }
                }
                Err(e) => Some(e),
            };
            if bytes.len() as u64 > had {
                failures = 0;
            }
            match error {
                Some(e) => self.pause(&mut failures, e).await?,
                None if (bytes.len() as u64) <= had => {
                    self.pause(&mut failures, self.nonsense("an empty answer")).await?;
                }
                None => {}
            }
        }
    }

    async fn ask(&self, file: &RemoteFile, range: Option<Range<u64>>) -> Result<Body, HubError> {
        let order = &self.order;
        order.client.open(&order.model, &order.commit, file, range).await
    }

    /// The next bytes, counted, and no faster than they may come.
    async fn receive(
        &self,
        body: &mut Body,
        progress: &FileProgress,
    ) -> Result<Option<Bytes>, HubError> {
        let bytes = body.next().await?;
        if let Some(bytes) = &bytes {
            self.limit(bytes).await;
            self.progress.fetched(progress, bytes.len() as u64);
        }
        Ok(bytes)
    }

    async fn limit(&self, bytes: &Bytes) {
        if let Some(limit) = &self.order.limit {
            limit.take(bytes.len()).await;
        }
    }

    /// Waits after a failure that may pass, or gives up.
    async fn pause(&self, failures: &mut u32, error: HubError) -> Result<(), PullError> {
        *failures += 1;
        match self.order.client.retry().pause(*failures, &error) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(error.into()),
        }
    }

    fn nonsense(&self, what: &str) -> HubError {
        let url = self.order.client.page(&self.order.model);
        HubError::Protocol { url, what: what.to_owned() }
    }

    fn file(&self, active: &Active) -> Option<&RemoteFile> {
        self.order.files.get(active.digesting.index).map(|(file, _)| file)
    }
}

/// An error with the digest that bytes have when they are not those expected.
fn is(expected: &Upstream, bytes: &[u8]) -> Result<(), Upstream> {
    let found = Hasher::of(expected, bytes);
    if found == *expected { Ok(()) } else { Err(found) }
}
