//! What can be written behind `tonnage`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind as ClapKind;
use clap::{Args, Parser, Subcommand};

use crate::fail::{Exit, Failure};
use crate::out::Out;
use crate::{
    add, checkout, clear, completions, config, dedup, demo, diff, du, evict, fsck, gc, lease, ls,
    names, outdated, path, pin, pull, restore, rm, scrub, serve, show, verify, why,
};

/// One copy of every model weight on disk, as ordinary files, verified
#[derive(Parser)]
#[command(
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 80,
    after_help = "Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 damaged data,
5 not enough space, 6 hub or network, 7 busy, 130 interrupted.

Try it without a model and without a network:
  tonnage demo"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args)]
pub struct Global {
    /// The store [env: TONNAGE_HOME] [default: the cache directory's tonnage]
    #[arg(long, global = true, value_name = "DIR", display_order = 100)]
    pub store: Option<PathBuf>,
    /// Print one JSON object on stdout
    #[arg(long, global = true, display_order = 101)]
    pub json: bool,
    /// No progress and no summary: only results and errors
    #[arg(long, short, global = true, display_order = 102)]
    pub quiet: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Fetch a model from the hub, or what of it is missing
    Pull(Box<pull::Args>),
    /// Ask the hub which refs moved, and what an update would fetch
    Outdated(outdated::Args),
    /// List short names for models, built in and your own
    Names(names::Args),
    /// Take a local directory or file into the store
    Add(add::Args),
    /// List what is here
    Ls(ls::Args),
    /// Show the files of one model
    Show(show::Args),
    /// Print a directory with the model's files, made if needed
    Path(path::Args),
    /// Put a model's files into a directory of your choice
    Checkout(checkout::Args),
    /// Check that stored bytes are what they were
    Verify(verify::Args),
    /// Read what was not read for the longest time
    Scrub(scrub::Args),
    /// Remove models and free what only they need
    Rm(rm::Args),
    /// Bring back what was removed
    Restore(restore::Args),
    /// Remove everything that is not in use
    Clear(clear::Args),
    /// Remove what was not used for long, until the store is small enough
    Evict(evict::Args),
    /// Keep a model when others are evicted
    Pin(pin::Args),
    /// Give a pinned model free
    Unpin(pin::Args),
    /// Run a program that keeps a model while it uses it
    Lease(lease::Args),
    /// Free what no model needs
    Gc(gc::Args),
    /// Check the store's own books, or write them anew
    Fsck(fsck::Args),
    /// Share on the disk what stored files have in common
    Dedup(dedup::Args),
    /// Tell what two models, or all of a family, have in common
    Diff(diff::Args),
    /// Show what takes how much space
    Du(du::Args),
    /// Explain what keeps a blob
    Why(why::Args),
    /// Serve the store as a mirror of the hub, with a page to look after it
    Serve(serve::Args),
    /// Show the settings in effect, or change one in config.toml
    Config(config::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// See it work: a store in a temporary directory, no network
    Demo(demo::Args),
}

/// What clap says of arguments it does not take, and what it prints for `--help`.
pub fn refuse(error: &clap::Error) -> ExitCode {
    let told = matches!(error.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion);
    // The arguments could not be parsed, so the flag is looked for by hand.
    let mut words = std::env::args_os().skip(1).take_while(|word| word != "--");
    if told || !words.any(|word| word == "--json") {
        let _ = error.print(); // a closed pipe
        return if told { Exit::Done } else { Exit::Usage }.into();
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|part| part.replace("\n  ", " "));
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message).trim();
    let usage = paragraphs.find(|part| part.starts_with("Usage: "));
    let failure = Failure::usage(message).hint(usage.unwrap_or("try --help".to_owned()).trim());
    Out::json().end(Err(failure)).into()
}
