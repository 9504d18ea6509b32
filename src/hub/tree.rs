//! The files of a commit.

use std::collections::HashSet;

use reqwest::Url;
use serde::Deserialize;

use super::Client;
use super::answer::Asked;
use super::json::{Page, strange};
use super::names::{check, twins};
use super::repo::shown;
use crate::digest::Upstream;
use crate::error::HubError;
use crate::model::{FilePath, ModelId, Revision};

/// The largest list, in files: ten times as many as the hub advises its users to have at most. What
/// is planned of each takes memory.
const MAX_FILES: usize = 1_000_000;
/// The longest list, in pages.
const MAX_PAGES: usize = 200_000;

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
        let mut url =
            self.address().api(model, &format!("/tree/{commit}?recursive=true&expand=false"))?;
        let asked = Asked { model: Some(model), revision: Some(commit.as_str()), path: None };
        let mut files = Vec::new();
        let mut queries = HashSet::new();
        loop {
            // Each page is turned into files as it comes: the text of a million entries is not kept.
            let page: Page<Vec<Entry>> = self.json(&url, asked).await?;
            for entry in page.value {
                files.extend(entry.into_file(&url, model)?);
            }
            if files.len() > MAX_FILES {
                return Err(HubError::TooLarge {
                    url: shown(&url),
                    limit: MAX_FILES as u64,
                    unit: "files",
                });
            }
            let Some(query) = page.next else { break };
            url.set_query(Some(&query));
            if queries.len() >= MAX_PAGES || !queries.insert(query) {
                return Err(strange(&url, "the list of files has no end".to_owned()));
            }
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        if let Some((one, other)) = twins(&paths) {
            if one == other {
                // No commit has that: the hub gave a page twice, not the owner a name.
                return Err(strange(&url, format!("the list has {one:?} twice")));
            }
            return Err(HubError::Twins {
                model: model.clone(),
                one: one.to_owned(),
                other: other.to_owned(),
            });
        }
        Ok(files)
    }
}

/// A line of the list.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Lfs>,
}

/// What is in an entry whose bytes are not in git. Its `oid` is of the bytes; the entry's own is of
/// the pointer that stands for them in git.
#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Entry {
    fn into_file(self, url: &Url, model: &ModelId) -> Result<Option<RemoteFile>, HubError> {
        if self.kind == "directory" {
            return Ok(None);
        }
        let path = check(&self.path).map_err(|why| HubError::HostileName {
            model: model.clone(),
            name: self.path.clone(),
            why,
        })?;
        let (size, upstream) = match self.lfs {
            Some(lfs) => {
                // Mirrors of other origin write it as an OCI digest.
                let digits = lfs.oid.strip_prefix("sha256:").unwrap_or(&lfs.oid);
                (lfs.size, digits.parse().map(Upstream::Sha256))
            }
            None => (self.size, self.oid.parse().map(Upstream::Git)),
        };
        let upstream = upstream.map_err(|e| strange(url, format!("{path}: {e}")))?;
        Ok(Some(RemoteFile { path, size, upstream }))
    }
}
