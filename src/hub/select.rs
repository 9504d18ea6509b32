//! Which files of a repository are pulled.

mod glob;
mod quant;

use super::RemoteFile;
use crate::error::PullError;
use crate::model::ModelId;

pub(super) use glob::matches;

/// Which files of a repository are pulled: those that some `include` names, or all without one,
/// but for those that some `exclude` names; and of a repository of GGUF files those of `quant`.
///
/// A pattern is what Python's `fnmatch` takes it for, as the hub's own tools have it: `*` is any
/// run of characters, `/` included, `?` is one, `[a-z]` and `[!a-z]` are one of a set, and upper
/// and lower case differ. A pattern that ends in `/` means all that is below that directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Patterns of which a file's path must match one. Empty: every path does.
    pub include: Vec<String>,
    /// Patterns of which a file's path must not match any.
    pub exclude: Vec<String>,
    /// A quantization, such as `Q4_K_M`: the GGUF files that have it in their name, all pieces of
    /// those that are split, `mmproj` files, and the small files that are not GGUF.
    pub quant: Option<String>,
}

impl Selection {
    /// Whether it takes every file.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The files it takes.
    ///
    /// # Errors
    /// [`PullError::UnknownQuant`] with the quantizations there are, [`PullError::NothingSelected`]
    /// when no file is left.
    pub(super) fn apply(
        &self,
        model: &ModelId,
        mut files: Vec<RemoteFile>,
    ) -> Result<Vec<RemoteFile>, PullError> {
        if let Some(quant) = &self.quant {
            files = quant::select(model, quant, files)?;
        }
        files.retain(|file| {
            let path = file.path.as_str();
            (self.include.is_empty() || self.include.iter().any(|p| matches(p, path)))
                && !self.exclude.iter().any(|p| matches(p, path))
        });
        if files.is_empty() {
            return Err(PullError::NothingSelected { model: model.clone() });
        }
        Ok(files)
    }
}
