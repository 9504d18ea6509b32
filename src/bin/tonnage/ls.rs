//! `tonnage ls`

use serde::Serialize;
use tonnage::model::ModelSpec;
use tonnage::store::Listed;
use tonnage::views::{ManagedViews, managed_views};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing::{self, Model};
use crate::out::Out;
use crate::table::Table;
use crate::text;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage ls
  tonnage ls org/name --json")]
pub struct Args {
    /// Only this model, or this revision of it
    model: Option<ModelSpec>,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    let listed = match &args.model {
        Some(spec) => listing::find(&store, spec)?,
        None => store.list()?,
    };
    let managed = if context.out.json { managed_views(&store)? } else { ManagedViews::default() };
    #[derive(Serialize)]
    struct Object<'a> {
        models: Vec<Model<'a>>,
    }
    let models = if context.out.json { listed.as_slice() } else { &[] };
    let object = Object { models: models.iter().map(|l| Model::new(l, &managed)).collect() };
    context.out.result(&object, || table(&listed, &context.out));
    Ok(Exit::Done)
}

/// The table that `demo` shows, too.
pub fn table(listed: &[Listed], out: &Out) -> String {
    if listed.is_empty() {
        return "nothing is here yet; `tonnage add` takes models in\n".to_owned();
    }
    let mut table =
        Table::new(&["MODEL", "REVISION", "REFS", ">FILES", ">SIZE", ">EXCLUSIVE", "LAST USED"]);
    for l in listed {
        table.row([
            l.model.to_string(),
            l.revision.short().to_owned(),
            listing::refs(&l.refs),
            l.files.to_string(),
            text::size(l.size),
            text::size(l.exclusive),
            text::age(l.last_used),
        ]);
    }
    table.render(out)
}
