//! `tonnage clear`

use std::io::{self, IsTerminal, Write as _};

use tonnage::space::{EvictGoal, EvictOptions, evict};

use crate::context::Context;
use crate::evict;
use crate::fail::{Exit, Failure};
use crate::rm;
use crate::text::size;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage clear --dry-run
  tonnage clear --yes

Removes every model and every partial download, but for what is pinned, checked
out somewhere or used by a running program. Models can be brought back by
`restore` for 24 hours; with --now they go for good, and the trash with them.")]
pub struct Args {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// For good, so that the space is free at once
    #[arg(long)]
    now: bool,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = if args.dry_run { context.read()? } else { context.change()? };
    let keep = rm::keep(args.now, context);
    if !args.dry_run && !args.yes {
        let plan =
            evict(&store, EvictGoal::Everything, EvictOptions { dry_run: true, keep })?.freed;
        let nothing = plan.gone.is_empty() && plan.partials.is_empty() && plan.purged.is_empty();
        if !nothing && !agrees(plan.gone.len(), plan.freed_bytes + plan.trashed_bytes, context)? {
            return Ok(Exit::Partly);
        }
    }
    let options = EvictOptions { dry_run: args.dry_run, keep };
    let evicted = evict(&store, EvictGoal::Everything, options)?;
    context.out.summary(&evict::to_json(&evicted), || evict::describe(&evicted, args.dry_run));
    evict::tell_kept(context, &evicted);
    Ok(rm::tell_failures(context, &evicted.freed))
}

/// Asks the person at the terminal; without one nobody can be asked.
fn agrees(models: usize, bytes: u64, context: &Context) -> Result<bool, Failure> {
    if context.out.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nobody can be asked whether all models are to go")
            .hint("--yes says so, --dry-run tells what would go"));
    }
    let what = if models == 1 { "1 revision".to_owned() } else { format!("{models} revisions") };
    let mut stderr = io::stderr();
    let _ = write!(stderr, "This removes {what}, {} in all. Go on? [y/N] ", size(bytes));
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::usage(format!("the answer could not be read: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
