//! `tonnage restore`

use std::fmt::Write as _;

use serde_json::json;
use tonnage::error::{ErrorKind, StoreError};
use tonnage::model::{ModelSpec, RefName};
use tonnage::store::{Store, Trashed};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing;
use crate::text::plain;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage ls --trash
  tonnage restore org/name
  tonnage restore org/name@v1.0

Without an @ all revisions of the model come back, as `rm` removed them all.
Refs that point elsewhere by now stay there.")]
pub struct Args {
    /// Models; behind an @ a ref it had, the revision or its first digits
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<ModelSpec>,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.change()?;
    let mut lines = String::new();
    let mut objects = Vec::new();
    for one in find(&store, &args.models)? {
        let refs = store.restore(&one)?;
        let _ = writeln!(lines, "restored {}", plain(&listing::name(&one.model, &one.revision)));
        let lost: Vec<_> = one.refs.iter().filter(|name| !refs.contains(name)).collect();
        for name in lost {
            let _ = writeln!(lines, "  {} points elsewhere by now", plain(name.as_str()));
        }
        objects.push(json!({ "model": one.model, "revision": one.revision, "refs": refs }));
    }
    context.out.summary(&json!({ "restored": objects }), || lines);
    Ok(Exit::Done)
}

/// All are found before any is restored.
fn find(store: &Store, specs: &[ModelSpec]) -> Result<Vec<Trashed>, Failure> {
    let trashed = store.trashed()?;
    let mut found: Vec<Trashed> = Vec::new();
    for spec in specs {
        let matching: Vec<_> = trashed.iter().filter(|one| is_meant(spec, one)).collect();
        let [_, ..] = matching.as_slice() else {
            if store.resolve(spec).is_ok() || !store.revisions_of(&spec.model)?.is_empty() {
                return Err(Failure::new(
                    ErrorKind::NotFound,
                    format!("{spec} is not in the trash"),
                )
                .hint("it is in the store: `tonnage ls`"));
            }
            return Err(Failure::from(StoreError::NotFound { spec: spec.to_string() })
                .hint("`tonnage ls --trash` lists what can be restored; `tonnage pull` fetches"));
        };
        if spec.at.is_some() && matching.len() > 1 {
            return Err(StoreError::Ambiguous {
                spec: spec.clone(),
                candidates: matching.iter().map(|m| format!("@{}", m.revision.short())).collect(),
            }
            .into());
        }
        for one in matching {
            if !found.contains(one) {
                found.push(one.clone());
            }
        }
    }
    Ok(found)
}

fn is_meant(spec: &ModelSpec, one: &Trashed) -> bool {
    let at = |at: &RefName| {
        one.refs.contains(at)
            || (at.as_str().len() >= 4 && one.revision.as_str().starts_with(at.as_str()))
    };
    one.model == spec.model && spec.at.as_ref().is_none_or(at)
}
