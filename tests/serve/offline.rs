//! Without the hub.

use crate::bench::{Bench, CONFIG, MIB, Mirror, WEIGHTS};
use crate::hub::{Entry, Fault, On, What};

#[test]
fn what_is_here_is_served_without_the_hub() {
    let bench = Bench::new();
    let (repo, commit, weights) = bench.model(3 * MIB);
    repo.tag("v1", &commit);
    let mirror = bench.serve();
    for path in [WEIGHTS, CONFIG, "/org/name/resolve/v1/config.json"] {
        mirror.get(path);
    }
    let told = mirror.get(&format!("/api/models/org/name/tree/{commit}?recursive=true")).json();
    mirror.stop();
    bench.hub.forget_log();
    let mirror = Mirror::start(bench.store(), bench.offline());
    for revision in ["main", "v1", &commit, &commit[..10], "refs%2Fheads%2Fmain"] {
        let reply = mirror.get(&format!("/org/name/resolve/{revision}/weights.bin"));
        assert!(reply.body == weights, "{revision}: {}", reply.head);
    }
    let info = mirror.get("/api/models/org/name/revision/main?blobs=true").json();
    assert_eq!(info["sha"], commit);
    assert_eq!(info["siblings"].as_array().unwrap().len(), 2);
    let tree = mirror.get(&format!("/api/models/org/name/tree/{commit}?recursive=true")).json();
    assert_eq!(tree, told);
    let refs = mirror.get("/api/models/org/name/refs").json();
    assert_eq!((refs["branches"].as_array().unwrap().len(), refs.get("pullRequests")), (2, None));
    let refs = mirror.get("/api/models/org/name/refs?include_prs=1").json();
    assert_eq!(refs["pullRequests"], serde_json::json!([]));
    assert!(bench.hub.log().is_empty());
}

#[test]
fn a_model_that_is_here_in_part_is_not_taken_for_whole() {
    let bench = Bench::new();
    bench.model(3 * MIB);
    let mirror = bench.serve();
    mirror.get(CONFIG);
    mirror.stop();
    let mirror = Mirror::start(bench.store(), bench.offline());
    // The list has all files: clients keep it for ever.
    let tree = mirror.get("/api/models/org/name/tree/main").json();
    assert_eq!(tree.as_array().unwrap().len(), 2);
    assert_eq!(mirror.get(CONFIG).status, 200);
    let missing = mirror.get(WEIGHTS);
    assert!(missing.status == 424, "{}", missing.head);
    let none = mirror.get("/org/name/resolve/main/none.bin");
    assert_eq!((none.status, none.header("x-error-code")), (404, Some("EntryNotFound")));
    assert_eq!(mirror.get("/api/models/org/other").status, 424);
}

#[test]
fn when_the_hub_is_gone_what_it_said_last_holds() {
    let bench = Bench::new();
    let (_, commit, weights) = bench.model(3 * MIB);
    let mirror = bench.serve();
    mirror.get(WEIGHTS);
    mirror.stop();
    bench.hub.fault(Fault::new(On::Any, What::status(503)).forever());
    let mirror = bench.serve();
    let reply = mirror.get(WEIGHTS);
    assert!(reply.body == weights, "{}", reply.head);
    assert_eq!(reply.header("x-repo-commit"), Some(commit.as_str()));
    assert_eq!(mirror.get("/api/models/org/name").json()["sha"], commit);
    assert_eq!(mirror.get("/api/models/org/name/refs").json()["branches"][0]["name"], "main");
}

#[test]
fn what_pull_brought_is_served_offline() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(3 * MIB);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let client = tonnage::hub::Client::new(bench.options().hub).unwrap();
    let request = tonnage::hub::PullRequest::new("org/name".parse().unwrap());
    let progress = std::sync::Arc::default();
    let pulling = tonnage::hub::pull(bench.store(), &client, &request, &progress);
    runtime.block_on(pulling).unwrap();
    let mirror = Mirror::start(bench.store(), bench.offline());
    assert!(mirror.get(WEIGHTS).body == weights);
    let tree = mirror.get("/api/models/org/name/tree/main").json();
    assert_eq!(tree.as_array().unwrap().len(), 2);
}

#[test]
fn a_branch_that_moved_leads_to_its_new_commit() {
    let bench = Bench::new();
    let (repo, first, _) = bench.model(MIB);
    let mirror = bench.serve();
    mirror.get(CONFIG);
    mirror.stop();
    let second = repo.commit(&[Entry::git("config.json", "new")]);
    let mirror = bench.serve();
    let reply = mirror.get(CONFIG);
    assert_eq!((reply.text(), reply.header("x-repo-commit")), ("new", Some(second.as_str())));
    mirror.stop();
    let store = bench.store();
    let main = store.resolve(&"org/name@main".parse().unwrap()).unwrap();
    assert_eq!(main.revision.as_str(), second);
    assert!(store.resolve(&format!("org/name@{first}").parse().unwrap()).is_ok());
}

#[test]
fn a_branch_is_known_although_its_files_were_asked_for_by_commit() {
    let bench = Bench::new();
    let (_, commit, weights) = bench.model(MIB);
    let by_commit = format!("/org/name/resolve/{commit}/weights.bin");
    // As huggingface_hub does it.
    let mirror = bench.serve();
    assert_eq!(mirror.get("/api/models/org/name/revision/main").json()["sha"], commit);
    assert!(mirror.get(&by_commit).body == weights);
    mirror.stop();
    let mirror = Mirror::start(bench.store(), bench.offline());
    assert!(mirror.get(WEIGHTS).body == weights);
    assert_eq!(mirror.get("/api/models/org/name/refs").json()["branches"][0]["name"], "main");
}

#[test]
fn a_branch_is_learned_of_what_is_here_already() {
    let bench = Bench::new();
    let (repo, commit, weights) = bench.model(MIB);
    let mirror = bench.serve();
    assert!(mirror.get(&format!("/org/name/resolve/{commit}/weights.bin")).body == weights);
    mirror.stop();
    let offline = Mirror::start(bench.store(), bench.offline());
    assert_eq!(offline.get("/api/models/org/name/refs").status, 424, "no list is not an empty one");
    offline.stop();
    repo.tag("v1", &commit);
    let mirror = bench.serve();
    assert_eq!(mirror.get("/api/models/org/name/revision/v1").status, 200);
    mirror.stop();
    let mirror = Mirror::start(bench.store(), bench.offline());
    assert!(mirror.get("/org/name/resolve/v1/weights.bin").body == weights);
}

#[test]
fn a_hub_that_cannot_be_reached_is_not_asked_again_at_once() {
    let bench = Bench::new();
    bench.model(MIB);
    let mirror = bench.serve();
    mirror.get(WEIGHTS);
    mirror.stop();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = bench.options();
    options.hub.endpoint = format!("http://{}", gone.local_addr().unwrap());
    // Every connection is taken, and never answered.
    options.hub.answer = std::time::Duration::from_millis(200);
    options.hub.retry.attempts = 1;
    let mirror = Mirror::start(bench.store(), options);
    assert_eq!(mirror.get(WEIGHTS).status, 200);
    let asked = || {
        gone.set_nonblocking(true).unwrap();
        gone.incoming().take_while(Result::is_ok).count()
    };
    assert!(asked() > 0);
    for path in [WEIGHTS, "/api/models/org/name", "/api/models/org/name/refs"] {
        assert_eq!(mirror.get(path).status, 200, "{path}");
    }
    assert_eq!(asked(), 0);
}
