//! The API that looks after the store, and the page that uses it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tonnage::serve::{Options, Tokens};
use tonnage::store::Store;

use crate::bench::{Bench, MIB, Mirror, WEIGHTS};
use crate::client::{Client, Reply, bytes};
use crate::hub::{At, Fault, FaultHandle, On, What};
use crate::support::{add, in_mode, resolve, view, write_tree};

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
        Events { client, text: String::new() }
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
            self.text += std::str::from_utf8(&chunk).unwrap();
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
        loop {
            let (event, data) = self.next().unwrap();
            if event == name && wanted(&data) {
                return data;
            }
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

#[test]
fn a_download_is_planned_and_comes() {
    let bench = Bench::new();
    let (_, commit, weights) = bench.model(3 * MIB);
    let mirror = bench.serve();
    let plan = mirror.told("POST", "/plan", model());
    assert_eq!(
        (&plan["commit"], &plan["fits"], &plan["is_here"]),
        (&json!(commit), &json!("yes"), &json!(false))
    );
    assert_eq!(plan["new_bytes"], plan["total_bytes"]);
    assert_eq!(
        plan["files"][1],
        json!({ "path": "weights.bin", "size": 3 * MIB, "have": 0, "state": "missing" })
    );
    let only = json!({ "model": "org/name@main", "include": ["*.json"], "exclude": [] });
    assert_eq!(mirror.told("POST", "/plan", Some(only))["files"].as_array().unwrap().len(), 1);
    let mut events = mirror.listen();
    let begun = mirror.call("POST", "/downloads", model());
    assert_eq!(begun.status, 201);
    let done = events.download("done");
    assert_eq!((&done["id"], &done["revision"]), (&begun.json()["id"], &json!("main")));
    assert_eq!(
        (&done["bytes"], &done["total_bytes"]),
        (&plan["total_bytes"], &plan["total_bytes"])
    );
    assert_eq!(
        (&done["files"], &done["total_files"], &done["error"]),
        (&json!(2), &json!(2), &Value::Null)
    );
    assert_eq!(mirror.models(), ["org/name"]);
    assert_eq!(mirror.told("POST", "/plan", model())["is_here"], true);
    assert!(mirror.get(WEIGHTS).body == weights);
    assert_eq!(bench.sent(), weights.len() as u64);
}

#[test]
fn a_download_that_is_paused_goes_on_when_it_is_resumed() {
    let (_bench, mirror, fault, weights) = stuck();
    let mut events = mirror.listen();
    let id = &mirror.told("POST", "/downloads", model())["id"];
    events.until("downloads", |data| {
        data["downloads"][0]["bytes"].as_u64().unwrap_or(0) > MIB as u64
    });
    let paused = mirror.told("POST", &format!("/downloads/{id}/pause"), None);
    assert_eq!(paused["state"], "paused");
    fault.release();
    // Nobody works on it any more.
    events.until("downloads", |data| {
        let one = &data["downloads"][0];
        assert_ne!(one["state"], "done");
        one["state"] == "paused" && one["bytes_per_second"] == 0
    });
    mirror.told("POST", &format!("/downloads/{id}/resume"), None);
    events.download("done");
    assert!(mirror.get(WEIGHTS).body == weights);
    is_problem(&mirror.call("POST", &format!("/downloads/{id}/pause"), None), 409, "busy");
}

#[test]
fn a_download_that_is_cancelled_can_begin_again_under_its_id() {
    let (_bench, mirror, fault, weights) = stuck();
    let mut events = mirror.listen();
    let id = mirror.told("POST", "/downloads", model())["id"].clone();
    events.download("running");
    is_problem(&mirror.call("DELETE", &format!("/downloads/{id}"), None), 409, "busy");
    is_problem(&mirror.call("POST", &format!("/downloads/{id}/retry"), None), 409, "busy");
    let cancelled = mirror.told("POST", &format!("/downloads/{id}/cancel"), None);
    assert_eq!((&cancelled["state"], &cancelled["error"]), (&json!("cancelled"), &Value::Null));
    fault.release();
    assert_eq!(mirror.told("POST", &format!("/downloads/{id}/retry"), None)["id"], id);
    assert_eq!(events.download("done")["id"], id);
    assert!(mirror.get(WEIGHTS).body == weights);
}

#[test]
fn a_download_that_failed_says_why_and_is_forgotten_when_told() {
    let bench = Bench::new();
    bench.model(MIB);
    let mirror = bench.serve();
    let mut events = mirror.listen();
    let fault = bench.hub.fault(Fault::new(On::Info, What::status(500)).forever());
    let id = mirror.told("POST", "/downloads", model())["id"].clone();
    let failed = events.download("failed");
    assert_eq!((&failed["id"], &failed["error"]["kind"]), (&id, &json!("hub")));
    is_problem(&mirror.call("POST", "/plan", model()), 502, "hub");
    fault.release();
    mirror.told("POST", &format!("/downloads/{id}/retry"), None);
    assert_eq!(events.download("done")["error"], Value::Null);
    is_problem(&mirror.call("POST", &format!("/downloads/{id}/retry"), None), 409, "busy");
    assert_eq!(mirror.call("DELETE", &format!("/downloads/{id}"), None).status, 204);
    assert_eq!(mirror.look("/downloads"), json!({ "downloads": [] }));
    is_problem(&mirror.call("DELETE", &format!("/downloads/{id}"), None), 404, "not_found");
    let nobody = Some(json!({ "model": "org/nobody" }));
    is_problem(&mirror.call("POST", "/plan", nobody), 404, "not_found");
}

#[test]
fn files_that_are_on_their_way_are_not_asked_for_twice() {
    let (_bench, mirror, fault, _) = stuck();
    let first = mirror.call("POST", "/downloads", model());
    let id = &first.json()["id"];
    mirror.told("POST", &format!("/downloads/{id}/pause"), None);
    let again = Some(json!({ "model": "org/name@main" }));
    let second = mirror.call("POST", "/downloads", again);
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(&second.json()["id"], id);
    assert_ne!(second.json()["state"], "paused");
    let other = Some(json!({ "model": "org/name", "include": ["*.json"] }));
    assert_ne!(&mirror.told("POST", "/downloads", other)["id"], id);
    assert_eq!(mirror.look("/downloads")["downloads"].as_array().unwrap().len(), 2);
    fault.release();
}

#[test]
fn what_is_deleted_can_be_brought_back() {
    let (_bench, store, mirror, [a, _]) = two();
    let path = format!("/models/{}", segment(&a));
    let plan = mirror.told("DELETE", &format!("{path}?dry_run=true"), None);
    assert_eq!((&plan["removed"], &plan["kept"]), (&json!([a]), &json!([])));
    assert!(plan["later_bytes"].as_u64().unwrap() >= MIB as u64 && plan["until"].is_i64());
    assert_eq!(mirror.models(), ["org/a", "org/b"]);
    let done = mirror.told("DELETE", &path, None);
    assert_eq!((&done["removed"], &done["later_bytes"]), (&json!([a]), &plan["later_bytes"]));
    assert_eq!(mirror.models(), ["org/b"]);
    let trash = mirror.look("/trash");
    assert_eq!(names(&trash["trashed"], "model"), ["org/a"]);
    assert_eq!(
        (&trash["trashed"][0]["refs"], &trash["trashed"][0]["until"]),
        (&json!(["main"]), &done["until"])
    );
    is_problem(&mirror.call("DELETE", &path, None), 404, "not_found");
    let restore = format!("/trash/{}/restore", segment(&a));
    assert_eq!(mirror.told("POST", &restore, None), json!({ "refs": ["main"] }));
    assert_eq!((mirror.models().len(), store.trashed().unwrap().len()), (2, 0));
    is_problem(&mirror.call("POST", &restore, None), 404, "not_found");
    // One revision is named, never all of a model.
    is_problem(&mirror.call("DELETE", "/models/org%2Fa", None), 400, "usage");
}

#[test]
fn what_is_held_stays_and_says_by_what() {
    let (bench, store, mirror, [a, b]) = two();
    let why = |spec: &str| {
        let told = mirror.told("DELETE", &format!("/models/{}?dry_run=false", segment(spec)), None);
        assert_eq!((&told["removed"], &told["until"]), (&json!([]), &Value::Null));
        told["kept"][0]["why"].as_str().unwrap().to_owned()
    };
    let pin = format!("/models/{}/pin", segment(&a));
    assert_eq!(
        mirror.told("POST", &pin, Some(json!({ "pinned": true }))),
        json!({ "pinned": true })
    );
    assert_eq!(mirror.look("/models")["models"][0]["pinned"], true);
    assert!(why(&a).contains("pinned"));
    mirror.told("POST", &pin, Some(json!({ "pinned": false })));
    let lease = store.lease(&resolve(&store, &a)).unwrap();
    assert!(why(&a).contains("process"));
    drop(lease);
    view(&store, &b, &bench.dir("view"), in_mode(tonnage::views::Mode::Auto));
    assert!(why(&b).contains("view"));
}

#[test]
fn a_limit_is_kept_in_the_settings_and_evicts_what_was_used_least() {
    let (_bench, store, mirror, _) = two();
    let space = mirror.look("/space");
    assert_eq!(
        space["limit"],
        json!({ "max_bytes": null, "min_free_bytes": 0, "low_percent": 90 })
    );
    assert!(space["disk_total"].as_u64() > space["disk_free"].as_u64());
    assert_eq!((&space["never_verified"], &space["oldest_verified"]), (&json!(true), &Value::Null));
    let max = space["physical"].as_u64().unwrap() - 1;
    let goal = Some(json!({ "max_bytes": max }));
    let limit = mirror.told("PUT", "/space/limit", goal.clone());
    assert_eq!((&limit["max_bytes"], store.limits().max_bytes), (&json!(max), Some(max)));
    let text = std::fs::read_to_string(store.path().join("config.toml")).unwrap();
    assert!(text.contains(&format!("max = \"{max}B\"")), "{text}");
    let plan = mirror.told("POST", "/space/plan", goal.clone());
    assert_eq!(names(&plan["evicted"], "model"), ["org/a"]);
    assert!(plan["evicted"][0]["size"].as_u64().unwrap() > MIB as u64);
    assert_eq!(mirror.models().len(), 2);
    let done = mirror.told("POST", "/space/evict", goal);
    assert_eq!(names(&done["evicted"], "model"), ["org/a"]);
    assert!(done["after"].as_u64().unwrap() <= max);
    assert_eq!(mirror.models(), ["org/b"]);
    assert!(mirror.get("/metrics").text().contains("tonnage_evicted_revisions_total 1"));
    // No limit is something to say, and not what nothing says.
    is_problem(&mirror.call("PUT", "/space/limit", Some(json!({}))), 400, "usage");
    for _ in 0..2 {
        let none = Some(json!({ "max_bytes": null }));
        assert_eq!(mirror.told("PUT", "/space/limit", none)["max_bytes"], Value::Null);
    }
    assert_eq!(store.limits().max_bytes, None);
}

#[test]
fn a_plan_says_whether_there_is_room() {
    let (bench, store, mirror, [a, b]) = two();
    bench.model(MIB);
    let limit =
        |bytes: u64| mirror.told("PUT", "/space/limit", Some(json!({ "max_bytes": bytes })));
    let physical = mirror.look("/space")["physical"].as_u64().unwrap();
    let fits = || mirror.told("POST", "/plan", model())["fits"].clone();
    limit(physical + 8 * MIB as u64);
    assert_eq!(fits(), "yes");
    limit(physical + 1000);
    let plan = mirror.told("POST", "/plan", model());
    assert_eq!((&plan["fits"], &plan["free_bytes"]), (&json!("evicting"), &json!(0)));
    assert!(plan["evictable_bytes"].as_u64().unwrap() > 2 * MIB as u64);
    for spec in [a, b] {
        store.set_pinned(&resolve(&store, &spec), true).unwrap();
    }
    assert_eq!(fits(), "no");
    let mut events = mirror.listen();
    mirror.told("POST", "/downloads", model());
    assert_eq!(events.download("failed")["error"]["kind"], "no_space");
}

#[test]
fn what_is_cleared_is_in_the_trash() {
    let (_bench, store, mirror, [_, b]) = two();
    store.set_pinned(&resolve(&store, &b), true).unwrap();
    let plan = mirror.told("POST", "/space/clear", Some(json!({ "dry_run": true })));
    assert_eq!(
        (names(&plan["evicted"], "model"), names(&plan["kept"], "model")),
        (vec!["org/a".to_owned()], vec!["org/b".to_owned()])
    );
    assert_eq!(mirror.models().len(), 2);
    let done = mirror.told("POST", "/space/clear", Some(json!({ "dry_run": false })));
    assert_eq!(done["later_bytes"], plan["later_bytes"]);
    assert_eq!(mirror.models(), ["org/b"]);
    assert_eq!(names(&mirror.look("/trash")["trashed"], "model"), ["org/a"]);
    assert!(mirror.look("/space")["trashed"].as_u64().unwrap() >= MIB as u64);
}

#[test]
fn a_verification_finds_what_is_damaged() {
    let (_bench, store, mirror, [a, b]) = two();
    let manifest = store.manifest(&resolve(&store, &a)).unwrap();
    let blob = store.path().join("blobs").join(manifest.files()[1].blob.to_string());
    let mut wrong = std::fs::read(&blob).unwrap();
    wrong[1000] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, wrong).unwrap();
    let mut events = mirror.listen();
    let idle = events.until("verify", |_| true);
    assert_eq!((&idle["running"], &idle["finished"]), (&json!(false), &Value::Null));
    let verify = |models: Value| {
        mirror.told("POST", "/verify", Some(json!({ "models": models, "full": true })))
    };
    verify(json!([b]));
    let found = events.until("verify", |verify| verify["finished"].is_i64());
    assert_eq!(
        (&found["damaged"], &found["checked_files"], &found["error"]),
        (&json!([]), &json!(2), &Value::Null)
    );
    verify(Value::Null);
    let found =
        events.until("verify", |verify| verify["checked_files"] == 4 && verify["running"] == false);
    assert_eq!(names(&found["damaged"], "path"), ["model.bin"]);
    assert_eq!((&found["checked_files"], &found["running"]), (&json!(4), &json!(false)));
    assert_eq!(found, mirror.look("/verify"));
    assert!(mirror.get("/metrics").text().contains("tonnage_verify_failures_total 1"));
    assert!(mirror.look("/space")["oldest_verified"].is_i64());
    let nobody = Some(json!({ "models": ["org/nobody"], "full": false }));
    is_problem(&mirror.call("POST", "/verify", nobody), 404, "not_found");
}

