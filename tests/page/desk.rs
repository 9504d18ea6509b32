//! A browser in front of a server.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tonnage::store::Store;

use crate::bench::{Bench, Mirror};
use crate::browser::Browser;
use crate::support::{add, write_tree};

const BASE: &str = "/api/tonnage/v1";

/// A hub, a store, a server between, and a browser at its page.
pub struct Desk {
    pub browser: Browser,
    pub mirror: Mirror,
    pub store: Arc<Store>,
    pub bench: Bench,
}

impl Desk {
    /// At the page of a store that `fill` has put something into. None where there is no browser.
    pub fn new(fill: impl FnOnce(&Bench, &Store)) -> Option<Self> {
        let browser = Browser::new()?;
        let bench = Bench::new();
        let store = bench.store();
        Some(Self::with(browser, bench, store, fill))
    }

    /// The same of a store that may be anywhere.
    pub fn with(
        browser: Browser,
        bench: Bench,
        store: Arc<Store>,
        fill: impl FnOnce(&Bench, &Store),
    ) -> Self {
        fill(&bench, &store);
        let mirror = Mirror::start(store.clone(), bench.options());
        browser.open(&mirror.url);
        Self { browser, mirror, store, bench }
    }

    /// What the server says, as another page of it would hear it.
    pub fn look(&self, path: &str) -> Value {
        self.mirror.get(&format!("{BASE}{path}")).json()
    }

    /// Sets the limit of the store, as another page would.
    pub fn limit(&self, max_bytes: u64) {
        let body = json!({ "max_bytes": max_bytes }).to_string();
        let len = body.len().to_string();
        let headers = [
            ("x-tonnage", "1"),
            ("content-type", "application/json"),
            ("content-length", len.as_str()),
        ];
        let mut client = self.mirror.client();
        self.mirror.send(&mut client, "PUT", &format!("{BASE}/space/limit"), &headers);
        client.write(&body);
        assert_eq!(client.reply("PUT").status, 200);
    }

    /// Fails if the page had anything to complain of.
    pub fn is_content(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}

/// Adds a model of some files, and gives back `org/name@revision`.
pub fn put(bench: &Bench, store: &Store, model: &str, files: &[(&str, &[u8])]) -> String {
    let dir = bench.dir(&model.replace('/', "-"));
    write_tree(&dir, files);
    format!("{model}@{}", add(store, &dir, model).revision)
}

/// The row of a model.
pub fn row(model: &str) -> String {
    format!("#models tbody[data-model={}]", json!(model))
}

/// The card of the newest download of a model.
pub fn card(model: &str) -> String {
    format!("#downloads li[data-model={}]", json!(model))
}

/// Has all models look as if nobody had used them since the epoch.
pub fn age(store: &Path) {
    for entry in std::fs::read_dir(store.join("used")).unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
}
