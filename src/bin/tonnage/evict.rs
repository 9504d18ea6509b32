//! `tonnage evict`

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytesize::ByteSize;
use serde_json::{Value, json};
use tonnage::config::parse_age;
use tonnage::error::ErrorKind;
use tonnage::space::{EvictGoal, EvictOptions, Evicted, evict};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing;
use crate::rm;
use crate::text::size;

#[derive(clap::Args)]
#[command(
    group(clap::ArgGroup::new("goal").multiple(false)),
    after_help = "Examples:
  tonnage evict --max-size 200GB --dry-run
  tonnage evict --older-than 30d
  tonnage evict                       # until the store keeps to space.max

Whole revisions go, the least recently used first. What is pinned, checked out
somewhere or used by a running program stays. Adding, pulling, checking out,
leasing, restoring, opening and asking for the path of a model are uses.

With --max-size the space is free at once, and the trash is emptied first. What
--older-than takes can be brought back by `restore` for 24 hours."
)]
pub struct Args {
    /// Until the store takes at most so much of the disk: 200GB, 1TiB
    #[arg(long, value_name = "SIZE", group = "goal")]
    max_size: Option<ByteSize>,
    /// What was not used for so long: 30d, 12h
    #[arg(long, value_name = "AGE", group = "goal", value_parser = parse_age)]
    older_than: Option<Duration>,
    /// For good, so that the space is free at once
    #[arg(long)]
    now: bool,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = if args.dry_run { context.read()? } else { context.change()? };
    let goal = match (args.max_size, args.older_than) {
        (Some(most), _) => EvictGoal::MaxBytes(most.as_u64()),
        (None, Some(age)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let time = now.saturating_sub(age).as_secs();
            EvictGoal::UsedSince(i64::try_from(time).unwrap_or(i64::MAX))
        }
        (None, None) => match context.settings()?.limits.max_bytes {
            Some(most) => EvictGoal::MaxBytes(most),
            None => {
                let message = "the store has no limit to keep to";
                return Err(Failure::usage(message)
                    .hint("name one with --max-size, or set it: `tonnage config set space.max`"));
            }
        },
    };
    let keep = rm::keep(args.now, context);
    let evicted = evict(&store, goal, EvictOptions { dry_run: args.dry_run, keep })?;
    context.out.summary(&to_json(&evicted), || describe(&evicted, args.dry_run));
    tell_kept(context, &evicted);
    let end = rm::tell_failures(context, &evicted.freed);
    match goal {
        EvictGoal::MaxBytes(most) if evicted.missed(goal) => {
            context.out.hint(&format!(
                "the store is {} above {}: unpin, stop or remove what keeps the others",
                size(evicted.after - most),
                size(most)
            ));
            Ok(Exit::Failed(ErrorKind::NoSpace))
        }
        _ => Ok(end),
    }
}

/// What every eviction tells a program.
pub fn to_json(evicted: &Evicted) -> Value {
    let mut object = rm::to_json(&evicted.freed);
    if let Some(object) = object.as_object_mut() {
        object.insert("size_before".to_owned(), json!(evicted.before));
        object.insert("size_after".to_owned(), json!(evicted.after));
    }
    object
}

/// And a person.
pub fn describe(evicted: &Evicted, dry_run: bool) -> String {
    let (verb, takes) = if dry_run { ("evict", "would take") } else { ("evicted", "takes") };
    let (lines, sum) = (rm::lines(&evicted.freed, dry_run, verb), rm::sum(&evicted.freed, dry_run));
    format!("{lines}{sum}\nthe store {takes} {}\n", size(evicted.after))
}

pub fn tell_kept(context: &Context, evicted: &Evicted) {
    for kept in &evicted.freed.kept {
        let name = listing::name(&kept.model, &kept.revision);
        context.out.note(&format!("{name} stays: {}", kept.why));
    }
}
