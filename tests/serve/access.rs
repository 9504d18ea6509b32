//! Who may have what.

use std::net::SocketAddr;

use tonnage::error::ServeError;
use tonnage::serve::{Server, Tokens};

use crate::bench::{Bench, CONFIG, MIB, Mirror, WEIGHTS};
use crate::hub::{Fault, Gate, On, What};

const ALICE: (&str, &str) = ("authorization", "Bearer hf_alice");
const BOB: (&str, &str) = ("authorization", "Bearer hf_bob");

#[test]
fn what_is_private_is_given_to_whom_the_hub_gives_it() {
    let bench = Bench::new();
    let (repo, commit, weights) = bench.model(2 * MIB);
    bench.hub.token("hf_alice", "alice");
    bench.hub.token("hf_bob", "bob");
    repo.private().grants("hf_alice");
    let by_commit = format!("/org/name/resolve/{commit}/weights.bin");
    for _ in ["cold", "warm"] {
        let mirror = bench.serve();
        assert!(mirror.ask("GET", WEIGHTS, &[ALICE]).body == weights);
        for path in [WEIGHTS, CONFIG, by_commit.as_str(), "/api/models/org/name/tree/main"] {
            let nobody = mirror.get(path);
            assert_eq!((nobody.status, nobody.header("x-error-code")), (401, Some("RepoNotFound")));
            let bob = mirror.ask("GET", path, &[BOB]);
            assert_eq!((bob.status, bob.header("x-error-code")), (404, Some("RepoNotFound")));
        }
        mirror.stop();
    }
    let mirror = Mirror::start(bench.store(), bench.offline());
    // Nobody can be asked any more.
    assert_eq!(mirror.ask("GET", WEIGHTS, &[ALICE]).status, 403);
    mirror.stop();
    let mirror = bench.serve();
    bench.hub.fault(Fault::new(On::Any, What::status(500)).forever());
    assert_eq!(mirror.get(WEIGHTS).status, 502);
}

#[test]
fn what_is_gated_is_listed_for_all_and_given_to_some() {
    let bench = Bench::new();
    let (repo, _, weights) = bench.model(2 * MIB);
    bench.hub.token("hf_alice", "alice");
    bench.hub.token("hf_bob", "bob");
    repo.gated(Gate::Manual).grants("hf_alice");
    let mirror = bench.serve();
    assert!(mirror.ask("GET", WEIGHTS, &[ALICE]).body == weights);
    let (nobody, bob) = (mirror.get(WEIGHTS), mirror.ask("GET", WEIGHTS, &[BOB]));
    assert_eq!((nobody.status, nobody.header("x-error-code")), (401, Some("GatedRepo")));
    assert_eq!((bob.status, bob.header("x-error-code")), (403, Some("GatedRepo")));
    assert_eq!(mirror.get("/api/models/org/name/tree/main").status, 200);
    assert_eq!(mirror.get("/api/models/org/name/auth-check").status, 401);
    assert_eq!(mirror.ask("GET", "/api/models/org/name/auth-check", &[ALICE]).status, 200);
}

#[test]
fn the_hub_is_asked_seldom() {
    let bench = Bench::new();
    let (repo, _, _) = bench.model(2 * MIB);
    bench.hub.token("hf_alice", "alice");
    repo.private().grants("hf_alice");
    let mirror = bench.serve();
    mirror.ask("GET", WEIGHTS, &[ALICE]);
    mirror.ask("GET", CONFIG, &[ALICE]);
    bench.hub.forget_log();
    for _ in 0..10 {
        assert_eq!(mirror.ask("GET", WEIGHTS, &[ALICE]).status, 200);
        assert_eq!(mirror.ask("HEAD", CONFIG, &[ALICE]).status, 200);
    }
    assert!(bench.hub.log().is_empty());
}

#[test]
fn a_token_of_the_mirror_stands_for_one_of_the_hub() {
    let bench = Bench::new();
    let (repo, _, weights) = bench.model(2 * MIB);
    bench.hub.token("hf_alice", "alice");
    repo.private().grants("hf_alice");
    let tokens = Tokens::parse("for-alice hf_alice\nfor-anybody\n", "tokens").unwrap();
    let mirror =
        Mirror::start(bench.store(), tonnage::serve::Options { tokens, ..bench.options() });
    assert_eq!(mirror.get(WEIGHTS).status, 401);
    assert_eq!(mirror.ask("GET", WEIGHTS, &[ALICE]).status, 401);
    let ours = ("authorization", "Bearer for-alice");
    assert!(mirror.ask("GET", WEIGHTS, &[ours]).body == weights);
    let anybody = ("authorization", "Bearer for-anybody");
    assert_eq!(mirror.ask("GET", WEIGHTS, &[anybody]).status, 401);
    let who = mirror.ask("GET", "/api/whoami-v2", &[ours]);
    assert_eq!(who.json()["name"], "alice");
    // Whoever watches over the server needs none.
    assert_eq!(mirror.get("/healthz").status, 200);
    assert_eq!(mirror.get("/metrics").status, 401);
    assert_eq!(mirror.ask("GET", "/metrics", &[anybody]).status, 200);
    // No token of the mirror reaches the hub.
    let told = |request: &crate::hub::Request| {
        request.authorization.as_deref().is_some_and(|a| a.contains("for-"))
    };
    assert!(bench.hub.requests(told).is_empty());
}

#[test]
fn an_address_that_others_reach_needs_a_word() {
    let bench = Bench::new();
    let addr: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let bind = |options| Server::bind(bench.store(), options, addr);
    assert!(matches!(bind(bench.options()), Err(ServeError::Exposed { .. })));
    let public = tonnage::serve::Options { public_read: true, ..bench.options() };
    assert!(bind(public).is_ok());
    let tokens = Tokens::parse("a-long-token", "tokens").unwrap();
    assert!(bind(tonnage::serve::Options { tokens, ..bench.options() }).is_ok());
}

#[test]
fn a_mirror_of_itself_is_refused() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.hub.endpoint = "http://localhost:7070/".to_owned();
    let bound = Server::bind(bench.store(), options, "127.0.0.1:7070".parse().unwrap());
    assert!(matches!(bound, Err(ServeError::Circle { .. })));
}
