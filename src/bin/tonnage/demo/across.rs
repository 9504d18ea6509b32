//! From one store to another: served, planned, pulled, verified.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use tonnage::hub::{Client, Config, PullRequest, Pulled, RateLimit, Selection};
use tonnage::progress::Progress;
use tonnage::store::{Access, Store};
use tonnage::verify::{Level, verify};
use tonnage::views::{ViewOptions, managed};

use super::serving::Serving;
use super::{Demo, SEVERAL, id, must};
use crate::fail::Failure;
use crate::pull::report::{self, Report};
use crate::text::{count, size};
use crate::{pull, verify as verify_command};

/// The one quantization of several that is wanted.
const WANTED: &str = "Q4_K_M";
/// So many bytes a second come where somebody looks: at full speed it is over before there is a bar.
const SLOW: u64 = 800_000;

impl Demo<'_> {
    pub(super) fn pull(&mut self) -> Result<(), Failure> {
        self.title("Serve this store, and pull one quantization from it into an empty one")?;
        let serving = self.timed("serve the store", |demo| Serving::start(demo.store.clone()))?;
        let store = Arc::new(Store::open(self.path("second"), Access::Write)?);
        let out = &self.context.out;
        let rate = if out.draws() { NonZeroU64::new(SLOW) } else { None };
        let (pulling, slowed) = match rate {
            Some(rate) => (
                "pull, slowed down",
                format!("; slowed down to {}/s, to be seen", size(rate.get())),
            ),
            None => ("pull", String::new()),
        };
        self.say(&format!("served at {}{slowed}\n", serving.url));
        // Nothing of the environment: no token, no proxy, no other hub.
        let client = Client::new(Config { endpoint: serving.url.clone(), ..Config::default() })?;
        let request = PullRequest {
            selection: Selection { quant: Some(WANTED.to_owned()), ..Selection::default() },
            limit: rate.map(|rate| Arc::new(RateLimit::new(rate))),
            ..PullRequest::new(id(SEVERAL)?)
        };
        let (plan, estimates) =
            self.timed("plan a pull", |demo| pull::plan(demo.context, &store, &client, &request))?;
        self.say(&report::plan_text(&plan, &estimates, None, out));
        let began = Instant::now();
        let (pulled, _lease) =
            self.timed(pulling, |demo| pull::fetch(demo.context, &store, &client, &request, None))?;
        let told = Report::pulled(&pulled, began);
        serving.stop()?;
        let view = self.timed("make its view", |_| {
            managed(&store, &pulled.revision, ViewOptions::default(), &Progress::new())
        })?;
        self.say(&told.line(&view, out.width));
        let began = Instant::now();
        let revisions = std::slice::from_ref(&pulled.revision);
        let verified = self.timed("verify what came, full", |_| {
            verify(&store, revisions, Level::Full, &Progress::new())
        })?;
        self.say(&verify_command::describe(&verified, began.elapsed(), out));
        must(pulled.fetched_bytes == plan.new_bytes(), "what crosses is what the plan said")?;
        must(verified.hashed_bytes == plan.total_bytes(), "all that came is read again")?;
        must(verified.damaged.is_empty(), "what came is whole")?;
        must(self.is_same(&store, &pulled)?, "what came has the hashes that it left with")?;
        self.crossed = format!(
            "{} crossed from store to store, as planned; {} there, all whole.\n",
            size(pulled.fetched_bytes),
            count(verified.checked_files, "file")
        );
        let object = report::plan_object(&plan, &estimates, None);
        self.report.plan = serde_json::to_value(object).unwrap_or_default();
        self.report.pull = told.object(&view);
        self.report.arrived = verify_command::to_json(&verified);
        Ok(())
    }

    /// Whether each file that was pulled is the blob that the first store has of it.
    fn is_same(&self, store: &Store, pulled: &Pulled) -> Result<bool, Failure> {
        let left = self.store.manifest(&self.find(SEVERAL)?)?;
        let came = store.manifest(&pulled.revision)?;
        let is_same =
            |path, blob| left.files().iter().any(|one| (&one.path, one.blob) == (path, blob));
        Ok(came.files().iter().all(|file| is_same(&file.path, file.blob)))
    }
}
