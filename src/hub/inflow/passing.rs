//! A file that the store has no room for: it is given on, and not kept.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{Inner, Shared, Span, Wanted};
use crate::error::{HubError, PullError};
use crate::hub::hasher::Hasher;
use crate::hub::{Body, RemoteFile};

/// Bytes of a file as they come from the hub, for one reader.
#[derive(Debug)]
pub struct Passing {
    inner: Arc<Inner>,
    wanted: Wanted,
    file: RemoteFile,
    body: Option<Body>,
    /// What comes next, and where it ends.
    left: Range<u64>,
    failures: u32,
    /// Of a whole file.
    hasher: Option<Hasher>,
    /// The last bytes that came: they are given when more come, or all are right.
    held: VecDeque<Bytes>,
}

impl Passing {
    pub(super) fn new(
        inner: &Arc<Inner>,
        wanted: &Wanted,
        file: &RemoteFile,
        span: Span,
    ) -> Box<Self> {
        let whole = span.bytes == (0..file.size);
        Box::new(Self {
            inner: inner.clone(),
            wanted: wanted.clone(),
            file: file.clone(),
            body: None,
            left: span.bytes,
            failures: 0,
            hasher: whole.then(|| Hasher::like(&file.upstream, file.size)),
            held: VecDeque::new(),
        })
    }

    /// The next bytes; `None` behind the last one.
    ///
    /// # Errors
    /// What the hub and the network do, when patience with them is over, and
    /// [`PullError::ChecksumMismatch`] before the last bytes of a file that is wrong.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Shared<PullError>> {
        while !self.left.is_empty() {
            let bytes = match self.receive().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    self.body = None;
                    continue;
                }
                Err(error) => {
                    self.body = None;
                    self.failures += 1;
                    let client = &self.wanted.client;
                    match client.retry().pause(self.failures, &error) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Err(Arc::new(error.into())),
                    }
                    continue;
                }
            };
            self.failures = 0;
            let Some(hasher) = &mut self.hasher else { return Ok(Some(bytes)) };
            hasher.update(&bytes);
            self.held.push_back(bytes);
            if self.held.len() > 1 {
                return Ok(self.held.pop_front());
            }
        }
        if let Some(hasher) = self.hasher.take() {
            let found = hasher.finish();
            if found != self.file.upstream {
                self.held.clear();
                self.inner.was_wrong(self.file.upstream).await;
                return Err(Arc::new(PullError::ChecksumMismatch {
                    model: self.wanted.model.clone(),
                    path: self.file.path.clone(),
                    expected: self.file.upstream.to_string(),
                    found: found.to_string(),
                }));
            }
        }
        Ok(self.held.pop_front())
    }

    /// Bytes from where the last ones ended.
    async fn receive(&mut self) -> Result<Option<Bytes>, HubError> {
        let body = match &mut self.body {
            Some(body) => body,
            None => {
                let Wanted { client, model, commit, .. } = &self.wanted;
                let range = Some(self.left.clone());
                let body = client.open(model, commit, &self.file, range).await?;
                // From its beginning, where a server gives no ranges.
                if body.start() > self.left.start {
                    let (url, what) = (client.page(model), "another range".to_owned());
                    return Err(HubError::Protocol { url, what });
                }
                self.body.insert(body)
            }
        };
        let mut skip = self.left.start.saturating_sub(body.at());
        while let Some(mut bytes) = body.next().await? {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            let rest = bytes.split_off(skipped);
            skip -= skipped as u64;
            if !rest.is_empty() {
                self.left.start += rest.len() as u64;
                return Ok(Some(rest));
            }
        }
        Ok(None)
    }
}
