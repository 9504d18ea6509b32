//! `tonnage verify`

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonnage::error::ErrorKind;
use tonnage::hub::{Client, Mender};
use tonnage::model::ModelSpec;
use tonnage::store::{Resolved, Store};
use tonnage::verify::{
    Damaged, Elsewhere, Level, RepairOptions, Repaired, Verified, repair, verify, verify_view,
};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::hub_args::HubArgs;
use crate::listing;
use crate::names;
use crate::out::Out;
use crate::text::{count, duration, plain, size};
use crate::watch::watch;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage verify
  tonnage verify org/name --full
  tonnage verify --view ./llama
  tonnage verify --full --repair --from /mnt/backup/llama

Without --full, bytes are read only where a file's size, time, mode or inode is
not the one it was stored with. With it, everything is read and hashed.")]
pub struct Args {
    /// Models, and behind an @ a ref, a revision or its first digits; without any, all
    models: Vec<ModelSpec>,
    /// Read and hash all bytes
    #[arg(long)]
    full: bool,
    /// Compare a view with its revision instead: files missing, changed, added, or
    /// with another mode
    #[arg(long, value_name = "DIR", conflicts_with = "models")]
    view: Option<PathBuf>,
    /// Mend the damaged MiBs: from copies in views, from DIR, else from the hub the
    /// model was pulled from. What cannot be mended goes into quarantine
    #[arg(long, conflicts_with = "view")]
    repair: bool,
    /// A directory with the model's files, or a hub's cache
    #[arg(long, value_name = "DIR", requires = "repair")]
    from: Vec<PathBuf>,
    /// Ask no hub
    #[arg(long, requires = "repair")]
    offline: bool,
    #[command(flatten)]
    hub: HubArgs,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let began = Instant::now();
    let store = if args.repair { context.change()? } else { context.learn()? };
    let level = if args.full { Level::Full } else { Level::Quick };
    if let Some(dir) = &args.view {
        return view(context, &store, dir, level);
    }
    let revisions = revisions(context, &store, &args.models)?;
    let mut verified =
        watch(context, "verifying", |progress| verify(&store, &revisions, level, progress))?;
    let mut repaired = Vec::new();
    if args.repair && !verified.damaged.is_empty() {
        (repaired, verified.damaged) = mend(&args, context, &store, &verified.damaged)?;
    }
    let mut object = to_json(&verified);
    if let Some(object) = object.as_object_mut() {
        object.insert("repaired".to_owned(), repaired.iter().map(repaired_json).collect());
    }
    for one in &repaired {
        context.out.say(&repair_line(one));
    }
    if verified.damaged.is_empty() {
        context.out.summary(&object, || describe(&verified, began.elapsed(), &context.out));
        return Ok(Exit::Done);
    }
    context.out.result(&object, || describe(&verified, began.elapsed(), &context.out));
    context.out.hint(
        "`tonnage verify --repair` mends what it can; or add or pull the model again: what is whole at its source replaces what is damaged here; and if a \
         program wrote to it, give that one a `tonnage checkout --writable`",
    );
    Ok(Exit::Damaged)
}

/// What can be mended is; the rest stays damaged.
fn mend(
    args: &Args,
    context: &Context,
    store: &Store,
    damaged: &[Damaged],
) -> Result<(Vec<Repaired>, Vec<Damaged>), Failure> {
    for dir in &args.from {
        if !dir.is_dir() {
            let message = format!("{} is no directory", dir.display());
            return Err(Failure::new(ErrorKind::NotFound, message).hint("--from names one"));
        }
    }
    let client = Client::new(args.hub.config(args.offline, context)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Failure::new(ErrorKind::Failure, format!("cannot start threads: {e}")))?;
    let mender = Mender::new(&client, runtime.handle().clone());
    let elsewhere = (!client.is_offline()).then_some(&mender as &dyn Elsewhere);
    let options = RepairOptions { from: &args.from, elsewhere, quarantine: true };
    watch(context, "mending", |progress| Ok(repair(store, damaged, options, progress)?))
}

fn repaired_json(one: &Repaired) -> Value {
    json!({
        "model": one.damaged.model,
        "revision": one.damaged.revision,
        "path": one.damaged.path,
        "blob": one.damaged.blob,
        "ranges": one.mended.iter().map(|r| [r.start, r.end]).collect::<Vec<_>>(),
        "from": one.from,
        "relinked": one.relinked,
    })
}

fn repair_line(one: &Repaired) -> String {
    let bytes: u64 = one.mended.iter().map(|range| range.end - range.start).sum();
    let name = listing::name(&one.damaged.model, &one.damaged.revision);
    let from = one.from.join(", ");
    let what =
        if bytes == 0 { "made anew".to_owned() } else { format!("{} from {from}", size(bytes)) };
    plain(&format!("mended {name} {}: {what}", one.damaged.path)).to_string() + "\n"
}

