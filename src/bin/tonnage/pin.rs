//! `tonnage pin` and `tonnage unpin`

use serde_json::json;
use tonnage::model::ModelSpec;
use tonnage::store::{Resolved, Store};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing;
use crate::names;
use crate::text::plain;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage pin org/name
  tonnage unpin org/name@v1.0

What is pinned stays when others are evicted, and `rm` leaves it unless forced.
Without an @ it is the revision that `main` points to, or the only one.")]
pub struct Args {
    /// Models; behind an @ the ref, the revision or its first digits
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<ModelSpec>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: Args, context: &Context, pinned: bool) -> Result<Exit, Failure> {
    let store = if args.dry_run { context.read()? } else { context.change()? };
    // All are found before any is changed.
    let found: Result<Vec<Resolved>, Failure> = args
        .models
        .iter()
        .map(|spec| Ok(store.resolve(&names::expand(context, &store, spec)?)?))
        .collect();
    let mut lines = String::new();
    let mut objects = Vec::new();
    for revision in found? {
        let changed = if args.dry_run {
            is_pinned(&store, &revision)? != pinned
        } else {
            store.set_pinned(&revision, pinned)?
        };
        let name = listing::name(&revision.model, &revision.revision);
        let said = match (changed, args.dry_run, pinned) {
            (true, false, true) => "pinned",
            (true, false, false) => "unpinned",
            (true, true, true) => "would pin",
            (true, true, false) => "would unpin",
            (false, _, true) => "already pinned:",
            (false, _, false) => "not pinned:",
        };
        lines.push_str(&format!("{said} {}\n", plain(&name)));
        objects.push(json!({
            "model": revision.model, "revision": revision.revision,
            "pinned": pinned, "changed": changed,
        }));
    }
    context.out.summary(&json!({ "models": objects }), || lines);
    Ok(Exit::Done)
}

fn is_pinned(store: &Store, revision: &Resolved) -> Result<bool, Failure> {
    let same = |one: &tonnage::store::Listed| {
        one.model == revision.model && one.revision == revision.revision
    };
    Ok(store.list()?.iter().any(|one| same(one) && one.pinned))
}
