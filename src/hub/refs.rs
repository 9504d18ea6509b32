//! What a repository's names stand for, and whose token it is.

use serde::Deserialize;

use super::Client;
use super::answer::Asked;
use super::json::strange;
use super::repo::{RepoKind, quote, shown};
use crate::error::HubError;
use crate::model::{ModelId, RefName, Revision};

/// Fewer digits than these are not taken for the beginning of a commit.
const MIN_DIGITS: usize = 7;

/// A version of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Its commit: what every further request names.
    pub sha: Revision,
    /// Whether anybody may have its files: it is neither private nor gated. `None` when the hub does
    /// not say.
    pub is_public: Option<bool>,
}

/// Whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The account's name.
    pub name: String,
}

/// A place that names stand for, as the hub lists it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    /// `refs/heads/…`, `refs/tags/…`, `refs/pr/…`, `refs/convert/…`.
    #[serde(rename = "ref", default)]
    full: String,
    target_commit: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refs {
    #[serde(default)]
    branches: Vec<Listed>,
    #[serde(default)]
    tags: Vec<Listed>,
    #[serde(default)]
    converts: Vec<Listed>,
    #[serde(default)]
    pull_requests: Vec<Listed>,
}

impl Client {
    /// The commit that `revision` stands for: a branch, a tag, `refs/pr/N`, `refs/heads/…`, or a
    /// commit, whole or its first digits.
    ///
    /// # Errors
    /// [`HubError::RevisionNotFound`], [`HubError::NotFound`], and what the network does.
    pub async fn commit(&self, model: &ModelId, revision: &str) -> Result<Commit, HubError> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
            private: Option<bool>,
            /// `false`, or how access is given.
            gated: Option<serde_json::Value>,
        }
        // What cannot be a ref could change the URL it is put into: "..", for one.
        if revision.parse::<RefName>().is_err() {
            let revision = revision.to_owned();
            return Err(HubError::RevisionNotFound { model: model.clone(), revision });
        }
        // Without `expand` the answer lists every file, and a repository may have a million.
        // A space is never gated, and the hub refuses to be asked whether it is.
        let is_space = RepoKind::of(model) == RepoKind::Space;
        let gated = if is_space { "" } else { "&expand=gated" };
        let tail = format!("/revision/{}?expand=sha&expand=private{gated}", quote(revision));
        let url = self.address().api(model, &tail)?;
        let asked = Asked { model: Some(model), revision: Some(revision), path: None };
        let info: Info = match self.json(&url, asked).await {
            Ok(page) => page.value,
            Err(error @ HubError::RevisionNotFound { .. }) => {
                return self.commit_of_ref(model, revision).await?.ok_or(error);
            }
            Err(error) => return Err(error),
        };
        let sha: Revision = commit_digits(&info.sha)
            .ok_or_else(|| strange(&url, format!("{:?} is not a commit", shorten(&info.sha))))?;
        if revision.parse::<Revision>().is_ok_and(|asked| asked != sha) {
            return Err(strange(&url, format!("commit {sha} instead of the one asked for")));
        }
        let gated = info.gated.or(is_space.then_some(false.into()));
        let is_public = info.private.zip(gated).map(|(private, gated)| !private && gated == false);
        Ok(Commit { sha, is_public })
    }

    /// What the list of refs knows that the hub does not find by itself: a ref's full name, and the
    /// first digits of a commit that a ref stands for.
    async fn commit_of_ref(
        &self,
        model: &ModelId,
        revision: &str,
    ) -> Result<Option<Commit>, HubError> {
        let digits = revision.len() >= MIN_DIGITS
            && revision.len() < 40
            && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits && !revision.starts_with("refs/") {
            return Ok(None);
        }
        let listed = self.listed(model).await?;
        let mut found: Vec<_> = listed
            .iter()
            .filter(|one| {
                one.full == revision || (digits && one.target_commit.starts_with(revision))
            })
            .filter_map(|one| commit_digits(&one.target_commit))
            .collect();
        found.sort_unstable();
        found.dedup();
        // Two commits with these first digits: neither is meant for sure.
        Ok(match found.as_slice() {
            [sha] => Some(Commit { sha: sha.clone(), is_public: None }),
            _ => None,
        })
    }

    /// Every branch, tag and pull request, and the commit it stands for now. Branches and tags have
    /// their short names, all others their full ones: `main`, `v1.0`, `refs/pr/1`.
    ///
    /// # Errors
    /// [`HubError::NotFound`], and what the network does.
    pub async fn refs(&self, model: &ModelId) -> Result<Vec<(RefName, Revision)>, HubError> {
        let listed = self.listed(model).await?;
        Ok(listed
            .into_iter()
            .filter_map(|one| {
                let short = one.full.starts_with("refs/heads/")
                    || one.full.starts_with("refs/tags/")
                    || one.full.is_empty();
                let name = if short { one.name } else { one.full };
                // A name that is none here can be no ref in a store, and nobody asks for it.
                Some((name.parse().ok()?, commit_digits(&one.target_commit)?))
            })
            .collect())
    }

    async fn listed(&self, model: &ModelId) -> Result<Vec<Listed>, HubError> {
        let url = self.address().api(model, "/refs?include_prs=1")?;
        let asked = Asked { model: Some(model), revision: None, path: None };
        let refs: Refs = self.json(&url, asked).await?.value;
        let Refs { mut branches, tags, converts, pull_requests } = refs;
        branches.extend(tags);
        branches.extend(converts);
        branches.extend(pull_requests);
        Ok(branches)
    }

    /// Whom the token belongs to.
    ///
    /// # Errors
    /// [`HubError::Unauthorized`] without a token, [`HubError::BadToken`], and what the network does.
    pub async fn whoami(&self) -> Result<User, HubError> {
        #[derive(Deserialize)]
        struct Who {
            name: String,
        }
        let url = self.address().whoami()?;
        if !self.has_token() {
            return Err(HubError::Unauthorized { url: shown(&url) });
        }
        let asked = Asked { model: None, revision: None, path: None };
        let who: Who = self.json(&url, asked).await?.value;
        Ok(User { name: who.name })
    }
}

/// A commit as the hub writes it. 64 digits, which a [`Revision`] may have, name local content.
fn commit_digits(text: &str) -> Option<Revision> {
    text.parse().ok().filter(|_| text.len() == 40)
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}
