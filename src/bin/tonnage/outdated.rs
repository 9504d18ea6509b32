//! `tonnage outdated`

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tonnage::error::{ErrorKind, HubError};
use tonnage::hub::{self, Checked, Client, RefState, Retry, Update};
use tonnage::model::{ModelSpec, RefName};
use tonnage::store::{Listed, Store};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::hub_args::HubArgs;
use crate::table::Table;
use crate::text::{count, size};
use crate::{listing, names, pull};

/// Somebody waits for the answer, and asking again later is easy.
const ATTEMPTS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage outdated
  tonnage outdated org/name --json

Asks for each branch and tag that was pulled. FETCH is what `pull --dry-run`
would say; of a model that is here with some of its files only these count.
Commits never move, and what was added here has no hub: these are not asked
for. `pull` of what moved keeps the old revision, too.

Exit codes: 0 when every question was answered, also if something moved or is
gone from the hub; 6 when the hub did not answer or refused to; 3 when a model
is not in the store.")]
pub struct Args {
    /// Only these models, or the refs behind an @; else all
    models: Vec<ModelSpec>,
    #[command(flatten)]
    hub: HubArgs,
    /// Refuse, as every question to a hub is refused then
    #[arg(long, hide = true)]
    offline: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut config = args.hub.config(args.offline, context)?;
    config.retry = Retry { attempts: ATTEMPTS, patience: PATIENCE, ..config.retry };
    let client = Client::new(config)?;
    let store = Arc::new(context.read()?);
    let named = !args.models.is_empty();
    let listed = if named { pick(context, &store, &args.models)? } else { store.list()? };
    let checked = pull::drive(context, 1, None, async |progress| {
        hub::outdated(&store, &client, &listed, progress).await
    })?;
    let rows: Vec<_> = checked.iter().map(Row::new).collect();
    let objects: Vec<_> = rows.iter().map(Row::object).collect();
    context.out.result(&json!({ "models": objects }), || text(&rows, named, context));
    for note in rows.iter().filter_map(Row::note) {
        context.out.note(&note);
    }
    let open = rows.iter().any(|row| row.failure.is_some() && row.state != "gone");
    Ok(if open { Exit::Failed(ErrorKind::Hub) } else { Exit::Done })
}

/// What the store has of the named models, each with the refs that are meant.
fn pick(context: &Context, store: &Store, specs: &[ModelSpec]) -> Result<Vec<Listed>, Failure> {
    let mut picked: Vec<Listed> = Vec::new();
    for spec in specs {
        let spec = names::expand(context, store, spec)?;
        for mut one in listing::find(store, &spec)? {
            // Digits behind the @ mean all refs of that revision.
            if let Some(name) = spec.at.as_ref().filter(|name| one.refs.contains(name)) {
                one.refs = vec![name.clone()];
            }
            if !picked.contains(&one) {
                picked.push(one);
            }
        }
    }
    Ok(picked)
}

/// One ref, as both outputs tell of it.
struct Row<'c> {
    checked: &'c Checked,
    state: &'static str,
    upstream: Option<&'c str>,
    update: Option<&'c Update>,
    failure: Option<Failure>,
}

impl<'c> Row<'c> {
    fn new(checked: &'c Checked) -> Self {
        let mut row = Self { checked, state: "", upstream: None, update: None, failure: None };
        row.state = match &checked.state {
            RefState::Local => "local",
            RefState::Fixed => "fixed",
            RefState::Current => {
                row.upstream = Some(checked.here.as_str());
                "current"
            }
            RefState::Moved { commit, update } => {
                row.upstream = Some(commit.as_str());
                match update {
                    Ok(update) => row.update = Some(update),
                    Err(e) => row.failure = Some(e.into()),
                }
                "moved"
            }
            RefState::Gone(e) => row.failed("gone", e),
            RefState::Refused(e @ HubError::Gated { .. }) => row.failed("gated", e),
            RefState::Refused(e) => row.failed("refused", e),
            RefState::Unreachable(e) => row.failed("unreachable", e),
            _ => "unknown",
        };
        row
    }

    fn failed(&mut self, state: &'static str, e: &HubError) -> &'static str {
        self.failure = Some(e.clone().into());
        state
    }

    fn object(&self) -> Value {
        json!({
            "model": self.checked.model,
            "ref": self.checked.reference,
            "here": self.checked.here,
            "upstream": self.upstream,
            "state": self.state,
            "partial": self.update.map(|update| update.is_partial),
            "fetch_bytes": self.update.map(|update| update.plan.new_bytes()),
            "reuse_bytes": self.update.map(|update| update.plan.have_bytes()),
            "error": self.failure.as_ref().map(Failure::object),
        })
    }

    /// What does not fit into a table.
    fn note(&self) -> Option<String> {
        let name = format!("{}@{}", self.checked.model, self.reference());
        if let Some(failure) = &self.failure {
            let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            return Some(format!("{name}: {}{hint}", failure.message));
        }
        let update = self.update.filter(|update| update.is_partial)?;
        let files = count(update.plan.files.len() as u64, "file");
        Some(format!("{name} is here with some of its files; FETCH is for {files} of these names"))
    }

    fn reference(&self) -> &str {
        self.checked.reference.as_ref().map_or("-", RefName::as_str)
    }

    fn cells(&self) -> [String; 5] {
        let short = |digits: &str| digits.chars().take(12).collect();
        [
            self.checked.model.to_string(),
            self.reference().to_owned(),
            self.checked.here.short().to_owned(),
            match self.state {
                "moved" => self.upstream.map(short).unwrap_or_default(),
                state => state.to_owned(),
            },
            self.update.map_or("-".to_owned(), |update| size(update.plan.new_bytes())),
        ]
    }
}

/// What is not as it is here; of models that were named also what is.
fn text(rows: &[Row<'_>], named: bool, context: &Context) -> String {
    let mut table = Table::new(&["MODEL", "REF", "HERE", "UPSTREAM", ">FETCH"]);
    let is_shown = |row: &&Row<'_>| match row.state {
        "fixed" => false,
        "current" | "local" => named,
        _ => true,
    };
    let mut shown = rows.iter().filter(is_shown).peekable();
    if shown.peek().is_none() {
        return match rows.iter().filter(|row| row.state == "current").count() {
            0 => "nothing here follows a branch or tag of a hub\n".to_owned(),
            current => {
                format!("nothing is outdated: {} asked for\n", count(current as u64, "ref"))
            }
        };
    }
    shown.for_each(|row| table.row(row.cells()));
    table.render(&context.out)
}
