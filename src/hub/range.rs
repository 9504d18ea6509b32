//! The bytes of a file.

mod check;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, Url};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Asked, busy};
use super::client::{Answer, Arrival, Asking, broken};
use super::links::{Slot, Way, forget};
use super::repo::shown;
use super::{Client, RemoteFile};
use crate::error::HubError;
use crate::model::{ModelId, Revision};
use check::{Span, span};

/// How long to wait for the end of an answer whose bytes are all there.
const LINGER: Duration = Duration::from_millis(200);

/// Bytes of a file, as they come.
pub struct Body {
    start: u64,
    end: u64,
    /// The offset in the file of the next byte.
    at: u64,
    /// Whether the answer itself ends at `end`.
    whole: bool,
    stall: Duration,
    /// Since when nothing has come, while somebody waits. Kept here, not in the future, so that who
    /// drops the future and asks again does not begin to wait anew.
    waiting: Option<Instant>,
    /// None when no request was needed, and when the end or an error was reached.
    answer: Option<(Url, Response)>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.answer.as_ref().map(|(url, _)| shown(url));
        f.debug_struct("Body")
            .field("url", &url)
            .field("start", &self.start)
            .field("at", &self.at)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Body {
    /// No bytes at `offset`.
    fn empty(offset: u64) -> Self {
        Self {
            start: offset,
            end: offset,
            at: offset,
            whole: true,
            stall: Duration::ZERO,
            waiting: None,
            answer: None,
        }
    }

    /// The offset in the file of the first byte that [`next`](Self::next) gives. It is what was
    /// asked for, or 0 where the server does not give ranges.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The offset behind the last byte it gives: what was asked for, or less where the server gives
    /// less at a time. Never more.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The offset in the file of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next bytes, as they came from the network, without a copy; `None` when all up to
    /// [`end`](Self::end) were given. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`HubError::Cut`], [`HubError::Stalled`], [`HubError::Network`]: all retryable, from where it
    /// ended. After an error there is nothing more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        if self.at >= self.end {
            self.finish().await;
            return Ok(None);
        }
        let Some((url, response)) = &mut self.answer else { return Ok(None) };
        let deadline = *self.waiting.get_or_insert_with(Instant::now) + self.stall;
        loop {
            // Bytes that are here are taken before the clock is looked at.
            let frame = match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(e)) => {
                    let error = if check::is_short(&e) {
                        HubError::Cut { url: shown(url), at: self.at, end: self.end }
                    } else {
                        broken(url, &e)
                    };
                    self.answer = None;
                    return Err(error);
                }
                Err(_) => {
                    let error = HubError::Stalled { url: shown(url), waited: self.stall };
                    self.answer = None;
                    return Err(error);
                }
            };
            let Some(mut frame) = frame else {
                let error = HubError::Cut { url: shown(url), at: self.at, end: self.end };
                self.answer = None;
                return Err(error);
            };
            if frame.is_empty() {
                continue;
            }
            self.waiting = None;
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            frame.truncate(left);
            self.at += frame.len() as u64;
            return Ok(Some(frame));
        }
    }

    /// Lets the connection go back to the others. Where the answer has more than what was asked for
    /// it is closed instead: reading on could take for ever.
    async fn finish(&mut self) {
        if let Some((_, mut response)) = self.answer.take()
            && self.whole
        {
            let _ = timeout(LINGER, response.chunk()).await;
        }
    }
}

