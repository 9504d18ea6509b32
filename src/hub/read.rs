//! A part of a remote file, read whole.

use super::{Client, RemoteFile};
use crate::error::HubError;
use crate::model::{ModelId, Revision};

impl Client {
    /// Fills `buf` with a file's bytes from `offset` on: again and again from where it ended, as
    /// patiently as a pull.
    pub(super) async fn read_at(
        &self,
        (model, commit, file): (&ModelId, &Revision, &RemoteFile),
        buf: &mut [u8],
        offset: u64,
    ) -> Result<(), HubError> {
        let retry = self.retry();
        let (mut filled, mut failures) = (0, 0);
        while filled < buf.len() {
            let before = filled;
            let attempt = self.attempt((model, commit, file), buf, offset, &mut filled).await;
            let Err(error) = attempt else { continue };
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
        (model, commit, file): (&ModelId, &Revision, &RemoteFile),
        buf: &mut [u8],
        offset: u64,
        filled: &mut usize,
    ) -> Result<(), HubError> {
        let at = offset + *filled as u64;
        let range = at..offset + buf.len() as u64;
        let mut body = self.open(model, commit, file, Some(range)).await?;
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
