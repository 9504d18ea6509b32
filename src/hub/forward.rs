//! What a mirror passes on of the hub's answers, and what it asks for others.

use serde_json::Value;

use super::Client;
use super::answer::Asked;
use super::client::{Answer, Arrival, Asking};
use super::json::Page;
use super::repo::{quote, shown};
use crate::error::HubError;
use crate::model::{FilePath, ModelId, Revision};

/// An answer of the hub's API.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// What it says.
    pub value: Value,
    /// The query of the next page, if there is one: all but the query is as it was asked for.
    pub next: Option<String>,
}

impl From<Page<Value>> for Forwarded {
    fn from(page: Page<Value>) -> Self {
        Self { value: page.value, next: page.next }
    }
}

impl Client {
    /// What the hub's API says about a repository: `/api/{kind}/{id}`, then each of `path`, quoted,
    /// then the query.
    ///
    /// # Errors
    /// What the hub and the network do.
    pub async fn about(
        &self,
        model: &ModelId,
        path: &[&str],
        query: Option<&str>,
    ) -> Result<Forwarded, HubError> {
        let mut tail = String::new();
        for segment in path {
            tail.push('/');
            tail.extend(quote(segment));
        }
        let mut url = self.address().api(model, &tail)?;
        url.set_query(query);
        let asked = Asked { model: Some(model), revision: path.get(1).copied(), path: None };
        Ok(self.json::<Value>(&url, asked).await?.into())
    }

    /// What the hub's API says of some paths of a commit, with all that it knows: of each the commit that
    /// changed it last, and what was found when it was looked through for malware.
    ///
    /// # Errors
    /// What the hub and the network do.
    pub async fn about_paths(
        &self,
        model: &ModelId,
        commit: &Revision,
        paths: &[String],
    ) -> Result<Vec<Value>, HubError> {
        let mut tail = "/paths-info/".to_owned();
        tail.extend(quote(commit.as_str()));
        let url = self.address().api(model, &tail)?;
        let form = paths.iter().map(|path| format!("paths={}&", quote(path).collect::<String>()));
        let form = form.chain(["expand=True".to_owned()]).collect::<String>();
        let asked = Asked { model: Some(model), revision: Some(commit.as_str()), path: None };
        Ok(self.json_by(&url, Asking::With(&form), asked).await?.value)
    }

    /// What the hub's API says of the token's owner.
    ///
    /// # Errors
    /// [`HubError::Unauthorized`] without a token, [`HubError::BadToken`], and what the network does.
    pub async fn whoami_value(&self) -> Result<Value, HubError> {
        let url = self.address().whoami()?;
        if !self.has_token() {
            return Err(HubError::Unauthorized { url: shown(&url) });
        }
        let asked = Asked { model: None, revision: None, path: None };
        Ok(self.json::<Value>(&url, asked).await?.value)
    }

    /// Asks the hub whether the token's owner, or without one anybody, may have the files of a
    /// repository: by asking for the first byte of one of them.
    ///
    /// # Errors
    /// The hub's refusal, and what the network does.
    pub async fn check_access(
        &self,
        model: &ModelId,
        commit: &Revision,
        path: &FilePath,
    ) -> Result<(), HubError> {
        let url = self.address().resolve(model, commit, path)?;
        let asked = Asked { model: Some(model), revision: Some(commit.as_str()), path: Some(path) };
        let mut failures = 0;
        loop {
            let error = match self.ask_hub(url.clone(), Asking::Bytes(Some(&(0..1)))).await {
                // Where the bytes are need not be known.
                Ok(Arrival::Left(_)) => return Ok(()),
                Ok(Arrival::Answer(answer)) if is_granted(&answer) => return Ok(()),
                Ok(Arrival::Answer(answer)) => self.refused(answer, asked).await,
                Err(error) => error,
            };
            failures += 1;
            let Some(pause) = self.retry().pause(failures, &error) else { return Err(error) };
            tokio::time::sleep(pause).await;
        }
    }
}

/// An empty file has no first byte.
fn is_granted(answer: &Answer) -> bool {
    answer.response.status().is_success() || answer.response.status() == 416
}
