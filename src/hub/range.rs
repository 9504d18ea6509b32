//! The bytes of a file.

use std::ops::Range;

use bytes::Bytes;

use super::{Client, RemoteFile};
use crate::error::HubError;
use crate::model::{ModelId, Revision};

/// Bytes of a file, as they come.
#[derive(Debug)]
pub struct Body {
    start: u64,
    end: u64,
}

impl Body {
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

    /// The next bytes, as they came from the network, without a copy; `None` when all up to
    /// [`end`](Self::end) were given. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`HubError::Cut`], [`HubError::Stalled`], [`HubError::Network`]: all retryable, from where it
    /// ended.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        Ok(None)
    }
}

impl Client {
    /// The bytes of `file`, or those of `range` in it. One attempt: repeating is the caller's, who
    /// knows what it has; [`retry`](Client::retry) says when.
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
        let _ = (model, commit, file, range);
        Err(self.todo())
    }
}
