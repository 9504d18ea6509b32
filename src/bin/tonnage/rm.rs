//! `tonnage rm`

use std::fmt::Write as _;

use serde_json::{Value, json};
use tonnage::error::{ErrorKind, StoreError};
use tonnage::model::ModelSpec;
use tonnage::space::{Freed, RemoveOptions, remove};
use tonnage::store::{Partial, Resolved, Store};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing;
use crate::names;
use crate::text::{plain, size};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage rm org/name --dry-run
  tonnage rm org/name@v1.0

Without an @ all revisions of the model go. A revision that is checked out
somewhere or that a running program uses stays.")]
pub struct Args {
    /// Models; behind an @ the ref, the revision or its first digits
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<ModelSpec>,
    /// Also what is pinned or checked out; the checked-out files stay
    #[arg(long)]
    force: bool,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = if args.dry_run { context.read()? } else { context.change()? };
    let (revisions, cut_off) = find(context, &store, &args.models)?;
    let options = RemoveOptions { dry_run: args.dry_run, force: args.force };
    let mut freed = remove(&store, &revisions, options)?;
    for partial in &cut_off {
        freed.freed_bytes += if args.dry_run {
            partial.have
        } else {
            store.remove_partials(Some(&partial.model))?
        };
    }
    let object = to_json(&freed);
    context.out.summary(&object, || describe(&freed, &cut_off, args.dry_run));
    if freed.kept.is_empty() {
        return Ok(Exit::Done);
    }
    for kept in &freed.kept {
        let name = listing::name(&kept.model, &kept.revision);
        context.out.note(&format!("{name} stays: {}", kept.why));
    }
    let because = |word| freed.kept.iter().any(|kept| kept.why.contains(word));
    context.out.hint(if because("pinned") {
        "`tonnage unpin` it first, or use --force"
    } else if because("view") {
        "remove that directory first, or use --force: its files stay"
    } else {
        "try again when the program that uses it is done"
    });
    Ok(Exit::Partly)
}

/// All are found before any is removed. A model without a revision may be a download that was cut
/// off.
fn find(
    context: &Context,
    store: &Store,
    specs: &[ModelSpec],
) -> Result<(Vec<Resolved>, Vec<Partial>), Failure> {
    let mut all: Vec<Resolved> = Vec::new();
    let mut cut_off: Vec<Partial> = Vec::new();
    for spec in specs {
        let spec = &names::expand(context, store, spec)?;
        let found = match spec.at {
            Some(_) => vec![store.resolve(spec)?],
            None => store.revisions_of(&spec.model)?,
        };
        if found.is_empty() {
            let mut partials = store.partials()?;
            partials.retain(|partial| partial.model == spec.model);
            match partials.iter().find(|partial| partial.in_use) {
                Some(_) => {
                    let message = format!("another process is pulling {}", spec.model);
                    return Err(Failure::new(ErrorKind::Busy, message)
                        .hint("try again when it is done, or stop it"));
                }
                None if partials.is_empty() => {
                    return Err(StoreError::NotFound { spec: spec.to_string() }.into());
                }
                None => cut_off.append(&mut partials),
            }
        }
        all.extend(found);
    }
    let key = |r: &Resolved| (r.model.clone(), r.revision.clone());
    all.sort_by_key(key);
    all.dedup_by_key(|r| key(r));
    Ok((all, cut_off))
}

/// The object of every command that frees space.
pub fn to_json(freed: &Freed) -> Value {
    json!({
        "evicted": freed.gone.iter()
            .map(|gone| json!({ "model": gone.model, "revision": gone.revision }))
            .collect::<Vec<_>>(),
        "freed_bytes": freed.freed_bytes,
        "kept": freed.kept.iter()
            .map(|kept| json!({ "model": kept.model, "revision": kept.revision, "why": kept.why }))
            .collect::<Vec<_>>(),
    })
}

fn describe(freed: &Freed, cut_off: &[Partial], dry_run: bool) -> String {
    let (removed, bytes) =
        if dry_run { ("would remove", "would free") } else { ("removed", "freed") };
    let mut text = String::new();
    if freed.gone.is_empty() && cut_off.is_empty() {
        return text;
    }
    for partial in cut_off {
        let name = listing::name(&partial.model, &partial.commit);
        let _ = writeln!(text, "{removed} the partial download of {}", plain(&name));
    }
    for gone in &freed.gone {
        let name = listing::name(&gone.model, &gone.revision);
        let _ = writeln!(text, "{removed} {}", plain(&name));
    }
    let _ = writeln!(text, "{bytes} {}", size(freed.freed_bytes));
    text
}
