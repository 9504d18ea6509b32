//! Somebody who reads a file while it comes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::item::Item;
use super::session::Visit;
use crate::error::{HubError, PullError, StoreError};
use crate::fs::{File, Open};
use crate::hub::part::{Part, Readable};
use crate::store::partial::part_name;

/// How much is read at a time.
const BLOCK: u64 = 512 << 10;

/// The last so many bytes of a file are given when all of it is right.
const HELD_BACK: u64 = 64 << 10;

/// Bytes of a file that is on its way.
#[derive(Debug)]
pub struct Reader {
    /// Given up when the file is complete: then it can be published.
    visit: Option<Visit>,
    item: Arc<Item>,
    at: u64,
    end: u64,
    /// Whether the client may have bytes of it: it was given some, or asks for what is behind them.
    has_some: bool,
    /// Where bytes are read, and how often the file was begun anew by then.
    part: Option<(Arc<Part>, u64)>,
    /// The complete file.
    complete: Option<File>,
}

/// What a reader does next.
enum Step {
    Read(File, u64),
    Prove(Arc<Part>),
    Wait,
}

impl Reader {
    pub(super) fn new(visit: Visit, item: Arc<Item>, bytes: Range<u64>) -> Self {
        let end = bytes.end.min(item.file.size);
        let visit = Some(visit);
        let has_some = bytes.start > 0;
        Self { visit, item, at: bytes.start, end, has_some, part: None, complete: None }
    }

    /// The next bytes; `None` behind the last one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What ended the fetch. [`HubError::Cut`] when the bytes that were given before turned out to be
    /// wrong: whoever has them must begin anew.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Shared<PullError>> {
        while self.at < self.end {
            let item = self.item.clone();
            let mut watch = item.watch();
            let changed = item.run.changed();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let part = self.current()?;
            let part_changed = part.as_ref().map(|part| part.changed());
            tokio::pin!(part_changed);
            if let Some(changed) = part_changed.as_mut().as_pin_mut() {
                changed.enable();
            }
            match self.step(part.as_ref()).await? {
                Step::Read(file, len) => return self.read(file, len).await.map(Some),
                Step::Prove(part) => {
                    let at = self.at;
                    let proving = move || part.prove(at).map_err(PullError::from);
                    crate::hub::blocking(proving).await.map_err(Arc::new)?;
                }
                Step::Wait => {
                    let part_changed = async {
                        match part_changed.as_mut().as_pin_mut() {
                            Some(changed) => changed.await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = part_changed => {}
                        () = changed => {}
                        _ = watch.changed() => {}
                    }
                }
            }
        }
        self.visit = None;
        Ok(None)
    }

    /// The part that the file comes in now.
    fn current(&mut self) -> Result<Option<Arc<Part>>, Shared<PullError>> {
        let (run, begun) = (&self.item.run, self.item.run.beginnings());
        if self.part.as_ref().is_none_or(|(_, of)| *of != begun) {
            if self.part.is_some() && self.has_some {
                return Err(Arc::new(self.began_anew()));
            }
            self.part = run.part(0).map(|part| (part, begun));
        }
        Ok(self.part.as_ref().map(|(part, _)| part.clone()))
    }

    fn began_anew(&self) -> PullError {
        let url = self.item.file.path.to_string();
        HubError::Cut { url, at: self.at, end: self.end }.into()
    }

    async fn step(&mut self, part: Option<&Arc<Part>>) -> Result<Step, Shared<PullError>> {
        if let Some(file) = &self.complete {
            return Ok(Step::Read(file.clone(), self.end - self.at));
        }
        match self.item.outcome() {
            Some(Ok(_)) => {
                let file = match part {
                    Some(part) => part.file().clone(),
                    None => self.open().await?,
                };
                self.complete = Some(file.clone());
                // It stays open, whatever becomes of its name.
                self.visit = None;
                return Ok(Step::Read(file, self.end - self.at));
            }
            Some(Err(e)) => return Err(e),
            None => {}
        }
        let Some(part) = part else { return Ok(Step::Wait) };
        let size = self.item.file.size;
        let last = size - HELD_BACK.min(size);
        // Where only parts of a file are wanted, its digest may never be known.
        let held_back = self.end == size
            && (self.item.run.is_whole() || (self.at >= last && part.has_all_before(self.at)));
        let most = if held_back { last } else { self.end };
        if self.at >= most {
            if part.want(self.at..self.end) {
                self.item.run.wake();
            }
            return Ok(Step::Wait);
        }
        match part.readable(self.at) {
            Readable::Bytes(len) => Ok(Step::Read(part.file().clone(), len.min(most - self.at))),
            Readable::Claimed => Ok(Step::Prove(part.clone())),
            Readable::Nothing => {
                if part.want(self.at..self.end) {
                    self.item.run.wake();
                }
                Ok(Step::Wait)
            }
        }
    }

    /// A complete file that has no part: of one group or less, or found complete.
    async fn open(&self) -> Result<File, Shared<PullError>> {
        let Some(visit) = &self.visit else {
            return Err(Arc::new(StoreError::Cancelled.into()));
        };
        let (import, name) = (visit.import().await, part_name(&self.item.file.upstream));
        let open = move || {
            let import = import.ok_or(StoreError::Cancelled)?;
            Ok(import.dir().open_file(&name, Open::Read)?)
        };
        crate::hub::blocking(open).await.map_err(Arc::new)
    }

    async fn read(&mut self, file: File, len: u64) -> Result<Bytes, Shared<PullError>> {
        let (at, len) = (self.at, len.min(BLOCK));
        let reading = move || {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            let read = file.read_at(&mut bytes, at)?;
            bytes.truncate(read);
            Ok(Bytes::from(bytes))
        };
        let bytes = crate::hub::blocking(reading).await.map_err(Arc::new)?;
        if bytes.is_empty() {
            return Err(Arc::new(PullError::Stopped { what: "a file became shorter".to_owned() }));
        }
        self.at += bytes.len() as u64;
        self.has_some = true;
        Ok(bytes)
    }
}