#[test]
fn one_verification_runs_at_a_time_and_can_be_stopped() {
    let bench = Bench::new();
    let store = bench.store();
    put(&bench, &store, "org/large", &bytes(1, 96 * MIB));
    let mirror = Mirror::start(store, bench.options());
    let full = || Some(json!({ "models": null, "full": true }));
    let mut events = mirror.listen();
    // Each may be over before it is looked at, but not every one of them.
    while mirror.call("POST", "/verify", full()).status != 409 {}
    is_problem(&mirror.call("POST", "/plan", Some(json!({}))), 400, "usage");
    loop {
        mirror.call("POST", "/verify", full());
        mirror.told("POST", "/verify/cancel", None);
        let ended = events.until("verify", |verify| verify["finished"].is_i64());
        if ended["error"]["kind"] == "cancelled" {
            break;
        }
    }
}

#[test]
fn all_who_listen_hear_the_same() {
    let (bench, _store, mirror, [a, _]) = two();
    bench.model(3 * MIB);
    let (mut one, mut other) = (mirror.listen(), mirror.listen());
    for events in [&mut one, &mut other] {
        let first: Vec<_> = (0..3).map(|_| events.next().unwrap().0).collect();
        assert_eq!(first, ["downloads", "verify", "store"]);
    }
    mirror.told("POST", &format!("/models/{}/pin", segment(&a)), Some(json!({ "pinned": true })));
    for events in [&mut one, &mut other] {
        events.until("store", |_| true);
    }
    mirror.told("POST", "/downloads", model());
    let done = one.download("done");
    assert_eq!(done, other.download("done"));
    assert_eq!(done, mirror.look("/downloads")["downloads"][0]);
    assert_eq!(done, mirror.listen().download("done"));
}