fn view(context: &Context, store: &Store, dir: &Path, level: Level) -> Result<Exit, Failure> {
    let began = Instant::now();
    let found = watch(context, "verifying", |progress| verify_view(store, dir, level, progress))?;
    let object = json!({
        "ok": found.is_whole(),
        "view": found.path.to_string_lossy(),
        "model": found.model,
        "revision": found.revision,
        "checked_files": found.checked_files,
        "checked_bytes": found.checked_bytes,
        "missing": found.missing,
        "changed": found.changed,
        "extra": found.extra,
        "mode": found.mode,
    });
    let text = || {
        let mut text = String::new();
        for (what, paths) in [
            ("missing", &found.missing),
            ("changed", &found.changed),
            ("added", &found.extra),
            ("mode", &found.mode),
        ] {
            for path in paths {
                let _ =
                    writeln!(text, "{} {}", context.out.red(&format!("{what:<7}")), plain(path));
            }
        }
        let wrong =
            found.missing.len() + found.changed.len() + found.extra.len() + found.mode.len();
        let result = match wrong {
            0 => "as it was made".to_owned(),
            number => context.out.red(&format!("{number} differ")),
        };
        let _ = writeln!(
            text,
            "verified a view of {}, {}, {} in {}: {result}",
            plain(&listing::name(&found.model, &found.revision)),
            count(found.checked_files, "file"),
            size(found.checked_bytes),
            duration(began.elapsed())
        );
        text
    };
    if found.is_whole() {
        context.out.summary(&object, text);
        return Ok(Exit::Done);
    }
    context.out.result(&object, text);
    context.out.hint(
        "`tonnage checkout --force` makes it anew; one that is to be changed is made with --writable",
    );
    Ok(Exit::Damaged)
}

fn revisions(
    context: &Context,
    store: &Store,
    specs: &[ModelSpec],
) -> Result<Vec<Resolved>, Failure> {
    if !specs.is_empty() {
        return specs
            .iter()
            .map(|spec| Ok(store.resolve(&names::expand(context, store, spec)?)?))
            .collect();
    }
    let mut models: Vec<_> = store.list()?.into_iter().map(|listed| listed.model).collect();
    models.dedup();
    let mut all = Vec::new();
    for model in &models {
        all.extend(store.revisions_of(model)?);
    }
    Ok(all)
}

pub fn to_json(verified: &Verified) -> Value {
    let damaged: Vec<_> = verified.damaged.iter().map(damaged_json).collect();
    json!({
        "ok": verified.damaged.is_empty(),
        "checked_files": verified.checked_files,
        "checked_bytes": verified.checked_bytes,
        "hashed_bytes": verified.hashed_bytes,
        "damaged": damaged,
        "repaired": [],
    })
}

pub fn damaged_json(damaged: &Damaged) -> Value {
    json!({
        "model": damaged.model,
        "revision": damaged.revision,
        "path": damaged.path,
        "blob": damaged.blob,
        "why": damaged.why,
        "ranges": damaged.ranges.iter().map(|r| [r.start, r.end]).collect::<Vec<_>>(),
    })
}

/// What was looked at and what of it is damaged.
pub fn describe(verified: &Verified, took: Duration, out: &Out) -> String {
    let mut text = String::new();
    for damaged in &verified.damaged {
        text.push_str(&damage(damaged, out));
    }
    let read = match verified.hashed_bytes {
        0 => "none read".to_owned(),
        bytes => format!("{} read", size(bytes)),
    };
    let found = match verified.damaged.len() as u64 {
        0 => "all whole".to_owned(),
        number => out.red(&format!("{number} damaged")),
    };
    let _ = writeln!(
        text,
        "verified {}, {} ({read}) in {}: {found}",
        count(verified.checked_files, "file"),
        size(verified.checked_bytes),
        duration(took)
    );
    text
}

/// What is wrong with a file and where.
pub fn damage(damaged: &Damaged, out: &Out) -> String {
    let mut text = format!(
        "{} {} {}\n  blob {}: {}\n",
        out.red("damaged"),
        listing::name(&damaged.model, &damaged.revision),
        damaged.path,
        damaged.blob.short(),
        // A whole second hash says nothing to a person.
        if damaged.why.contains("hash to") { "its bytes are not its own" } else { &damaged.why },
    );
    for range in &damaged.ranges {
        let _ = writeln!(text, "  {}", place(range));
    }
    text
}

fn place(range: &Range<u64>) -> String {
    const MIB: u64 = 1 << 20;
    let bytes = format!("bytes {} to {}", range.start, range.end);
    let (first, last) = (range.start / MIB, range.end.div_ceil(MIB));
    if last == first + 1 {
        format!("MiB {first}: {bytes}")
    } else {
        format!("MiB {first} to {}: {bytes}", last - 1)
    }
}
