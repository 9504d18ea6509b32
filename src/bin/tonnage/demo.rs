//! `tonnage demo`: every promise once, in a temporary directory, in a second or two.

mod across;
mod files;
mod report;
mod serving;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tonnage::error::{ErrorKind, StoreError};
use tonnage::model::{ModelId, RefName};
use tonnage::progress::Progress;
use tonnage::space::{RemoveOptions, remove, usage};
use tonnage::store::{Access, AddOptions, Added, Resolved, Store, Take};
use tonnage::verify::{Level, Verified, verify};
use tonnage::views::{ViewOptions, checkout};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::table::Table;
use crate::text::{count, duration, size};
use crate::{checkout as checkout_command, du, rm, verify as verify_command};
use files::{FlippedBit, QUANTIZATIONS};
use report::Report;

/// The model that holds several quantizations, and which.
const SEVERAL: &str = "demo/tiny-llama-GGUF";
const HELD: [&str; 3] = ["Q4_K_M", "Q6_K", "Q8_0"];
/// The one whose blob is damaged, and which is removed though another one needs its weights.
const LARGEST: &str = "demo/tiny-llama-Q8_0";
/// One that shares no weights.
const ALONE: &str = "demo/tiny-llama-Q5_K_M";
/// The one that is checked out.
const CHOSEN: &str = "demo/tiny-llama-Q4_K_M";
/// In the blob's second MiB.
const DAMAGED_BYTE: u64 = (1 << 20) + 4242;

#[derive(clap::Args)]
#[command(after_help = "Example:
  tonnage demo --keep

It uses no network but this machine's own, and no stores but its own two in a
temporary directory. On a terminal its pull is slowed down, so that it can be
seen. With --json it prints one object, with what `du`, `checkout`, `verify`,
`rm`, `pull --dry-run` and `pull` say, and the time of each step.")]
pub struct Args {
    /// Leave the temporary directory there
    #[arg(long)]
    keep: bool,
}

struct Demo<'c> {
    context: &'c Context,
    dir: TempDir,
    store: Arc<Store>,
    steps: Vec<(&'static str, Duration)>,
    /// What the pull came to, said at the end.
    crossed: String,
    report: Report,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    context.interrupt.catch();
    let failed = |e| Failure::new(ErrorKind::Failure, format!("no temporary directory: {e}"));
    let mut dir = tempfile::Builder::new().prefix("tonnage-demo-").tempdir().map_err(failed)?;
    dir.disable_cleanup(args.keep);
    let began = Instant::now();
    let store = Arc::new(Store::open(dir.path().join("store"), Access::Write)?);
    let steps = vec![("make a store", began.elapsed())];
    let mut demo =
        Demo { context, dir, store, steps, crossed: String::new(), report: Report::default() };
    demo.add()?;
    demo.measure()?;
    demo.check_out()?;
    demo.verify()?;
    demo.damage()?;
    demo.remove()?;
    demo.pull()?;
    demo.end(args.keep);
    Ok(Exit::Done)
}

