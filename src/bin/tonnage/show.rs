//! `tonnage show`

use std::fmt::Write as _;

use serde::Serialize;
use tonnage::digest::{BlobHash, Sha256};
use tonnage::model::{FilePath, Manifest, ModelSpec};
use tonnage::store::Listed;
use tonnage::views::{ManagedViews, managed_views};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing::{self, Model};
use crate::names;
use crate::out::Out;
use crate::table::Table;
use crate::text;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage show org/name
  tonnage show org/name@v1.0 --json")]
pub struct Args {
    /// The model, and behind an @ the ref, the revision or its first digits
    model: ModelSpec,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a FilePath,
    size: u64,
    blob: BlobHash,
    sha256: Option<Sha256>,
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(flatten)]
    model: Model<'a>,
    files: Vec<File<'a>>,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    let mut spec = names::expand(context, &store, &args.model)?;
    let resolved = store.resolve(&spec)?;
    let manifest = store.manifest(&resolved)?;
    spec.at = resolved.revision.as_str().parse().ok();
    let listed = listing::find(&store, &spec)?;
    let Some(listed) = listed.first() else { return Ok(Exit::Done) };
    let managed = managed_views(&store)?;
    let files = manifest.files().iter().map(|file| File {
        path: &file.path,
        size: file.size,
        blob: file.blob,
        sha256: file.sha256,
    });
    // `files` is the list here, not the number that the model object has.
    let object = Object { model: Model::new(listed, &managed), files: files.collect() };
    let object = serde_json::to_value(&object).unwrap_or_default();
    context.out.result(&object, || describe(listed, &manifest, &managed, &context.out));
    Ok(Exit::Done)
}

fn describe(listed: &Listed, manifest: &Manifest, managed: &ManagedViews, out: &Out) -> String {
    let mut text = format!("{}\n", out.bold(&listing::name(&listed.model, &listed.revision)));
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<10} {value}");
    };
    let refs: Vec<_> = listed.refs.iter().map(|name| name.as_str()).collect();
    line("refs", if refs.is_empty() { "-".to_owned() } else { refs.join(", ") });
    line(
        "size",
        format!(
            "{}: {} only here, {} shared with others",
            text::size(listed.size),
            text::size(listed.exclusive),
            text::size(listed.shared)
        ),
    );
    line("last used", text::age(listed.last_used));
    if let Some(path) = managed.path(listed) {
        line("path", text::plain(&path.to_string_lossy()).into_owned());
    }
    text.push('\n');
    let mut table = Table::new(&["PATH", ">SIZE", "BLOB"]);
    for file in manifest.files() {
        table.row([file.path.to_string(), text::size(file.size), file.blob.short()]);
    }
    text + &table.render(out)
}
