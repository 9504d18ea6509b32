//! `tonnage lease`

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use tonnage::error::ErrorKind;
use tonnage::model::ModelSpec;
use tonnage::views::{ViewOptions, managed};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::names;
use crate::watch::watch;

/// What the directory of the model's files is put in place of.
const PLACE: &[u8] = b"{}";

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage lease org/name -- llama-cli -m {}/model.gguf
  tonnage lease org/name@v1.0 -- sh -c 'ls \"$TONNAGE_MODEL_PATH\"'

Runs a program that uses a model. The model is neither removed nor evicted until
the program has ended, and all that it started and that kept its open files.
{} in its arguments and $TONNAGE_MODEL_PATH are the directory of the model's
files. The exit code is the program's; 127 when there is no such program, 126
when it cannot be run.")]
pub struct Args {
    /// The model, and behind an @ the ref, the revision or its first digits
    model: ModelSpec,
    /// The program and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    let revision = store.resolve(&names::expand(context, &store, &args.model)?)?;
    // First: so the view that is made then stays.
    let lease = store.lease(&revision)?;
    let view = watch(context, "linking", |progress| {
        managed(&store, &revision, ViewOptions::default(), progress)
    })?;
    let failed =
        |what: &str, e: io::Error| Failure::new(ErrorKind::Failure, format!("{what}: {e}"));
    // Held by the program itself, so that neither a kill of this process nor a wait for the other
    // stands between them.
    let file = lease.into_file()?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())
        .map_err(|e| failed("the lease cannot be passed on", e.into()))?;
    let mut words = args.command.iter().map(|word| filled(word, &view.path));
    let program = words.next().unwrap_or_default();
    let error = Command::new(&program).args(words).env("TONNAGE_MODEL_PATH", &view.path).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let failure = failed(&format!("cannot run {}", program.to_string_lossy()), error);
    context.out.end(Err(failure));
    Ok(Exit::Command(code))
}

/// The word with every `{}` filled in.
fn filled(word: &OsStr, path: &Path) -> OsString {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some(at) = rest.windows(PLACE.len()).position(|two| two == PLACE) {
        let (before, after) = rest.split_at(at);
        bytes.extend_from_slice(before);
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        rest = after.get(PLACE.len()..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest);
    OsString::from_vec(bytes)
}
