//! `tonnage du`

use std::fmt::Write as _;

use serde::Serialize;
use tonnage::space::{Usage, usage};
use tonnage::views::managed_views;

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing::Model;
use crate::out::Out;
use crate::table::Table;
use crate::text::size;

#[derive(clap::Args)]
#[command(after_help = "Example:
  tonnage du

apparent   what the models would take without the store
exclusive  bytes that one revision needs: what its removal frees
shared     bytes that several revisions need, counted once
trash      bytes that only removed revisions need, which can be restored
physical   what the store's directory takes on disk")]
pub struct Args {}

pub fn run(_: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    let usage = usage(&store)?;
    let managed = managed_views(&store)?;
    #[derive(Serialize)]
    struct Object<'a> {
        apparent: u64,
        exclusive: u64,
        shared: u64,
        trashed: u64,
        physical: u64,
        models: Vec<Model<'a>>,
    }
    let object = Object {
        apparent: usage.apparent,
        exclusive: usage.exclusive,
        shared: usage.shared,
        trashed: usage.trashed,
        physical: usage.physical,
        models: usage.models.iter().map(|m| Model::new(&m.revision, &managed)).collect(),
    };
    context.out.result(&object, || describe(&usage, &context.out));
    Ok(Exit::Done)
}

/// The tables that `demo` shows, too.
pub fn describe(usage: &Usage, out: &Out) -> String {
    let mut text = String::new();
    if !usage.models.is_empty() {
        let mut table = Table::new(&["MODEL", "REVISION", ">APPARENT", ">EXCLUSIVE", ">SHARED"]);
        for model in &usage.models {
            let revision = &model.revision;
            table.row([
                revision.model.to_string(),
                revision.revision.short().to_owned(),
                size(model.apparent),
                size(revision.exclusive),
                size(revision.shared),
            ]);
        }
        text = table.render(out) + "\n";
    }
    for (what, bytes, meaning) in [
        ("apparent", usage.apparent, "what the models would take without the store"),
        ("exclusive", usage.exclusive, "needed by one revision"),
        ("shared", usage.shared, "needed by several, stored once"),
        ("trash", usage.trashed, "removed, can be restored"),
        ("physical", usage.physical, "on disk"),
    ] {
        if what == "trash" && bytes == 0 {
            continue;
        }
        let _ = writeln!(text, "{what:<9}  {:>8}  {}", size(bytes), out.dim(meaning));
    }
    text
}
