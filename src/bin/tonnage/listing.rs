//! A revision as `ls`, `show` and `du` tell of it.

use std::borrow::Cow;

use serde::Serialize;
use tonnage::model::{ModelId, ModelSpec, RefName, Revision};
use tonnage::store::{Listed, Store};
use tonnage::views::ManagedViews;

use crate::fail::Failure;
use crate::text;

/// The refs of a revision are told in so many characters.
const REFS: usize = 12;

/// The model object of every JSON output.
#[derive(Serialize)]
pub struct Model<'a> {
    model: &'a ModelId,
    revision: &'a Revision,
    refs: &'a [RefName],
    files: u64,
    size: u64,
    exclusive: u64,
    shared: u64,
    last_used: String,
    pinned: bool,
    degraded: bool,
    path: Option<Cow<'a, str>>,
}

impl<'a> Model<'a> {
    pub fn new(listed: &'a Listed, managed: &'a ManagedViews) -> Self {
        Self {
            model: &listed.model,
            revision: &listed.revision,
            refs: &listed.refs,
            files: listed.files,
            size: listed.size,
            exclusive: listed.exclusive,
            shared: listed.shared,
            last_used: text::time(listed.last_used),
            pinned: listed.pinned,
            degraded: listed.degraded,
            path: managed.path(listed).map(|path| path.to_string_lossy()),
        }
    }
}

/// What the store has of `spec`: all of a model's revisions, or the one behind the `@`.
pub fn find(store: &Store, spec: &ModelSpec) -> Result<Vec<Listed>, Failure> {
    let mut listed = store.list()?;
    if spec.at.is_some() {
        let one = store.resolve(spec)?;
        listed.retain(|l| l.model == one.model && l.revision == one.revision);
    } else {
        listed.retain(|l| l.model == spec.model);
    }
    if listed.is_empty() {
        return Err(tonnage::error::StoreError::NotFound { spec: spec.to_string() }.into());
    }
    Ok(listed)
}

/// `main`, `main, v1`, or `main +3` where more would take too much room.
pub fn refs(refs: &[RefName]) -> String {
    let all = refs.iter().map(RefName::as_str).collect::<Vec<_>>().join(", ");
    match refs {
        [] => "-".to_owned(),
        _ if all.chars().count() <= REFS => all,
        [one] => cut(one.as_str(), REFS),
        [first, rest @ ..] => {
            let more = format!(" +{}", rest.len());
            cut(first.as_str(), REFS.saturating_sub(more.len())) + &more
        }
    }
}

/// `show` has it whole.
fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

/// A revision as a person writes it.
pub fn name(model: &ModelId, revision: &Revision) -> String {
    format!("{model}@{}", revision.short())
}
