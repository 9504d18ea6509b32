//! `tonnage show`

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use tonnage::digest::{BlobHash, Sha256};
use tonnage::model::{FilePath, Manifest, ModelSpec};
use tonnage::store::{Listed, Resolved, Store};
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
  tonnage show org/name@v1.0 --json
  tonnage show org/name --tensors")]
pub struct Args {
    /// The model, and behind an @ the ref, the revision or its first digits
    model: ModelSpec,
    /// List the tensors of its files, as their headers have them
    #[arg(long)]
    tensors: bool,
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
    if args.tensors {
        return tensors(&store, &resolved, &context.out);
    }
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

fn tensors(store: &Store, revision: &Resolved, out: &Out) -> Result<Exit, Failure> {
    let files = tonnage::dedup::tensors(store, revision)?;
    let all = files.iter().flat_map(|file| file.tensors.iter().map(move |t| (&file.path, t)));
    let objects = all.clone().map(|(path, tensor)| {
        json!({
            "file": path,
            "name": tensor.name,
            "dtype": tensor.dtype.name(),
            "shape": tensor.shape,
            "offset": tensor.range.start,
            "bytes": tensor.range.end - tensor.range.start,
        })
    });
    let doubts = files.iter().filter_map(|file| {
        Some(json!({ "file": file.path, "why": file.doubt.as_ref()?.to_string() }))
    });
    let object = json!({
        "model": revision.model,
        "revision": revision.revision,
        "tensors": objects.collect::<Vec<_>>(),
        "doubts": doubts.collect::<Vec<_>>(),
    });
    out.result(&object, || {
        if files.is_empty() {
            return "no file of it is safetensors or GGUF\n".to_owned();
        }
        let mut text = String::new();
        for file in &files {
            if let Some(doubt) = &file.doubt {
                let path = out.bold(&text::plain(file.path.as_str()));
                let _ = writeln!(text, "{path}: no tensors: {}\n", text::plain(&doubt.to_string()));
                continue;
            }
            let bytes = file.tensors.iter().map(|t| t.range.end - t.range.start).sum();
            let tensors = text::count(file.tensors.len() as u64, "tensor");
            let path = out.bold(&text::plain(file.path.as_str()));
            let _ = writeln!(text, "{path}: {tensors}, {}", text::size(bytes));
            let mut table = Table::new(&["TENSOR", "TYPE", ">SHAPE", ">SIZE"]);
            for tensor in &file.tensors {
                let sides: Vec<_> = tensor.shape.iter().map(u64::to_string).collect();
                table.row([
                    text::plain(&tensor.name).into_owned(),
                    tensor.dtype.to_string(),
                    sides.join(" × "),
                    text::size(tensor.range.end - tensor.range.start),
                ]);
            }
            text.push_str(&table.render(out));
            text.push('\n');
        }
        text
    });
    Ok(Exit::Done)
}
