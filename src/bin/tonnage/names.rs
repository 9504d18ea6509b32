//! `tonnage names`, and where such names are understood.

use serde_json::json;
use tonnage::model::{ModelId, ModelSpec};
use tonnage::store::Store;

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::table::Table;
use crate::text::size;

#[derive(clap::Args)]
#[command(after_help = "Example:
  tonnage pull llama-3.2-1b

A model in the store that has such a name itself comes first.")]
pub struct Args {}

pub fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let names = ModelId::WELL_KNOWN;
    let objects: Vec<_> = names
        .iter()
        .map(|known| {
            json!({
                "name": known.name, "model": known.model, "bytes": known.bytes,
                "gated": known.gated,
            })
        })
        .collect();
    context.out.result(&json!({ "names": objects }), || {
        let mut table = Table::new(&["NAME", "MODEL", ">ABOUT", ""]);
        for known in &names {
            let gated = if known.gated { "gated" } else { "" };
            let about = known.bytes.map_or("-".to_owned(), size);
            table.row([known.name.to_owned(), known.model.to_string(), about, gated.to_owned()]);
        }
        table.render(&context.out)
    });
    Ok(Exit::Done)
}

/// The model that is meant: what the store has under the name as it is written, or else what the
/// name is short for.
pub fn expand(store: &Store, spec: &ModelSpec) -> Result<ModelSpec, Failure> {
    match ModelId::well_known(spec.model.as_str()) {
        Some(model) if store.revisions_of(&spec.model)?.is_empty() => {
            Ok(ModelSpec { model, at: spec.at.clone() })
        }
        _ => Ok(spec.clone()),
    }
}
