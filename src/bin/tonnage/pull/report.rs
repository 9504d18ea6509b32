//! What came of a pull, and what one would do.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tonnage::digest::{GitSha1, Sha256, Upstream};
use tonnage::hub::{Estimate, FileState, Plan, PlannedFile, Pulled};
use tonnage::model::{FilePath, ModelId, RefName, Revision};
use tonnage::space::{Evicted, Gone};
use tonnage::store::Resolved;
use tonnage::views::View;

use crate::checkout;
use crate::listing;
use crate::out::Out;
use crate::rm;
use crate::table::Table;
use crate::text::{count, duration, plain, size};

pub struct Report {
    model: ModelId,
    revision: Revision,
    reference: Option<RefName>,
    fetched: u64,
    reused: u64,
    shared: u64,
    evicted: Vec<Gone>,
    offline: bool,
    took: Duration,
}

impl Report {
    pub fn pulled(pulled: &Pulled, began: Instant) -> Self {
        Self {
            model: pulled.revision.model.clone(),
            revision: pulled.revision.revision.clone(),
            reference: pulled.reference.clone(),
            fetched: pulled.fetched_bytes,
            reused: pulled.reused_bytes,
            shared: pulled.shared_bytes,
            evicted: pulled.evicted.clone(),
            offline: false,
            took: began.elapsed(),
        }
    }

    /// The store had it, and nobody was asked.
    pub fn offline(revision: &Resolved, began: Instant) -> Self {
        Self {
            model: revision.model.clone(),
            revision: revision.revision.clone(),
            reference: None,
            fetched: 0,
            reused: 0,
            shared: 0,
            evicted: Vec::new(),
            offline: true,
            took: began.elapsed(),
        }
    }

    pub fn object(&self, view: &View) -> Value {
        let mut object = checkout::to_json(view);
        let more = json!({
            "model": self.model,
            "revision": self.revision,
            "ref": self.reference,
            "fetched_bytes": self.fetched,
            "reused_bytes": if self.offline { view.bytes } else { self.reused },
            "shared_bytes": self.shared,
            "evicted": rm::names(&self.evicted),
            "seconds": self.took.as_secs_f64(),
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        object
    }

    /// The path has a line of its own: it is what people copy.
    pub fn text(&self, view: &View, width: Option<usize>) -> String {
        let path = view.path.to_string_lossy();
        format!("{}{}\n", self.line(view, width), plain(&path))
    }

    /// What came, without where it is.
    pub fn line(&self, view: &View, width: Option<usize>) -> String {
        let mut what = match (self.offline, self.fetched, self.reused) {
            (true, ..) => "here, and no hub was asked".to_owned(),
            (_, 0, _) => "nothing to fetch".to_owned(),
            (_, fetched, 0) => format!("{} fetched", size(fetched)),
            (_, fetched, reused) => format!("{} fetched, {} reused", size(fetched), size(reused)),
        };
        if self.shared > 0 {
            what = format!("{what}, {} of it shared on disk", size(self.shared));
        }
        let name = listing::name(&self.model, &self.revision);
        let how = format!("{what}, {} in {}", count(view.files, "file"), duration(self.took));
        let breaks = width.is_some_and(|width| name.len() + 2 + how.len() > width);
        format!("{name}:{}{how}\n", if breaks { "\n  " } else { " " })
    }
}

/// The plan as an object. It is written file by file: of a long list no second one is made.
#[derive(Serialize)]
struct PlanObject<'p> {
    model: &'p ModelId,
    revision: &'p Revision,
    #[serde(serialize_with = "each")]
    files: &'p [PlannedFile],
    /// Of files that have tensors and are not here, from their headers.
    estimates: Vec<Value>,
    total_bytes: u64,
    have_bytes: u64,
    new_bytes: u64,
    /// What would have to go to make room.
    evicted: Vec<Value>,
}

#[derive(Serialize)]
struct FileObject<'p> {
    path: &'p FilePath,
    size: u64,
    sha256: Option<&'p Sha256>,
    git: Option<&'p GitSha1>,
    state: &'static str,
    have: u64,
}

fn each<S: Serializer>(files: &&[PlannedFile], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(files.iter().map(|file| {
        let (sha256, git) = match &file.upstream {
            Upstream::Sha256(digest) => (Some(digest), None),
            Upstream::Git(digest) => (None, Some(digest)),
        };
        let (state, have) = state(&file.state, file.size);
        FileObject { path: &file.path, size: file.size, sha256, git, state, have }
    }))
}

/// What a pull would fetch, for a program.
pub fn plan_object<'p>(
    plan: &'p Plan,
    estimates: &[Estimate],
    room: Option<&Evicted>,
) -> impl Serialize + use<'p> {
    let estimate = |estimate: &Estimate| {
        json!({
            "path": estimate.path,
            "tensors": estimate.tensors,
            "tensors_here": estimate.tensors_here,
            "bytes_here": estimate.bytes_here,
            "new_disk_bytes": estimate.new_bytes,
        })
    };
    PlanObject {
        model: &plan.model,
        revision: &plan.commit,
        files: &plan.files,
        estimates: estimates.iter().map(estimate).collect(),
        total_bytes: plan.total_bytes(),
        have_bytes: plan.have_bytes(),
        new_bytes: plan.new_bytes(),
        evicted: rm::names(room.map_or(&[], |room| &room.freed.gone)),
    }
}

/// The same for a person: file by file and in all.
pub fn plan_text(plan: &Plan, estimates: &[Estimate], room: Option<&Evicted>, out: &Out) -> String {
    let mut table = Table::new(&["FILE", ">SIZE", ">TO FETCH"]);
    for file in &plan.files {
        let to_fetch = match state(&file.state, file.size) {
            ("here", _) => "here".to_owned(),
            (_, have) => size(file.size - have.min(file.size)),
        };
        table.row([file.path.to_string(), size(file.size), to_fetch]);
    }
    format!(
        "{}{}: {} of {} to fetch\n",
        table.render(out),
        listing::name(&plan.model, &plan.commit),
        size(plan.new_bytes()),
        size(plan.total_bytes())
    ) + &estimated(estimates, out)
        + &room.map_or_else(String::new, |room| rm::lines(&room.freed, true, "evict"))
}

/// What variants would cost on this disk.
fn estimated(estimates: &[Estimate], out: &Out) -> String {
    if estimates.iter().all(|estimate| estimate.tensors_here == 0) {
        return String::new();
    }
    let mut table = Table::new(&["FILE", ">TENSORS", ">HERE", ">BYTES HERE", ">NEW ON DISK"]);
    for estimate in estimates {
        table.row([
            estimate.path.to_string(),
            estimate.tensors.to_string(),
            estimate.tensors_here.to_string(),
            size(estimate.bytes_here),
            size(estimate.new_bytes),
        ]);
    }
    let all = estimates.iter().map(|estimate| estimate.new_bytes).sum();
    let about = "estimated from the files' headers: equal names, types and shapes";
    format!("\n{}{} new on disk; {about}\n", table.render(out), size(all))
}

fn state(state: &FileState, size: u64) -> (&'static str, u64) {
    match state {
        FileState::Here => ("here", size),
        FileState::Partial(have) => ("partial", *have),
        _ => ("missing", 0),
    }
}
