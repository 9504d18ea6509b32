//! `tonnage pull`

mod lines;
pub mod report;
mod watched;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use tonnage::error::{ErrorKind, PullError};
use tonnage::hub::{
    self, Client, Estimate, Plan, PullProgress, PullRequest, Pulled, RateLimit, RepoKind, Selection,
};
use tonnage::model::ModelSpec;
use tonnage::space;
use tonnage::store::{Lease, Resolved, Store};
use tonnage::views::{ViewOptions, checkout, managed};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::hub_args::HubArgs;
use crate::names;
use crate::rm;
use crate::watch::{watch, watch_as};
use report::Report;
use watched::Watching;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage pull org/name
  tonnage pull org/name-GGUF --quant Q4_K_M
  tonnage pull org/name@v1.0 --include '*.safetensors' --include '*.json'
  tonnage pull org/name --dry-run

What is here already is not fetched again, and what an interrupted pull
fetched is kept for the next. The hub is HF_ENDPOINT, or what config.toml says
(`tonnage config`); a token comes from --token, HF_TOKEN or the file that
`hf auth login` writes.")]
pub struct Args {
    /// The model or a short name for one (`tonnage names`), and behind an @ a branch, a tag, refs/pr/N or a commit
    model: ModelSpec,
    /// Only files that match; `*` is any characters
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// No files that match
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Of GGUF files only this quantization's, split files and mmproj included
    #[arg(long, value_name = "NAME")]
    quant: Option<String>,
    /// Put the files here, too, as `checkout` does
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// How many connections fetch at once, and threads at most digest what comes
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Bytes a second at most, such as 10MB
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit_rate: Option<NonZeroU64>,
    /// Say what would be fetched, and fetch nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask no hub: answer from the store
    #[arg(long, conflicts_with = "dry_run")]
    offline: bool,
    /// What kind of repository it is
    #[arg(long = "type", value_name = "TYPE", default_value = "model", alias = "repo-type")]
    kind: Kind,
    #[command(flatten)]
    hub: HubArgs,
    /// With --json, a line each second that tells how far it is
    #[arg(long, requires = "json")]
    events: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Model,
    Dataset,
    Space,
}

/// `10MB`, `500KiB`, with or without `/s`.
fn rate(text: &str) -> Result<NonZeroU64, String> {
    let number = text.trim().trim_end_matches("/s").parse::<bytesize::ByteSize>()?;
    NonZeroU64::new(number.as_u64()).ok_or_else(|| "nothing would ever come".to_owned())
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let kind = match args.kind {
        Kind::Model => RepoKind::of(&args.model.model),
        Kind::Dataset => RepoKind::Dataset,
        Kind::Space => RepoKind::Space,
    };
    let model = kind.apply(&args.model.model).map_err(|e| Failure::usage(e.to_string()))?;
    let spec = ModelSpec { model, at: args.model.at.clone() };
    let began = Instant::now();
    let client = Client::new(args.hub.config(args.offline, context)?)?;
    if client.is_offline() {
        let store = context.read()?;
        let spec = names::expand(context, &store, &spec)?;
        let revision = store.resolve(&spec).map_err(|e| {
            let found = Failure::from(e);
            let hint = "pull it without --offline and without HF_HUB_OFFLINE";
            if found.kind == ErrorKind::NotFound { found.hint(hint) } else { found }
        })?;
        return finish(&args, context, &store, &revision, Report::offline(&revision, began));
    }
    let store = Arc::new(context.fill()?);
    let spec = names::expand(context, &store, &spec)?;
    let request = PullRequest {
        model: spec.model,
        revision: spec.at,
        selection: Selection {
            include: args.include.clone(),
            exclude: args.exclude.clone(),
            quant: args.quant.clone(),
        },
        jobs: args.jobs.into(),
        limit: args.limit_rate.map(|rate| Arc::new(RateLimit::new(rate))),
    };
    if args.dry_run {
        let (plan, estimates) = plan(context, &store, &client, &request)?;
        let room = space::room_for(&store, plan.new_bytes())?;
        let object = report::plan_object(&plan, &estimates, room.as_ref());
        let text = || report::plan_text(&plan, &estimates, room.as_ref(), &context.out);
        context.out.result(&object, text);
        return Ok(Exit::Done);
    }
    let events = args.events.then_some(&context.out);
    // Held until its views are made.
    let (pulled, _lease) = fetch(context, &store, &client, &request, events)?;
    rm::tell_evicted(context, &pulled.evicted);
    let report = Report::pulled(&pulled, began);
    let Pulled { revision, .. } = pulled;
    finish(&args, context, &store, &revision, report)
}

/// What a pull would fetch, and what that would take on this disk.
pub fn plan(
    context: &Context,
    store: &Arc<Store>,
    client: &Client,
    request: &PullRequest,
) -> Result<(Plan, Vec<Estimate>), Failure> {
    let jobs = request.jobs;
    drive(context, jobs, None, async |progress| {
        let plan = hub::plan(store.clone(), client, request, progress).await?;
        let estimates = hub::estimate(store.clone(), client, &plan, jobs, progress).await?;
        Ok::<_, PullError>((plan, estimates))
    })
}

/// Fetches it; the lease keeps it from being evicted before its first use.
pub fn fetch(
    context: &Context,
    store: &Arc<Store>,
    client: &Client,
    request: &PullRequest,
    events: Option<&crate::out::Out>,
) -> Result<(Pulled, Lease), Failure> {
    drive(context, request.jobs, events, async |progress| {
        hub::pull_and_hold(store.clone(), client, request, progress).await
    })
}

/// Runs what talks to the hub, with what a person sees of it meanwhile; at most `jobs` files are
/// under way at once.
pub fn drive<T, E: Into<Failure>>(
    context: &Context,
    jobs: usize,
    events: Option<&crate::out::Out>,
    work: impl AsyncFnOnce(&Arc<PullProgress>) -> Result<T, E>,
) -> Result<T, Failure> {
    // A connection keeps one thread busy at most.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|e| Failure::new(ErrorKind::Failure, format!("cannot start threads: {e}")))?;
    let progress = Arc::new(PullProgress::new());
    let watching = Watching::new(progress.clone(), context, events, jobs);
    watch_as(context, &watching, || runtime.block_on(work(&progress))).map_err(Into::into)
}

/// The views, and what came of it all.
fn finish(
    args: &Args,
    context: &Context,
    store: &Store,
    revision: &Resolved,
    report: Report,
) -> Result<Exit, Failure> {
    let options = ViewOptions::default();
    let mut view =
        watch(context, "linking", |progress| managed(store, revision, options, progress))?;
    if let Some(dir) = &args.to {
        view = watch(context, "checking out", |progress| {
            checkout(store, revision, dir, options, progress)
        })?;
    }
    let object = report.object(&view);
    context.out.summary(&object, || report.text(&view, context.out.width));
    Ok(Exit::Done)
}
