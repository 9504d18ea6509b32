//! The command line of tonnage.
//!
//! Everything that is printed, read from the environment or turned into an exit code is here; the
//! library does none of it.

mod add;
mod args;
mod checkout;
mod clear;
mod completions;
mod config;
mod context;
mod dedup;
mod demo;
mod diff;
mod du;
mod evict;
mod fail;
mod fsck;
mod gc;
mod hub_args;
mod lease;
mod listing;
mod log;
mod ls;
mod matrix;
mod names;
mod out;
mod outdated;
mod path;
mod pin;
mod pull;
mod restore;
mod rm;
mod screen;
mod scrub;
mod serve;
mod show;
mod table;
mod text;
mod verify;
mod watch;
mod why;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use context::Context;
use fail::{Exit, Failure};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return args::refuse(&e),
    };
    let context = Context::new(cli.global);
    let done = run(cli.command, &context);
    context.out.end(done).into()
}

fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Pull(args) => pull::run(*args, context),
        Command::Outdated(args) => outdated::run(args, context),
        Command::Names(args) => names::run(args, context),
        Command::Add(args) => add::run(args, context),
        Command::Ls(args) => ls::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Path(args) => path::run(args, context),
        Command::Checkout(args) => checkout::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Scrub(args) => scrub::run(args, context),
        Command::Rm(args) => rm::run(args, context),
        Command::Clear(args) => clear::run(args, context),
        Command::Restore(args) => restore::run(args, context),
        Command::Evict(args) => evict::run(args, context),
        Command::Pin(args) => pin::run(args, context, true),
        Command::Unpin(args) => pin::run(args, context, false),
        Command::Lease(args) => lease::run(args, context),
        Command::Gc(args) => gc::run(args, context),
        Command::Fsck(args) => fsck::run(args, context),
        Command::Dedup(args) => dedup::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Du(args) => du::run(args, context),
        Command::Why(args) => why::run(args, context),
        Command::Serve(args) => serve::run(args, context),
        Command::Config(args) => config::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Demo(args) => demo::run(args, context),
    }
}
