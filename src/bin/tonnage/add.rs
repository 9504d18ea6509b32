//! `tonnage add`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::json;
use tonnage::error::SourceError;
use tonnage::error::StoreError;
use tonnage::model::{ModelId, RefName};
use tonnage::space;
use tonnage::store::{AddOptions, Added, Take};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing;
use crate::rm;
use crate::text::{count, duration, size};
use crate::watch::watch;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage add ./tiny-llama --name org/tiny-llama
  tonnage add model.gguf --name org/model --revision v2 --take move")]
pub struct Args {
    /// A directory, or a file, which becomes a model of one file
    path: PathBuf,
    /// What the model is called; a file without it is called as its name says
    #[arg(long, value_name = "MODEL")]
    name: Option<ModelId>,
    /// The ref that is set to the new revision
    #[arg(long, value_name = "REF", default_value = "main")]
    revision: RefName,
    /// How the bytes come in; without it reflink where that works, else copy
    #[arg(long)]
    take: Option<How>,
    /// Follow symbolic links that leave the directory
    #[arg(long)]
    follow_links: bool,
    /// Compute SHA-256 too, so that a pull from a hub finds the bytes here
    #[arg(long)]
    sha256: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum How {
    /// A copy
    Copy,
    /// Share the blocks of the source, or fail
    Reflink,
    /// The source becomes the stored file, read-only
    Hardlink,
    /// As hardlink, or a copy; the source goes when the model is safe
    Move,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if !args.path.try_exists().unwrap_or(true) && args.path.symlink_metadata().is_err() {
        // Before a store is made for it.
        return Err(StoreError::from(SourceError::Missing { path: args.path }).into());
    }
    if args.follow_links && matches!(args.take, Some(How::Move)) {
        return Err(Failure::usage("--take move does not go with --follow-links")
            .hint("it would remove files outside the directory; use --take copy"));
    }
    let model = match args.name {
        Some(name) => name,
        None => name_of(&args.path)?,
    };
    let options = AddOptions {
        model,
        reference: args.revision,
        take: match args.take {
            None => Take::Auto,
            Some(How::Copy) => Take::Copy,
            Some(How::Reflink) => Take::Reflink,
            Some(How::Hardlink) => Take::Hardlink,
            Some(How::Move) => Take::Move,
        },
        follow_links: args.follow_links,
        sha256: args.sha256,
    };
    let began = Instant::now();
    let store = context.fill()?;
    let (added, evicted) =
        watch(context, "adding", |progress| space::add(&store, &args.path, &options, progress))?;
    let evicted: Vec<_> = evicted.into_iter().flat_map(|one| one.freed.gone).collect();
    rm::tell_evicted(context, &evicted);
    let took = began.elapsed();
    let object = json!({
        "model": added.model,
        "revision": added.revision,
        "ref": options.reference,
        "files": added.files,
        "bytes": added.bytes,
        "new_bytes": added.new_bytes,
        "known_files": added.known_files,
        "shared_bytes": added.shared_bytes,
        "evicted": rm::names(&evicted),
        "seconds": took.as_secs_f64(),
    });
    context.out.summary(&object, || describe(&added, took, context.out.width));
    Ok(Exit::Done)
}

/// What was added, in one line, or in two where a terminal would break it anywhere.
fn describe(added: &Added, took: Duration, width: Option<usize>) -> String {
    let mut new = match (added.new_bytes, added.known_files) {
        (0, _) => "nothing new".to_owned(),
        (new, 0) => format!("{} new", size(new)),
        (new, known) => format!("{} new, {} known", size(new), count(known, "file")),
    };
    if added.shared_bytes > 0 {
        new = format!("{new}, {} of it shared on disk", size(added.shared_bytes));
    }
    let what = format!(
        "added {}: {}, {}",
        listing::name(&added.model, &added.revision),
        count(added.files, "file"),
        size(added.bytes)
    );
    let how = format!("({new}) in {}", duration(took));
    let breaks = width.is_some_and(|width| what.len() + 1 + how.len() > width);
    format!("{what}{}{how}\n", if breaks { "\n  " } else { " " })
}

/// A file's name says what it is. A directory's often does not: it may be `snapshot` or a hash.
fn name_of(path: &Path) -> Result<ModelId, Failure> {
    let stem = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
    if !path.is_dir()
        && let Some(name) = stem(path).and_then(|stem| stem.parse().ok())
    {
        return Ok(name);
    }
    let called = std::path::absolute(path).ok().and_then(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.parse::<ModelId>().ok()
    });
    let example = called.map_or("org/name".to_owned(), |name| format!("org/{name}"));
    Err(Failure::usage("what should the model be called?")
        .hint(format!("say it with --name, for example --name {example}")))
}
