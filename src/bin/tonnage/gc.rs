//! `tonnage gc`

use serde_json::json;
use tonnage::error::ErrorKind;
use tonnage::space::{collect, collectable};
use tonnage::store::Collected;

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::text::{count, size};

#[derive(clap::Args)]
#[command(after_help = "Example:
  tonnage gc --dry-run

`rm` frees what it can itself. This frees what killed processes left, and what
was in the trash for its time.")]
pub struct Args {
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let collected = if args.dry_run {
        collectable(&context.read()?)?
    } else {
        collect(&context.change()?, false)?.ok_or_else(|| {
            Failure::new(ErrorKind::Busy, "another process is collecting this store")
                .hint("it frees the same space; try again when it is done")
        })?
    };
    let object = json!({
        "evicted": [],
        "purged": [],
        "freed_bytes": collected.freed_bytes,
        "trashed_bytes": 0,
        "failures": [],
        "kept": [],
        "blobs": collected.blobs,
        "imports": collected.imports,
    });
    context.out.summary(&object, || describe(&collected, args.dry_run));
    Ok(Exit::Done)
}

fn describe(collected: &Collected, dry_run: bool) -> String {
    let freed = if dry_run { "would free" } else { "freed" };
    let mut what = vec![count(collected.blobs, "blob")];
    if collected.imports > 0 {
        what.push(format!("{} that did not end", count(collected.imports, "import")));
    }
    format!("{freed} {}: {}\n", size(collected.freed_bytes), what.join(", "))
}
