//! `tonnage scrub`

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use serde_json::{Value, json};
use tonnage::config::parse_age;
use tonnage::verify::{Budget, Scrubbed, scrub};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::out::Out;
use crate::text::{age, count, duration, size, time};
use crate::verify;
use crate::watch::watch;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage scrub --budget 50GB
  tonnage scrub --budget 30m

Reads and hashes what was not read for the longest time, until the budget is
used up, and remembers. A cron job that scrubs a little every night sees all of
the store again and again. `verify --full` is remembered, too.")]
pub struct Args {
    /// How much to read, or for how long: 50GB, 30m; without it everything
    #[arg(long, value_name = "SIZE|TIME", value_parser = budget)]
    budget: Option<Budget>,
}

/// A time has a small letter behind its number and no more; anything else is a size.
fn budget(text: &str) -> Result<Budget, String> {
    if text.ends_with(['s', 'm', 'h', 'd', 'w']) {
        return parse_age(text).map(Budget::Time);
    }
    let size = text.parse::<ByteSize>().map(|size| Budget::Bytes(size.as_u64()));
    size.map_err(|_| "write a size or a time, such as 50GB or 30m".to_owned())
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let began = Instant::now();
    let store = context.change()?;
    let budget = args.budget.unwrap_or_default();
    let scrubbed = watch(context, "scrubbing", |progress| scrub(&store, budget, progress))?;
    let damaged: Vec<Value> = scrubbed.damaged.iter().map(verify::damaged_json).collect();
    let object = json!({
        "ok": scrubbed.damaged.is_empty(),
        "checked_blobs": scrubbed.blobs,
        "checked_bytes": scrubbed.bytes,
        "left_bytes": scrubbed.left_bytes,
        "oldest": scrubbed.oldest.map(time),
        "damaged": damaged,
    });
    if scrubbed.damaged.is_empty() {
        context.out.summary(&object, || describe(&scrubbed, began.elapsed(), &context.out));
        return Ok(Exit::Done);
    }
    context.out.result(&object, || describe(&scrubbed, began.elapsed(), &context.out));
    context.out.hint("`tonnage verify --repair` mends what it can");
    Ok(Exit::Damaged)
}

fn describe(scrubbed: &Scrubbed, took: Duration, out: &Out) -> String {
    let mut text = String::new();
    for damaged in &scrubbed.damaged {
        text.push_str(&verify::damage(damaged, out));
    }
    let found = match scrubbed.damaged.len() {
        0 => "all whole".to_owned(),
        number => out.red(&format!("{number} damaged")),
    };
    let _ = write!(
        text,
        "read {}, {} in {}: {found}",
        count(scrubbed.blobs, "blob"),
        size(scrubbed.bytes),
        duration(took)
    );
    if scrubbed.left_bytes > 0 {
        let oldest = scrubbed.oldest.map_or("never".to_owned(), age);
        let _ = write!(text, "; {} left, the oldest read {oldest}", size(scrubbed.left_bytes));
    }
    text.push('\n');
    text
}
