//! `tonnage ls`

use serde::Serialize;
use serde_json::json;
use tonnage::model::ModelSpec;
use tonnage::store::{Listed, Partial, Store, Trashed};
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
  tonnage ls
  tonnage ls org/name --json
  tonnage ls --partial
  tonnage ls --trash")]
pub struct Args {
    /// Only this model, or this revision of it
    model: Option<ModelSpec>,
    /// Downloads that are not complete; `pull` goes on with them
    #[arg(long, conflicts_with = "model")]
    partial: bool,
    /// What was removed and can be restored
    #[arg(long, conflicts_with_all = ["model", "partial"])]
    trash: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = context.read()?;
    if args.partial {
        return partials(&store, &context.out);
    }
    if args.trash {
        return trash(&store, &context.out);
    }
    let listed = match &args.model {
        Some(spec) => listing::find(&store, &names::expand(context, &store, spec)?)?,
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
    for one in listed.iter().filter(|one| one.degraded) {
        let name = listing::name(&one.model, &one.revision);
        context.out.note(&format!("{name} is degraded: a file of it is in quarantine"));
    }
    if listed.iter().any(|one| one.degraded) && !context.out.quiet {
        context.out.hint("`tonnage pull`, `tonnage add` and `tonnage verify --repair` mend it");
    }
    Ok(Exit::Done)
}

fn partials(store: &Store, out: &Out) -> Result<Exit, Failure> {
    let partials = store.partials()?;
    let object = |p: &Partial| {
        json!({
            "model": p.model,
            "revision": p.commit,
            "files": p.files,
            "size": p.bytes,
            "have": p.have,
            "last_change": text::time(p.last_change),
            "in_use": p.in_use,
        })
    };
    let objects: Vec<_> = partials.iter().map(object).collect();
    out.result(&json!({ "partial": objects }), || {
        if partials.is_empty() {
            return "no download is incomplete\n".to_owned();
        }
        let titles = ["MODEL", "REVISION", ">FILES", ">HAVE", ">OF", "LAST BYTES"];
        let mut table = Table::new(&titles);
        for p in &partials {
            let last = if p.in_use { "now".to_owned() } else { text::age(p.last_change) };
            table.row([
                p.model.to_string(),
                p.commit.short().to_owned(),
                p.files.to_string(),
                text::size(p.have),
                text::size(p.bytes),
                last,
            ]);
        }
        table.render(out)
    });
    Ok(Exit::Done)
}

fn trash(store: &Store, out: &Out) -> Result<Exit, Failure> {
    let trashed = store.trashed()?;
    let object = |t: &Trashed| {
        json!({
            "model": t.model,
            "revision": t.revision,
            "refs": t.refs,
            "files": t.files,
            "size": t.size,
            "until": text::time(t.until),
        })
    };
    let objects: Vec<_> = trashed.iter().map(object).collect();
    out.result(&json!({ "trash": objects }), || {
        if trashed.is_empty() {
            return "the trash is empty\n".to_owned();
        }
        let mut table = Table::new(&["MODEL", "REVISION", "REFS", ">FILES", ">SIZE", "GOES"]);
        for t in &trashed {
            table.row([
                t.model.to_string(),
                t.revision.short().to_owned(),
                listing::refs(&t.refs),
                t.files.to_string(),
                text::size(t.size),
                text::until(t.until),
            ]);
        }
        table.render(out)
    });
    Ok(Exit::Done)
}

/// The table that `demo` shows, too.
pub fn table(listed: &[Listed], out: &Out) -> String {
    if listed.is_empty() {
        return "nothing is here yet; `tonnage pull` and `tonnage add` bring models in\n"
            .to_owned();
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
