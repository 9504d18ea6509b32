//! `tonnage fsck`

use std::fmt::Write as _;

use serde_json::json;
use tonnage::store::{Fsck, Rebuilt, Store};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::out::Out;
use crate::text::{count, plain};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage fsck
  tonnage fsck --rebuild-index

It compares the index with the files' names and sizes. `verify` reads bytes.")]
pub struct Args {
    /// Write the index anew from what is on disk
    #[arg(long)]
    rebuild_index: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if args.rebuild_index {
        return rebuild(context);
    }
    let found = context.read()?.fsck()?;
    let ok = found.problems.is_empty();
    let object = json!({
        "ok": ok,
        "problems": found.problems.iter()
            .map(|problem| json!({ "invariant": problem.invariant, "what": problem.what }))
            .collect::<Vec<_>>(),
        "revisions": found.revisions,
        "blobs": found.blobs,
        "garbage": found.garbage,
        "dead_imports": found.dead_imports,
        "dead_views": found.dead_views,
    });
    if ok {
        context.out.summary(&object, || describe(&found, &context.out));
        return Ok(Exit::Done);
    }
    context.out.result(&object, || describe(&found, &context.out));
    context.out.hint("`tonnage fsck --rebuild-index` makes the books agree with the files");
    Ok(Exit::Damaged)
}

fn describe(found: &Fsck, out: &Out) -> String {
    let mut text = String::new();
    for problem in &found.problems {
        let _ = writeln!(text, "{} {}", out.red(problem.invariant), plain(&problem.what));
    }
    let verdict = match found.problems.len() as u64 {
        0 => "the store is whole".to_owned(),
        number => out.red(&count(number, "problem")),
    };
    let revisions = count(found.revisions, "revision");
    let _ = writeln!(text, "{verdict}: {revisions}, {}", count(found.blobs, "blob"));
    let leftovers: Vec<_> = [
        (found.garbage, "unneeded blob"),
        (found.dead_imports, "unfinished import"),
        (found.dead_views, "removed view"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| count(number, what))
    .collect();
    if !leftovers.is_empty() {
        let _ = writeln!(text, "left for `tonnage gc`: {}", leftovers.join(", "));
    }
    text
}

fn rebuild(context: &Context) -> Result<Exit, Failure> {
    let rebuilt = Store::rebuild_index(context.store_path()?)?;
    let object = json!({ "rebuilt": {
        "revisions": rebuilt.revisions,
        "refs": rebuilt.refs,
        "blobs": rebuilt.blobs,
        "left_out": rebuilt.left_out,
    }});
    context.out.summary(&object, || describe_rebuilt(&rebuilt, &context.out));
    // What was left out was damaged before; that the index is good again does not heal it.
    Ok(if rebuilt.left_out.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn describe_rebuilt(rebuilt: &Rebuilt, out: &Out) -> String {
    let mut text = format!(
        "the index is new: {}, {}, {}\n",
        count(rebuilt.revisions, "revision"),
        count(rebuilt.refs, "ref"),
        count(rebuilt.blobs, "blob")
    );
    for why in &rebuilt.left_out {
        let _ = writeln!(text, "{} {}", out.red("left out:"), plain(why));
    }
    text
}
