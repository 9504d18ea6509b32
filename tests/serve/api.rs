//! The API that looks after the store, and the page that uses it.

mod downloads;
mod events;
mod manners;
mod models;
mod space;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tonnage::serve::{Options, Tokens};
use tonnage::store::Store;

use crate::bench::{Bench, MIB, Mirror, PATIENCE, WEIGHTS};
use crate::client::{Client, Reply, bytes};
use crate::hub::{At, Fault, FaultHandle, On, What};
use crate::support::{add, in_mode, manifest, resolve, view, write_tree};

const BASE: &str = "/api/tonnage/v1";
const PROOF: (&str, &str) = ("x-tonnage", "1");

impl Mirror {
    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.call_text(method, &format!("{BASE}{path}"), &body)
    }

    fn call_text(&self, method: &str, path: &str, body: &str) -> Reply {
        let len = body.len().to_string();
        let mut headers = vec![PROOF, ("content-length", len.as_str())];
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        let mut client = self.client();
        self.send(&mut client, method, path, &headers);
        client.write(body);
        client.reply(method)
    }

    /// What a call says that must succeed.
    fn told(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let reply = self.call(method, path, body);
        assert!(matches!(reply.status, 200 | 201), "{path}: {} {}", reply.head, reply.text());
        reply.json()
    }

    fn look(&self, path: &str) -> Value {
        self.told("GET", path, None)
    }

    fn models(&self) -> Vec<String> {
        let models = self.look("/models");
        names(&models["models"], "model")
    }

    fn listen(&self) -> Events {
        let mut client = self.client();
        self.send(&mut client, "GET", &format!("{BASE}/events"), &[]);
        let head = client.reply("HEAD");
        assert_eq!(head.header("content-type"), Some("text/event-stream"), "{}", head.head);
        Events { client, text: String::new(), last: Instant::now() }
    }
}

/// Fails unless it is an error of this status and kind, as this API tells it.
fn is_problem(reply: &Reply, status: u16, kind: &str) {
    assert_eq!(reply.status, status, "{} {}", reply.head, reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let error = reply.json()["error"].clone();
    assert_eq!(error["kind"], kind, "{error}");
    assert!(error["message"].is_string() && error.get("hint").is_some());
}

/// Events as they come.
struct Events {
    client: Client,
    text: String,
    /// When something was told last.
    last: Instant,
}

impl Events {
    /// The next event; `None` when no more will come.
    fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                let Some(event) = field("event: ") else { continue };
                let data = serde_json::from_str(field("data: ").unwrap()).unwrap();
                return Some((event.to_owned(), data));
            }
            let chunk = self.chunk();
            if chunk.is_empty() {
                return None;
            }
            // Something comes now and then although nothing happens.
            assert!(self.last.elapsed() < PATIENCE, "nothing happens");
            if chunk != b":\n\n" {
                self.last = Instant::now();
                self.text += std::str::from_utf8(&chunk).unwrap();
            }
        }
    }

    fn chunk(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.client.read(1));
        }
        let len = std::str::from_utf8(&line).unwrap().trim();
        let mut chunk = self.client.read(usize::from_str_radix(len, 16).unwrap() + 2);
        chunk.truncate(chunk.len() - 2);
        chunk
    }

    /// The first event of this name that is as wanted.
    fn until(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (event, data) = self.next().unwrap();
            if event == name && wanted(&data) {
                return data;
            }
            assert!(began.elapsed() < PATIENCE, "no {name} as it is wanted: {data}");
        }
    }

    /// Waits for the first download to be in a state.
    fn download(&mut self, state: &str) -> Value {
        let is = |data: &Value| data["downloads"][0]["state"] == state;
        self.until("downloads", is)["downloads"][0].clone()
    }
}

fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

/// A spec as one segment of a path.
fn segment(spec: &str) -> String {
    spec.replace('/', "%2F").replace('@', "%40")
}

/// Adds a model of one file, and returns `org/name@revision`.
fn put(bench: &Bench, store: &Store, model: &str, weights: &[u8]) -> String {
    let dir = bench.dir(&model.replace('/', "-"));
    write_tree(&dir, &[("config.json", model.as_bytes()), ("model.bin", weights)]);
    format!("{model}@{}", add(store, &dir, model).revision)
}

/// A mirror whose store has `org/a`, which was used long ago, and `org/b`.
fn two() -> (Bench, Arc<Store>, Mirror, [String; 2]) {
    let bench = Bench::new();
    let store = bench.store();
    let specs = [("org/a", 1), ("org/b", 2)]
        .map(|(name, seed)| put(&bench, &store, name, &bytes(seed, MIB)));
    age(store.path());
    put(&bench, &store, "org/b", &bytes(2, MIB));
    let mirror = Mirror::start(store.clone(), bench.options());
    (bench, store, mirror, specs)
}

/// Has all models look as if nobody had used them since the epoch.
fn age(store: &Path) {
    for entry in std::fs::read_dir(store.join("used")).unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
}

/// A mirror and a hub that gives half of a large file and then nothing more.
fn stuck() -> (Bench, Mirror, FaultHandle, Vec<u8>) {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(40 * MIB);
    let stall = What::Stall(At::File(20 * MIB as u64));
    let fault = bench.hub.fault(Fault::new(On::Cdn, stall).forever());
    let mirror = bench.serve();
    (bench, mirror, fault, weights)
}

fn model() -> Option<Value> {
    Some(json!({ "model": "org/name" }))
}
