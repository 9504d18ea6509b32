//! The hub as a place that a repair takes bytes from.

use std::io;

use tokio::runtime::Handle;

use super::{Client, RemoteFile};
use crate::digest::Upstream;
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
        let file = (&self.model, &self.commit, &self.file);
        let reading = self.mender.client.read_at(file, buf, offset);
        self.mender.runtime.block_on(reading).map_err(io::Error::other)
    }
}
