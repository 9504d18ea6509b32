//! What a repository's names stand for, and whose token it is.

use super::Client;
use crate::error::HubError;
use crate::model::{ModelId, RefName, Revision};

/// A version of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Its commit: what every further request names.
    pub sha: Revision,
}

/// Whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The account's name.
    pub name: String,
}

impl Client {
    /// The commit that `revision` stands for: a branch, a tag, `refs/pr/N`, `refs/heads/…`, or a
    /// commit, whole or its first digits.
    ///
    /// # Errors
    /// [`HubError::RevisionNotFound`], [`HubError::NotFound`], and what the network does.
    pub async fn commit(&self, model: &ModelId, revision: &str) -> Result<Commit, HubError> {
        let _ = (model, revision);
        Err(self.todo())
    }

    /// Every branch, tag and pull request, and the commit it stands for now.
    ///
    /// # Errors
    /// [`HubError::NotFound`], and what the network does.
    pub async fn refs(&self, model: &ModelId) -> Result<Vec<(RefName, Revision)>, HubError> {
        let _ = model;
        Err(self.todo())
    }

    /// Whom the token belongs to.
    ///
    /// # Errors
    /// [`HubError::Unauthorized`] without a token, [`HubError::BadToken`], and what the network does.
    pub async fn whoami(&self) -> Result<User, HubError> {
        Err(self.todo())
    }
}
