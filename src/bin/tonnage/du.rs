//! `tonnage du`

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use tonnage::model::ModelSpec;
use tonnage::space::{Sharing, Usage, sharing, usage};
use tonnage::store::Resolved;
use tonnage::views::managed_views;

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing::Model;
use crate::names;
use crate::out::Out;
use crate::table::Table;
use crate::text::size;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage du
  tonnage du org/name

apparent   what the models would take without the store
exclusive  bytes that one revision needs
shared     bytes that several revisions need, counted once
trash      bytes that only removed revisions need, which can be restored
physical   what the store's directory takes on disk
below      bytes saved because files share parts on the disk (XFS, btrfs): `du -s` counts them again

Of one model it tells with whom it shares, and what its removal would free.")]
pub struct Args {
    /// A model, and behind an @ the ref, the revision or its first digits
    model: Option<ModelSpec>,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    if let Some(spec) = &args.model {
        let revision = store.resolve(&names::expand(context, &store, spec)?)?;
        return one(&revision, &sharing(&store, &revision)?, &context.out);
    }
    let usage = usage(&store)?;
    let managed = managed_views(&store)?;
    #[derive(Serialize)]
    struct Object<'a> {
        apparent: u64,
        exclusive: u64,
        shared: u64,
        trashed: u64,
        physical: u64,
        shared_physical: u64,
        models: Vec<Model<'a>>,
    }
    let object = Object {
        apparent: usage.apparent,
        exclusive: usage.exclusive,
        shared: usage.shared,
        trashed: usage.trashed,
        physical: usage.physical,
        shared_physical: usage.shared_physical,
        models: usage.models.iter().map(|m| Model::new(&m.revision, &managed)).collect(),
    };
    context.out.result(&object, || describe(&usage, &context.out));
    Ok(Exit::Done)
}

fn one(revision: &Resolved, sharing: &Sharing, out: &Out) -> Result<Exit, Failure> {
    let with = sharing.with.iter();
    let object = json!({
        "model": revision.model,
        "revision": revision.revision,
        "apparent": sharing.apparent,
        "exclusive": sharing.exclusive,
        "shared": sharing.shared,
        "shared_with": with
            .map(|(model, revision, bytes)| {
                json!({ "model": model, "revision": revision, "bytes": bytes })
            })
            .collect::<Vec<_>>(),
        "physical": sharing.physical,
        "shared_physical": sharing.shared_physical,
        "freed_if_removed": sharing.freed,
    });
    out.result(&object, || {
        let mut text = String::new();
        if !sharing.with.is_empty() {
            let mut table = Table::new(&["SHARED WITH", "REVISION", ">SHARED"]);
            for (model, revision, bytes) in &sharing.with {
                table.row([model.to_string(), revision.short().to_owned(), size(*bytes)]);
            }
            text = table.render(out) + "\n";
        }
        for (what, bytes, meaning) in [
            ("apparent", sharing.apparent, "what it would take without the store"),
            ("exclusive", sharing.exclusive, "needed by it alone"),
            ("shared", sharing.shared, "needed by others too"),
            ("physical", sharing.physical, "what its blobs take on disk"),
            ("below", sharing.shared_physical, "of that, on disk with other files' parts"),
            ("removal", sharing.freed, "what comes back when it goes for good"),
        ] {
            if what == "below" && bytes == 0 {
                continue;
            }
            let _ = writeln!(text, "{what:<9}  {:>8}  {}", size(bytes), out.dim(meaning));
        }
        text
    });
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
        ("below", usage.shared_physical, "saved by parts that files share on disk"),
    ] {
        if matches!(what, "trash" | "below") && bytes == 0 {
            continue;
        }
        let _ = writeln!(text, "{what:<9}  {:>8}  {}", size(bytes), out.dim(meaning));
    }
    text
}
