//! The client.

use std::sync::Arc;

use super::repo::Endpoint;
use super::{Config, Retry};
use crate::error::HubError;
use crate::model::ModelId;

/// A hub, and the connections to it. Clones share them.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    config: Config,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`HubError::Setting`] when the configuration cannot be used.
    pub fn new(config: Config) -> Result<Self, HubError> {
        let endpoint = Endpoint::new(&config.endpoint)?;
        Ok(Self { inner: Arc::new(Inner { endpoint, config }) })
    }

    /// The hub's address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.inner.endpoint.as_str()
    }

    /// How requests that failed are repeated.
    #[must_use]
    pub fn retry(&self) -> &Retry {
        &self.inner.config.retry
    }

    /// Whether no request may be made.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.inner.config.offline
    }

    /// The page of `model` that people see.
    #[must_use]
    pub fn page(&self, model: &ModelId) -> String {
        self.inner.endpoint.page(model)
    }

    pub(super) fn todo(&self) -> HubError {
        HubError::Protocol { url: self.endpoint().to_owned(), what: "not built yet".to_owned() }
    }
}