#[test]
fn what_other_processes_change_is_told() {
    let (bench, _store, mirror, _) = two();
    let mut events = mirror.listen();
    events.until("store", |_| true);
    let theirs = bench.store();
    put(&bench, &theirs, "org/c", b"new");
    events.until("store", |_| true);
    assert_eq!(mirror.models(), ["org/a", "org/b", "org/c"]);
}

#[test]
fn looking_changes_nothing() {
    let (_bench, store, mirror, [a, b]) = two();
    let index = store.path().join("index.redb");
    let time = || index.metadata().unwrap().modified().unwrap();
    let before = time();
    for path in ["/status", "/models", "/trash", "/space", "/sharing", "/downloads", "/verify"] {
        mirror.look(path);
    }
    mirror.look(&format!("/models/{}", segment(&a)));
    mirror.told("POST", "/sharing/matrix", Some(json!({ "models": [a, b] })));
    // Else who listens would ask again for ever.
    assert_eq!(time(), before);
}

#[test]
fn who_listens_does_not_keep_the_server_from_stopping() {
    let (_bench, mirror, _fault, _) = stuck();
    let mut events = mirror.listen();
    mirror.told("POST", "/downloads", model());
    events.download("running");
    mirror.stop();
    while events.next().is_some() {}
}

#[test]
fn variants_of_a_model_are_a_family() {
    let (bench, store, mirror, [_, b]) = two();
    assert_eq!(mirror.look("/sharing"), json!({ "families": [] }));
    let weights = bytes(2, MIB);
    let base = put(&bench, &store, "org/Tiny-1B", &bytes(3, MIB));
    let quant = put(&bench, &store, "other/tiny-1b-Q4_K_M-GGUF", &weights);
    let short = |spec: &str| spec[..spec.find('@').unwrap() + 13].to_owned();
    let families = mirror.look("/sharing")["families"].clone();
    let (b, base, quant) = (short(&b), short(&base), short(&quant));
    // By their names, and `org/b` for the weights that it has, too.
    assert_eq!(families, json!([{ "name": "org/b", "members": [base, b, quant] }]));
    let of = json!({ "models": [b, quant, base] });
    let matrix = mirror.told("POST", "/sharing/matrix", Some(of));
    assert_eq!(names(&matrix["members"], "name"), [b.clone(), quant.clone(), base]);
    assert_eq!(matrix["equal"][0][1], MIB);
    assert_eq!(matrix["equal"][0][2], 0);
    assert_eq!(matrix["equal"][0][0], matrix["members"][0]["bytes"]);
    assert_eq!(matrix["bytes"].as_u64().unwrap() - matrix["unique"].as_u64().unwrap(), MIB as u64);
    is_problem(
        &mirror.call("POST", "/sharing/matrix", Some(json!({ "models": [] }))),
        400,
        "usage",
    );
    let details = mirror.look(&format!("/models/{}", segment(&quant)));
    assert_eq!(details["file_list"][1]["shared_with"], json!([b]));
    assert_eq!((&details["files"], &details["shared"]), (&json!(2), &json!(MIB)));
}

