//! `tonnage diff`

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;
use tonnage::dedup::{Diff, Side, diff};
use tonnage::model::ModelSpec;

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::out::Out;
use crate::table::Table;
use crate::text::{count, size};
use crate::watch::watch;
use crate::{listing, matrix, names};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage diff org/name@q4 org/name@q5
  tonnage diff --verbose org/base org/finetune
  tonnage diff --matrix org/name-GGUF
  tonnage diff --matrix org/a org/b org/c --svg family.svg

Two models are compared tensor by tensor, whatever their names and formats are.
Bytes that both have are on the disk once (shared), can be (shareable; `tonnage
dedup` does it), or cannot be, because the file system does not share parts of
files or because they lie differently within its blocks.

--matrix tells of each member of a family how much of it each other one has. Of
one model, the members are its files.")]
pub struct Args {
    /// Two models; with --matrix, one or more
    #[arg(required = true)]
    models: Vec<ModelSpec>,
    /// By groups of tensors
    #[arg(long, short, conflicts_with = "matrix")]
    verbose: bool,
    /// How much of each one is in each other one
    #[arg(long)]
    matrix: bool,
    /// Also write the matrix as a picture
    #[arg(long, value_name = "FILE", requires = "matrix")]
    svg: Option<PathBuf>,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    let mut found = Vec::new();
    for spec in &args.models {
        found.push(store.resolve(&names::expand(context, &store, spec)?)?);
    }
    if args.matrix {
        return matrix::run(&store, &found, args.svg.as_deref(), context);
    }
    let [a, b] = found.as_slice() else {
        return Err(Failure::usage("diff compares two models; --matrix compares more"));
    };
    let found = watch(context, "comparing", |progress| diff(&store, a, b, progress))?;
    let side = |side: &Side| {
        json!({
            "model": side.model,
            "revision": side.revision,
            "bytes": side.bytes,
            "tensors": side.tensors,
            "exclusive_tensors": side.exclusive_tensors,
            "exclusive": side.exclusive_bytes,
        })
    };
    let groups = found.groups.iter().map(|group| {
        json!({
            "name": group.name,
            "dtype": group.dtype,
            "a": group.a,
            "b": group.b,
            "equal": group.equal,
            "equal_bytes": group.equal_bytes,
            "bytes": group.bytes,
        })
    });
    let object = json!({
        "a": side(&found.a),
        "b": side(&found.b),
        "same_files": found.same_files,
        "equal_tensors": found.equal_tensors,
        "equal": found.equal_bytes,
        "shared": found.shared_bytes,
        "shareable": found.shareable_bytes,
        "unshareable": found.unshareable_bytes,
        "able": found.able,
        "groups": groups.collect::<Vec<_>>(),
    });
    context.out.result(&object, || describe(&found, args.verbose, &context.out));
    Ok(Exit::Done)
}

fn describe(diff: &Diff, verbose: bool, out: &Out) -> String {
    let mut text = String::new();
    let mut table =
        Table::new(&["", "MODEL", ">SIZE", ">TENSORS", ">ONLY HERE", ">BYTES ONLY HERE"]);
    for (which, side) in [("A", &diff.a), ("B", &diff.b)] {
        table.row([
            which.to_owned(),
            listing::name(&side.model, &side.revision),
            size(side.bytes),
            side.tensors.to_string(),
            side.exclusive_tensors.to_string(),
            size(side.exclusive_bytes),
        ]);
    }
    text.push_str(&table.render(out));
    text.push('\n');
    if verbose && !diff.groups.is_empty() {
        let mut table = Table::new(&["TENSORS", "TYPE", ">A", ">B", ">EQUAL", ">BYTES", ">OF"]);
        for group in &diff.groups {
            table.row([
                crate::text::plain(&group.name).into_owned(),
                group.dtype.to_owned(),
                group.a.to_string(),
                group.b.to_string(),
                group.equal.to_string(),
                size(group.equal_bytes),
                size(group.bytes),
            ]);
        }
        text.push_str(&table.render(out));
        text.push('\n');
    }
    let share = percent(diff.equal_bytes, diff.b.bytes);
    let tensors = count(diff.equal_tensors, "tensor");
    let _ = writeln!(
        text,
        "{tensors} and {} of B are in A, too: {share} of it",
        size(diff.equal_bytes)
    );
    let why = if diff.able {
        "lie differently within the disk's blocks"
    } else {
        "cannot be: this file system shares nothing below the file"
    };
    for (what, bytes, meaning) in [
        ("shared", diff.shared_bytes, "on disk once"),
        ("shareable", diff.shareable_bytes, "can be: `tonnage dedup`"),
        ("apart", diff.unshareable_bytes, why),
    ] {
        let _ = writeln!(text, "{what:<9}  {:>8}  {}", size(bytes), out.dim(meaning));
    }
    text
}

/// A share in percent. Only all is 100.
pub fn percent(part: u64, all: u64) -> String {
    if part == all {
        return if all == 0 { "-".to_owned() } else { "100 %".to_owned() };
    }
    format!("{:.1} %", (part as f64 / all.max(1) as f64 * 100.0).min(99.9))
}