impl Client {
    /// The bytes of `file`, or those of `range` in it. One attempt: repeating is the caller's, who
    /// knows what it has; [`retry`](Client::retry) says when. The part of `range` behind the file's
    /// end is not asked for, and no bytes need no request.
    ///
    /// # Errors
    /// What the hub and the network do.
    pub async fn open(
        &self,
        model: &ModelId,
        commit: &Revision,
        file: &RemoteFile,
        range: Option<Range<u64>>,
    ) -> Result<Body, HubError> {
        let range = range.map(|range| range.start..range.end.min(file.size));
        let wanted = range.clone().unwrap_or(0..file.size);
        if wanted.is_empty() {
            return Ok(Body::empty(wanted.start));
        }
        let asked =
            Asked { model: Some(model), revision: Some(commit.as_str()), path: Some(&file.path) };
        let start = self.address().resolve(model, commit, &file.path)?;
        let slot = self.links().slot(&start);
        let (answer, link) = self.find(&slot, &start, range.as_ref(), asked).await?;
        let headers = answer.response.headers();
        let page = [".html", ".htm", ".xhtml"].iter().any(|end| file.path.as_str().ends_with(end));
        let what = (answer.response.status(), answer.response.content_length());
        let span = span(what, headers, range.as_ref(), file.size, page);
        let Span { start, end } = match span {
            Ok(span) => span,
            Err(what) => {
                // Whatever gave this, another place may do better.
                if let Some(link) = link {
                    forget(&slot, &link).await;
                }
                return Err(HubError::Protocol { url: shown(&answer.url), what });
            }
        };
        Ok(Body {
            start,
            end: end.min(wanted.end),
            at: start,
            whole: end <= wanted.end,
            stall: self.config().stall,
            waiting: None,
            answer: Some((answer.url, answer.response)),
        })
    }

    /// A 2xx from where the file's bytes are, and the link that led there, if one did.
    async fn find(
        &self,
        slot: &Slot,
        start: &Url,
        range: Option<&Range<u64>>,
        asked: Asked<'_>,
    ) -> Result<(Answer, Option<Url>), HubError> {
        let mut renewed = false;
        loop {
            let (link, fresh) = match self.way(slot, start, range).await? {
                Step::Answer(answer) if answer.response.status().is_success() => {
                    return Ok((answer, None));
                }
                Step::Answer(answer) => return Err(self.refused(answer, asked).await),
                Step::Via { link, fresh } => (link, fresh),
            };
            let answer = match self.ask_elsewhere(link.clone(), range).await {
                Ok(answer) => answer,
                Err(error) => {
                    if !matches!(error, HubError::Network { .. } | HubError::Stalled { .. }) {
                        forget(slot, &link).await;
                    }
                    return Err(error);
                }
            };
            let status = answer.response.status();
            if status.is_success() {
                return Ok((answer, Some(link)));
            }
            if let Some(error) = busy((&answer.url, status), answer.response.headers()) {
                return Err(error);
            }
            // Links expire. A new one is asked for at once, and only once.
            forget(slot, &link).await;
            if fresh || renewed {
                return Err(HubError::LinkRefused {
                    url: shown(&answer.url),
                    status: status.as_u16(),
                });
            }
            renewed = true;
        }
    }

    /// The way to a file, asked for by one caller while the others that need it wait.
    async fn way(
        &self,
        slot: &Slot,
        start: &Url,
        range: Option<&Range<u64>>,
    ) -> Result<Step, HubError> {
        let mut way = slot.lock().await;
        match &*way {
            Way::Via(link) => return Ok(Step::Via { link: link.clone(), fresh: false }),
            // The hub gives the bytes itself: nobody need wait for another's answer.
            Way::Direct => drop(way),
            Way::Unknown => {
                return Ok(match self.ask_hub(start.clone(), Asking::Bytes(range)).await? {
                    Arrival::Left(link) => {
                        *way = Way::Via(link.clone());
                        Step::Via { link, fresh: true }
                    }
                    Arrival::Answer(answer) => {
                        if answer.response.status().is_success() {
                            *way = Way::Direct;
                        }
                        Step::Answer(answer)
                    }
                });
            }
        }
        Ok(match self.ask_hub(start.clone(), Asking::Bytes(range)).await? {
            Arrival::Answer(answer) => Step::Answer(answer),
            Arrival::Left(link) => {
                *slot.lock().await = Way::Via(link.clone());
                Step::Via { link, fresh: true }
            }
        })
    }
}

/// What is known after the hub was asked, or need not be.
enum Step {
    /// The hub's own answer.
    Answer(Answer),
    /// Where the bytes are; fresh when the hub said so just now.
    Via { link: Url, fresh: bool },
}
