//! `tonnage completions`

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use serde_json::json;

use crate::args::Cli;
use crate::context::Context;
use crate::fail::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example:
  tonnage completions bash > ~/.local/share/bash-completion/completions/tonnage")]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "tonnage", &mut script);
    if context.out.json {
        let script = String::from_utf8_lossy(&script);
        let object = json!({ "shell": args.shell.to_string(), "script": script });
        context.out.result(&object, String::new);
    } else {
        context.out.bytes(&script);
    }
    Ok(Exit::Done)
}