impl Demo<'_> {
    fn say(&self, text: &str) {
        self.context.out.say(text);
    }

    fn title(&self, text: &str) -> Result<(), Failure> {
        if self.context.interrupt.asked() {
            return Err(StoreError::Cancelled.into());
        }
        self.say(&format!("\n{}\n", self.context.out.bold(text)));
        Ok(())
    }

    /// Does a step and notes how long it took.
    fn timed<T, E: Into<Failure>>(
        &mut self,
        what: &'static str,
        step: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let done = step(self).map_err(Into::into)?;
        self.steps.push((what, began.elapsed()));
        Ok(done)
    }

    fn find(&self, model: &str) -> Result<Resolved, Failure> {
        Ok(self.store.resolve(&id(model)?.into())?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn add(&mut self) -> Result<(), Failure> {
        self.say("A store in a temporary directory; no other machine is asked.\n");
        self.title("Add six quantizations, then one model that holds three of them")?;
        let mut sources = Vec::new();
        for (name, _) in QUANTIZATIONS {
            sources.push((format!("demo/tiny-llama-{name}"), self.path(name)));
            files::write(&self.path(name), |other| other == name).map_err(cannot_write)?;
        }
        sources.push((SEVERAL.to_owned(), self.path("several")));
        files::write(&self.path("several"), |name| HELD.contains(&name)).map_err(cannot_write)?;
        let added = self.timed("add seven models", |demo| {
            sources
                .iter()
                .map(|(model, source)| demo.add_one(model, source))
                .collect::<Result<Vec<_>, Failure>>()
        })?;
        let mut table = Table::new(&["MODEL", ">FILES", ">SIZE", ">NEW", ">TIME"]);
        let (mut bytes, mut new) = (0, 0);
        for (added, took) in &added {
            let Added { files, bytes: all, new_bytes, .. } = added;
            let cells = [files.to_string(), size(*all), size(*new_bytes), duration(*took)];
            table.row(std::iter::once(added.model.to_string()).chain(cells));
            bytes += all;
            new += new_bytes;
        }
        table.row(["in all".to_owned(), String::new(), size(bytes), size(new), String::new()]);
        self.say(&table.render(&self.context.out));
        (self.report.added_bytes, self.report.new_bytes) = (bytes, new);
        Ok(())
    }

    fn add_one(&self, model: &str, source: &Path) -> Result<(Added, Duration), Failure> {
        let options = AddOptions {
            model: id(model)?,
            reference: RefName::main(),
            take: Take::Auto,
            follow_links: false,
            sha256: false,
        };
        let began = Instant::now();
        let added = self.store.add(source, &options, &Progress::new())?;
        Ok((added, began.elapsed()))
    }

    fn measure(&mut self) -> Result<(), Failure> {
        self.title("What that takes")?;
        let usage = self.timed("measure", |demo| usage(&demo.store))?;
        self.say(&du::describe(&usage, &self.context.out));
        self.report.apparent = usage.apparent;
        self.report.exclusive = usage.exclusive;
        self.report.shared = usage.shared;
        self.report.physical = usage.physical;
        Ok(())
    }

    fn check_out(&mut self) -> Result<(), Failure> {
        self.title(&format!("Two directory trees of {CHOSEN}"))?;
        let revision = self.find(CHOSEN)?;
        for (name, step, writable) in
            [("read-only", "check out read-only", false), ("writable", "check out writable", true)]
        {
            let options = ViewOptions { writable, ..ViewOptions::default() };
            let view = self.timed(step, |demo| {
                checkout(&demo.store, &revision, &demo.path(name), options, &Progress::new())
            })?;
            self.say(&format!(
                "{name:<9}  {}, {} ({})\n",
                count(view.files, "file"),
                size(view.bytes),
                checkout_command::ways(&view)
            ));
            self.report.checkouts.push(checkout_command::to_json(&view));
        }
        self.say("A hardlink takes no space. Small files are copied: people edit them.\n");
        Ok(())
    }

    fn look(&mut self, step: &'static str, level: Level) -> Result<Verified, Failure> {
        let mut revisions = Vec::new();
        for listed in self.store.list()? {
            revisions.push(self.find(listed.model.as_str())?);
        }
        let verified =
            self.timed(step, |demo| verify(&demo.store, &revisions, level, &Progress::new()))?;
        let what = if level == Level::Full { "full" } else { "quick" };
        let found = match verified.damaged.len() as u64 {
            0 => "all whole".to_owned(),
            number => self.context.out.red(&format!("{} damaged", count(number, "file"))),
        };
        self.say(&format!(
            "{what:<5}  {}, {} read: {found}\n",
            count(verified.checked_files, "file"),
            size(verified.hashed_bytes)
        ));
        Ok(verified)
    }

    fn verify(&mut self) -> Result<(), Failure> {
        self.title("Verify: the quick way looks at fingerprints, the full way reads")?;
        let quick = self.look("verify, quick", Level::Quick)?;
        let full = self.look("verify, full", Level::Full)?;
        must(quick.damaged.is_empty() && full.damaged.is_empty(), "fresh files are whole")
    }

    fn damage(&mut self) -> Result<(), Failure> {
        self.title("One bit of a stored file flips, as disks do")?;
        let manifest = self.store.manifest(&self.find(LARGEST)?)?;
        let blob = manifest.files().iter().max_by_key(|file| file.size).map(|file| file.blob);
        let blob = blob.map(|blob| blob.to_string()).unwrap_or_default();
        let path = self.store.path().join("blobs").join(blob);
        let bit = FlippedBit::new(path, DAMAGED_BYTE).map_err(cannot_write)?;
        let quick = self.look("verify the damage, quick", Level::Quick)?;
        let full = self.look("verify the damage, full", Level::Full)?;
        for damaged in &full.damaged {
            self.say(&verify_command::damage(damaged, &self.context.out));
        }
        bit.put_back().map_err(cannot_write)?;
        self.say("The bit is put back:\n");
        let after = self.look("verify again, full", Level::Full)?;
        self.report.damage = verify_command::to_json(&full);
        must(quick.damaged.is_empty(), "a quick look does not see a flipped bit")?;
        must(full.damaged.len() == 2, "a full look finds it in both models")?;
        must(after.damaged.is_empty(), "the bit is back")
    }

    fn remove(&mut self) -> Result<(), Failure> {
        self.title("Remove two models; what others need stays")?;
        for (model, step) in
            [(LARGEST, "remove one that shares"), (ALONE, "remove one that shares nothing")]
        {
            let revision = self.find(model)?;
            let freed = self
                .timed(step, |demo| remove(&demo.store, &[revision], RemoveOptions::default()))?;
            self.say(&format!("{model:<22}  freed {}\n", size(freed.freed_bytes)));
            self.report.removed.push(rm::to_json(&freed));
        }
        let found = self.timed("check the store's books", |demo| demo.store.fsck())?;
        must(found.problems.is_empty(), "the store is whole at the end")
    }

    fn end(mut self, keep: bool) {
        let out = &self.context.out;
        let total = self.steps.iter().map(|(_, took)| *took).sum();
        let mut table = Table::new(&["WHERE THE TIME WENT", ">TIME"]);
        for (what, took) in &self.steps {
            table.row([(*what).to_owned(), duration(*took)]);
        }
        table.row(["in all".to_owned(), duration(total)]);
        let text = format!("\n{}\n{}", table.render(out), self.crossed);
        let steps = self.steps.iter().map(
            |(what, took)| json!({ "step": what, "ms": (took.as_secs_f64() * 1e6).round() / 1e3 }),
        );
        self.report.steps = steps.collect();
        self.report.kept = keep.then(|| self.dir.path().to_string_lossy().into_owned());
        out.summary(&self.report, || text);
        match &self.report.kept {
            Some(path) => self.say(&format!(
                "Kept: tonnage --store {path}/store ls\n\
                 and   tonnage --store {path}/second ls\n"
            )),
            None => self.say(
                "The directory is gone again. To begin: tonnage pull org/name\n\
                 or tonnage add DIR --name org/name\n",
            ),
        }
    }
}

fn id(model: &str) -> Result<ModelId, Failure> {
    model.parse().map_err(|e| Failure::usage(format!("{e}")))
}

fn cannot_write(e: std::io::Error) -> Failure {
    Failure::new(ErrorKind::Failure, format!("cannot write in the temporary directory: {e}"))
}

/// The demonstration shows what is so: anything else is a defect of the program.
fn must(so: bool, promise: &str) -> Result<(), Failure> {
    if so {
        return Ok(());
    }
    Err(Failure::new(ErrorKind::Failure, format!("a promise did not hold: {promise}"))
        .hint("please report this, with the file system that the temporary directory is on"))
}