#[test]
fn names_with_markup_in_them_are_text() {
    let bench = Bench::new();
    let store = bench.store();
    let name = "<img src=x onerror=alert(1)>\"&.json";
    write_tree(&bench.dir("evil"), &[(name, b"{}")]);
    let added = add(&store, &bench.dir("evil"), "org/evil");
    let mirror = Mirror::start(store, bench.options());
    let path = format!("/models/{}", segment(&format!("org/evil@{}", added.revision)));
    let reply = mirror.call("GET", &path, None);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.json()["file_list"][0]["path"], name);
    let reply = mirror.call("GET", "/models/%3Cscript%3E%40x", None);
    is_problem(&reply, 400, "usage");
}

#[test]
fn another_sites_page_is_refused() {
    let (_bench, _store, mirror, [a, _]) = two();
    let path = format!("{BASE}/models/{}", segment(&a));
    let empty = ("content-length", "0");
    let own = format!("http://{}", mirror.host());
    let refused = |method: &str, headers: &[(&str, &str)]| {
        is_problem(&mirror.ask(method, &path, headers), 403, "forbidden");
    };
    refused("DELETE", &[empty]);
    refused("DELETE", &[empty, PROOF, ("origin", "http://evil.test")]);
    refused("DELETE", &[empty, PROOF, ("sec-fetch-site", "cross-site")]);
    refused("GET", &[("sec-fetch-site", "same-site")]);
    refused("GET", &[("origin", "null")]);
    refused(
        "OPTIONS",
        &[("origin", "http://evil.test"), ("access-control-request-method", "DELETE")],
    );
    assert_eq!(mirror.models().len(), 2);
    let mut evil = mirror.client();
    evil.write(&format!("GET {path} HTTP/1.1\r\nHost: evil.test\r\n\r\n"));
    is_problem(&evil.reply("GET"), 421, "forbidden");
    let same = [empty, PROOF, ("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(mirror.ask("DELETE", &path, &same).status, 200);
}

#[test]
fn a_token_is_asked_for_where_there_are_tokens() {
    let bench = Bench::new();
    let tokens = Tokens::parse("a-long-token", "tokens").unwrap();
    for public_read in [false, true] {
        let options = Options { tokens: tokens.clone(), public_read, ..bench.options() };
        let mirror = Mirror::start(bench.store(), options);
        for path in ["/status", "/events", "/nowhere"] {
            is_problem(&mirror.call("GET", path, None), 401, "unauthorized");
        }
        is_problem(&mirror.call("POST", "/downloads", model()), 401, "unauthorized");
        let bearer = ("authorization", "Bearer a-long-token");
        assert_eq!(mirror.ask("GET", &format!("{BASE}/status"), &[bearer]).status, 200);
        // The page asks for it, so it needs none.
        assert_eq!(mirror.get("/").status, 200);
    }
}

#[test]
fn the_page_is_given_by_this_servers_name_only() {
    let bench = Bench::new();
    let mirror = bench.serve();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let reply = mirror.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'; frame-ancestors 'none'"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
    }
    for path in ["/page/none.js", "/page/..%2Fapp.rs", "/page/"] {
        assert_eq!(mirror.get(path).status, 404, "{path}");
    }
    let mut evil = mirror.client();
    evil.write("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    assert_eq!(evil.reply("GET").status, 421);
}

#[test]
fn the_document_lists_the_routes_that_exist() {
    let bench = Bench::new();
    let mirror = bench.serve();
    let document = mirror.ask("GET", "/api/tonnage/openapi.json", &[]).json();
    let mut listed = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let is_listed = methods.get(method.to_lowercase()).is_some();
            if is_listed {
                listed.insert(format!("{method} {path}"));
            }
            if path.ends_with("/events") && is_listed {
                continue;
            }
            let real = path.replace("{spec}", "org%2Fnone%40main").replace("{id}", "7");
            let reply = mirror.call_text(method, &real, "");
            assert_eq!(reply.status == 405, !is_listed, "{method} {path}: {}", reply.head);
            if !matches!(reply.status, 200 | 204) {
                assert!(reply.json()["error"]["kind"].is_string(), "{method} {path}");
            }
        }
    }
    assert_eq!(listed.len(), 27);
    let change = &document["paths"]["/api/tonnage/v1/space/evict"]["post"];
    assert_eq!(change["parameters"][0]["name"], "X-Tonnage");
    let schema = &document["components"]["schemas"];
    for name in ["Download", "Plan", "Space", "Verify", "Problem", "Trouble"] {
        assert!(schema[name]["properties"].is_object(), "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_told_in_the_same_form() {
    let bench = Bench::new();
    let mirror = bench.serve();
    for (body, status) in [
        ("{", 400),
        ("[]", 400),
        ("{\"model\":7}", 400),
        ("{\"model\":\"org/name\",\"inclde\":[]}", 400),
        ("{\"model\":\"../..\"}", 400),
        ("{}", 400),
        ("", 415),
    ] {
        is_problem(&mirror.call_text("POST", &format!("{BASE}/plan"), body), status, "usage");
    }
    let long = format!("{{\"model\":\"{}\"}}", "a".repeat(MIB));
    is_problem(&mirror.call_text("POST", &format!("{BASE}/plan"), &long), 413, "usage");
    is_problem(
        &mirror.call("DELETE", "/models/org%2Fa%40main?dry_run=perhaps", None),
        400,
        "usage",
    );
    is_problem(&mirror.call("DELETE", "/downloads/seven", None), 400, "usage");
    is_problem(&mirror.call("GET", "/models/%ff", None), 400, "usage");
    is_problem(&mirror.call("PATCH", "/models", None), 405, "usage");
    for path in ["", "/", "/v1", "/v1/", "/v1/nowhere", "/v2/models", "/v1/models/a/b"] {
        let reply = mirror.call_text("GET", &format!("/api/tonnage{path}"), "");
        is_problem(&reply, 404, "not_found");
    }
}
