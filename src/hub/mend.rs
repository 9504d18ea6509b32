//! The hub as a place that a repair takes bytes from.

use std::io;

use tokio::runtime::Handle;

use super::{Client, RemoteFile};
use crate::digest::Upstream;
use crate::error::HubError;
use crate::model::{ManifestFile, ModelId, Revision};
use crate::verify::{Elsewhere, Source};

/// What a hub has of damaged files, by the range. Its methods wait: they must not be called on a
/// thread of the runtime.
#[derive(Debug)]
pub struct Mender<'c> {
    client: &'c Client,
    runtime: Handle,
}

impl<'c> Mender<'c> {
    /// Asks `client`, with the help of a runtime with time and I/O.
    #[must_use]
    pub fn new(client: &'c Client, runtime: Handle) -> Self {
        Self { client, runtime }
    }
}

impl Elsewhere for Mender<'_> {
    fn source<'s>(
        &'s self,
        model: &ModelId,
        commit: &Revision,
        file: &ManifestFile,
    ) -> Option<Box<dyn Source + 's>> {
        let upstream = file.sha256.map(Upstream::Sha256).or(file.git.map(Upstream::Git))?;
        let file = RemoteFile { path: file.path.clone(), size: file.size, upstream };
        Some(Box::new(Remote { mender: self, model: model.clone(), commit: commit.clone(), file }))
    }
}

struct Remote<'m> {
    mender: &'m Mender<'m>,
    model: ModelId,
    commit: Revision,
    file: RemoteFile,
}

impl Source for Remote<'_> {
    fn name(&self) -> String {
        self.mender.client.endpoint().to_owned()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.mender.runtime.block_on(self.fill(buf, offset)).map_err(io::Error::other)
    }
}

impl Remote<'_> {
    /// Again and again from where it ended, as patiently as a pull.
    async fn fill(&self, buf: &mut [u8], offset: u64) -> Result<(), HubError> {
        let retry = self.mender.client.retry();
        let (mut filled, mut failures) = (0, 0);
        while filled < buf.len() {
            let before = filled;
            let Err(error) = self.attempt(buf, offset, &mut filled).await else { continue };
            failures = if filled > before { 1 } else { failures + 1 };
            match retry.pause(failures, &error) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
        Ok(())
    }

    async fn attempt(
        &self,
        buf: &mut [u8],
        offset: u64,
        filled: &mut usize,
    ) -> Result<(), HubError> {
        let at = offset + *filled as u64;
        let range = at..offset + buf.len() as u64;
        let client = self.mender.client;
        let mut body = client.open(&self.model, &self.commit, &self.file, Some(range)).await?;
        // Where there are no ranges the file comes from its beginning.
        let mut skip = at.saturating_sub(body.start());
        while let Some(bytes) = body.next().await? {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            skip -= skipped as u64;
            let new = bytes.get(skipped..).unwrap_or_default();
            let rest = buf.get_mut(*filled..).unwrap_or_default();
            let taken = rest.len().min(new.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..taken), new.get(..taken)) {
                to.copy_from_slice(from);
            }
            *filled += taken;
            if *filled == buf.len() {
                break;
            }
        }
        Ok(())
    }
}
