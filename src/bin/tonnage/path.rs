//! `tonnage path`

use serde_json::json;
use tonnage::model::ModelSpec;
use tonnage::views::{ViewOptions, managed};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::names;
use crate::watch::watch;

#[derive(clap::Args)]
#[command(after_help = "Example:
  llama-cli -m \"$(tonnage path org/name)/model.gguf\"")]
pub struct Args {
    /// The model, and behind an @ the ref, the revision or its first digits
    model: ModelSpec,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    let revision = store.resolve(&names::expand(context, &store, &args.model)?)?;
    let view = watch(context, "linking", |progress| {
        managed(&store, &revision, ViewOptions::default(), progress)
    })?;
    let object =
        json!({ "path": view.path.to_string_lossy(), "files": view.files, "bytes": view.bytes });
    if context.out.json {
        context.out.result(&object, String::new);
    } else {
        // As it is, whatever its bytes: a shell opens it.
        let mut line = view.path.into_os_string().into_encoded_bytes();
        line.push(b'\n');
        context.out.bytes(&line);
    }
    Ok(Exit::Done)
}
