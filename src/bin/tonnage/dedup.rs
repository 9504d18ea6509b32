//! `tonnage dedup`

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;
use tonnage::dedup::{Deduped, share};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::text::{count, duration, size};
use crate::watch::watch;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage dedup
  tonnage dedup --json

Quantizations of one model have tensors in common. On XFS and btrfs files can
share the blocks of the disk that these are on: `add` and `pull` see to it, and
this command does it for what came before. Files stay whole, ordinary files, and
deleting any of them leaves the others as they are. What was done before Ctrl-C
stays done.

On other file systems, such as ext4, nothing can be shared below the file; then
it tells what is kept more than once.")]
pub struct Args {}

pub fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let began = Instant::now();
    let store = context.change()?;
    let done = watch(context, "sharing", |progress| share(&store, progress))?;
    let freed = done.before.saturating_sub(done.after);
    let object = json!({
        "able": done.able,
        "checked_blobs": done.blobs,
        "checked_bytes": done.bytes,
        "read_bytes": done.read_bytes,
        "shared_bytes": done.shared_bytes,
        "freed_bytes": freed,
        "physical": done.after,
        "duplicate_bytes": done.duplicate_bytes,
        "skipped": done.skipped,
        "damaged": done.damaged,
    });
    context.out.summary(&object, || describe(&done, freed, began.elapsed()));
    if !done.skipped.is_empty() {
        let blobs = count(done.skipped.len() as u64, "blob");
        context.out.note(&format!(
            "{blobs} left as before: they cannot be read, there is no room to write them anew, or files \
             outside the store have their blocks"
        ));
    }
    if done.damaged.is_empty() {
        return Ok(Exit::Done);
    }
    let damaged = count(done.damaged.len() as u64, "damaged blob");
    context.out.note(&format!("{damaged}, which `tonnage verify --full` names"));
    context.out.hint("`tonnage verify --repair` mends what it can");
    Ok(Exit::Damaged)
}

fn describe(done: &Deduped, freed: u64, took: Duration) -> String {
    let mut text = format!("{}, {}: ", count(done.blobs, "blob"), size(done.bytes));
    let twice = size(done.duplicate_bytes);
    let _ = if done.able {
        write!(text, "{} more shared on disk, {} came back", size(done.shared_bytes), size(freed))
    } else {
        write!(
            text,
            "this file system shares nothing below the file; {twice} are here more than once, \
             which a packed form would save"
        )
    };
    let _ = writeln!(text, ", in {}", duration(took));
    text
}
