//! `tonnage names`, and where such names are understood.

use serde::Serialize;
use serde_json::json;
use tonnage::config;
use tonnage::model::{ModelId, ModelSpec, RefName};
use tonnage::store::Store;

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::table::Table;
use crate::text::size;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage pull llama-3.2-1b
  tonnage config set names.my-llama org/name@v1.0
  tonnage pull my-llama

Names of one's own stand in config.toml and come before built-in ones. A model
in the store that has such a name itself comes first.")]
pub struct Args {}

/// A short name, and what it is short for.
#[derive(Serialize)]
struct Name {
    name: String,
    model: ModelId,
    #[serde(rename = "ref")]
    at: Option<RefName>,
    bytes: Option<u64>,
    gated: bool,
    from: &'static str,
}

pub fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let own = &context.settings()?.names;
    let mut names: Vec<_> = own
        .iter()
        .map(|(name, spec)| Name {
            name: name.clone(),
            model: spec.model.clone(),
            at: spec.at.clone(),
            bytes: None,
            gated: false,
            from: config::FILE_NAME,
        })
        .collect();
    names.extend(
        ModelId::WELL_KNOWN.into_iter().filter(|known| !own.contains_key(known.name)).map(
            |known| Name {
                name: known.name.to_owned(),
                model: known.model,
                at: None,
                bytes: known.bytes,
                gated: known.gated,
                from: "built-in",
            },
        ),
    );
    context.out.result(&json!({ "names": names }), || {
        let mut table = Table::new(&["NAME", "MODEL", ">ABOUT", "FROM"]);
        for name in &names {
            let about = match name.bytes {
                Some(bytes) => size(bytes),
                None if name.gated => "gated".to_owned(),
                None => "-".to_owned(),
            };
            let model = ModelSpec { model: name.model.clone(), at: name.at.clone() };
            table.row([name.name.clone(), model.to_string(), about, name.from.to_owned()]);
        }
        table.render(&context.out)
    });
    Ok(Exit::Done)
}

/// The model that is meant: what the store has under the name as it is written, or else what the
/// name is short for, the user's own short names first. What is written behind an `@` goes for the
/// model that is meant.
pub fn expand(context: &Context, store: &Store, spec: &ModelSpec) -> Result<ModelSpec, Failure> {
    let name = spec.model.as_str();
    if name.contains('/') || !store.revisions_of(&spec.model)?.is_empty() {
        return Ok(spec.clone());
    }
    let meant = match context.settings()?.names.get(name) {
        Some(own) => own.clone(),
        None => ModelId::well_known(name).unwrap_or_else(|| spec.model.clone()).into(),
    };
    Ok(ModelSpec { model: meant.model, at: spec.at.clone().or(meant.at) })
}
