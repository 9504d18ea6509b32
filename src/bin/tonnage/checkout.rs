//! `tonnage checkout`

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Value, json};
use tonnage::model::ModelSpec;
use tonnage::views::{Mode, View, ViewOptions, checkout};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::names;
use crate::text::{count, plain, size};
use crate::watch::watch;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage checkout org/name ./weights
  tonnage checkout org/name@v1.0 ./mine --writable

Read-only files are hardlinks where that works: they take no space, and loading
them in two programs reads them once. As long as DIR exists, `rm` keeps the model.")]
pub struct Args {
    /// The model, and behind an @ the ref, the revision or its first digits
    model: ModelSpec,
    /// Where its files go; made if needed
    dir: PathBuf,
    /// How the files get there; a way that does not work falls back to the next
    #[arg(long, default_value = "auto")]
    mode: How,
    /// Files that may be changed: none is a hardlink
    #[arg(long)]
    writable: bool,
    /// Replace a tree that somebody changed
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// Hardlink, else reflink, else copy; small files are copied
    Auto,
    /// Hardlink, else reflink, else copy
    Hardlink,
    /// Reflink, else copy
    Reflink,
    /// Copy
    Copy,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mode = match args.mode {
        How::Auto => Mode::Auto,
        How::Hardlink => Mode::Hardlink,
        How::Reflink => Mode::Reflink,
        How::Copy => Mode::Copy,
    };
    if mode == Mode::Hardlink && args.writable {
        return Err(Failure::usage("a hardlink cannot be writable: it is the store's own file")
            .hint("leave out --mode, or use --mode copy"));
    }
    let store = context.read()?;
    let revision = store.resolve(&names::expand(context, &store, &args.model)?)?;
    let options = ViewOptions { mode, writable: args.writable, force: args.force };
    let view = watch(context, "checking out", |progress| {
        checkout(&store, &revision, &args.dir, options, progress)
    })?;
    warn_of_weaker(&view, mode, context);
    let object = to_json(&view);
    context.out.summary(&object, || describe(&view));
    Ok(Exit::Done)
}

/// The object that tells of a view.
pub fn to_json(view: &View) -> Value {
    json!({
        "path": view.path.to_string_lossy(),
        "files": view.files,
        "bytes": view.bytes,
        "linked": view.linked,
        "reflinked": view.reflinked,
        "copied": view.copied,
        "unchanged": view.unchanged,
    })
}

fn describe(view: &View) -> String {
    let path = view.path.to_string_lossy();
    let path = plain(&path);
    let what = format!("{}, {}", count(view.files, "file"), size(view.bytes));
    if view.unchanged {
        return format!("{path} is already complete: {what}\n");
    }
    format!("{path}: {what} ({})\n", ways(view))
}

/// `3 hardlinks, 1 copy`
pub fn ways(view: &View) -> String {
    let copies =
        if view.copied == 1 { "1 copy".to_owned() } else { format!("{} copies", view.copied) };
    let ways: Vec<_> = [
        (view.linked, count(view.linked, "hardlink")),
        (view.reflinked, count(view.reflinked, "reflink")),
        (view.copied, copies),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(_, text)| text)
    .collect();
    ways.join(", ")
}

/// Who asked for a way by name wants to know when it was not possible.
fn warn_of_weaker(view: &View, mode: Mode, context: &Context) {
    let (wanted, weaker) = match mode {
        Mode::Hardlink => ("hardlink", view.reflinked + view.copied),
        Mode::Reflink => ("reflink", view.copied),
        Mode::Auto | Mode::Copy => return,
    };
    if weaker > 0 && !view.unchanged {
        let why = match mode {
            Mode::Hardlink => "another file system, or a file has all the links it can have",
            _ => "the file system cannot, or it is another one",
        };
        context
            .out
            .note(&format!("{weaker} of {} are no {wanted}: {why}", count(view.files, "file")));
    }
}
