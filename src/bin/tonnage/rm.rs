//! `tonnage rm`

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tonnage::config::Settings;
use tonnage::error::{ErrorKind, StoreError};
use tonnage::model::ModelSpec;
use tonnage::space::{Freed, Gone, RemoveOptions, remove};
use tonnage::store::{Partial, Resolved, Store};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing;
use crate::names::expand;
use crate::text::{plain, size};

/// How long what is removed can be brought back, where config.toml says nothing.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// How long what is removed now can be brought back. A file that cannot be read does not keep
/// anybody from removing.
pub fn keep(now: bool, context: &Context) -> Duration {
    if now {
        return Duration::ZERO;
    }
    context.settings().map_or(KEEP, keep_of)
}

/// What these settings say of it.
pub fn keep_of(settings: &Settings) -> Duration {
    settings.trash.unwrap_or(KEEP)
}

/// Says what failed while everything else was done, and how the command ends for that.
pub fn tell_failures(context: &Context, freed: &Freed) -> Exit {
    for failure in &freed.failures {
        context.out.note(failure);
    }
    if freed.failures.is_empty() {
        return Exit::Done;
    }
    context.out.hint("everything else was done; `tonnage gc` does the rest when that is mended");
    Exit::Partly
}

/// Says what went so that something else has room.
pub fn tell_evicted(context: &Context, gone: &[Gone]) {
    for gone in gone {
        let name = listing::name(&gone.model, &gone.revision);
        context.out.note(&format!("evicted {name} to make room"));
    }
}

/// Revisions in JSON.
pub fn names(gone: &[Gone]) -> Vec<Value> {
    gone.iter().map(|g| json!({ "model": g.model, "revision": g.revision })).collect()
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage rm org/name --dry-run
  tonnage rm org/name@v1.0

Without an @ all revisions of the model go. A revision that is checked out
somewhere or that a running program uses stays. What goes can be brought back
by `restore` for 24 hours (space.trash), and takes its space until then.")]
pub struct Args {
    /// Models; behind an @ the ref, the revision or its first digits
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<ModelSpec>,
    /// Also what is pinned or checked out; the checked-out files stay
    #[arg(long)]
    force: bool,
    /// For good, so that its space is free at once
    #[arg(long)]
    now: bool,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = if args.dry_run { context.read()? } else { context.change()? };
    let (revisions, cut_off) = find(context, &store, &args.models)?;
    let keep = keep(args.now, context);
    let options = RemoveOptions { dry_run: args.dry_run, force: args.force, keep };
    let mut freed = remove(&store, &revisions, options)?;
    let mut models: Vec<_> = cut_off.iter().map(|partial| &partial.model).collect();
    models.dedup();
    for model in models {
        freed.freed_bytes += if args.dry_run {
            store.removable_partials(Some(model))?
        } else {
            store.remove_partials(Some(model))?
        };
    }
    freed.partials.extend(cut_off);
    let object = to_json(&freed);
    context.out.summary(&object, || {
        if freed.gone.is_empty() && freed.partials.is_empty() {
            return String::new();
        }
        let verb = if args.dry_run { "remove" } else { "removed" };
        lines(&freed, args.dry_run, verb) + &sum(&freed, args.dry_run) + "\n"
    });
    let end = tell_failures(context, &freed);
    if freed.kept.is_empty() {
        return Ok(end);
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
        let spec = &expand(context, store, spec)?;
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
        "evicted": names(&freed.gone),
        "purged": names(&freed.purged),
        "freed_bytes": freed.freed_bytes,
        "trashed_bytes": freed.trashed_bytes,
        "failures": freed.failures,
        "kept": freed.kept.iter()
            .map(|kept| json!({ "model": kept.model, "revision": kept.revision, "why": kept.why }))
            .collect::<Vec<_>>(),
    })
}

/// What goes, a line each.
pub fn lines(freed: &Freed, dry_run: bool, removed: &str) -> String {
    let would = if dry_run { "would " } else { "" };
    let mut text = String::new();
    for partial in &freed.partials {
        let name = listing::name(&partial.model, &partial.commit);
        let _ = writeln!(text, "{would}{removed} the partial download of {}", plain(&name));
    }
    for gone in &freed.purged {
        let name = listing::name(&gone.model, &gone.revision);
        let _ = writeln!(text, "{would}{removed} {} from the trash", plain(&name));
    }
    for gone in &freed.gone {
        let name = listing::name(&gone.model, &gone.revision);
        let _ = writeln!(text, "{would}{removed} {}", plain(&name));
    }
    text
}

/// The sum below them.
pub fn sum(freed: &Freed, dry_run: bool) -> String {
    let bytes = if dry_run { "would free" } else { "freed" };
    let mut text = format!("{bytes} {}", size(freed.freed_bytes));
    if freed.trashed_bytes > 0 {
        let later = size(freed.trashed_bytes);
        let _ = write!(text, ", and {later} when it leaves the trash; `restore` brings it back");
    }
    text
}
