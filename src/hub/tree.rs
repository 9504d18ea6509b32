//! The files of a commit.

use super::Client;
use crate::digest::Upstream;
use crate::error::HubError;
use crate::model::{FilePath, ModelId, Revision};

/// A file as the hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Where it stands in the repository.
    pub path: FilePath,
    /// Its length in bytes.
    pub size: u64,
    /// The digest its bytes must have.
    pub upstream: Upstream,
}

impl Client {
    /// All files of `commit`, in the order of their paths' bytes. No two of their names differ in
    /// case only, none is the directory of another, and none leads out of the directory it is put in.
    ///
    /// # Errors
    /// [`HubError::HostileName`], [`HubError::Twins`], [`HubError::TooLarge`], and what the network
    /// does.
    pub async fn tree(
        &self,
        model: &ModelId,
        commit: &Revision,
    ) -> Result<Vec<RemoteFile>, HubError> {
        let _ = (model, commit);
        Err(self.todo())
    }
}
