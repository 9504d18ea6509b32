//! What an app may write where a request is asked for.

use crate::hub::PullRequest;
use crate::model::{ModelId, ModelSpec};

impl From<ModelId> for PullRequest {
    fn from(model: ModelId) -> Self {
        Self::new(model)
    }
}

impl From<&ModelId> for PullRequest {
    fn from(model: &ModelId) -> Self {
        Self::new(model.clone())
    }
}

impl From<ModelSpec> for PullRequest {
    fn from(spec: ModelSpec) -> Self {
        Self { revision: spec.at, ..Self::new(spec.model) }
    }
}

impl From<&ModelId> for ModelSpec {
    fn from(model: &ModelId) -> Self {
        model.clone().into()
    }
}
