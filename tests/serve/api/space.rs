//! Limits, evictions and verifications.

use std::process::Command;

use super::*;

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
fn limits_that_others_set_hold_here() {
    let (bench, store, mirror, _) = two();
    let set = |value| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tonnage"));
        let command = command.env("TONNAGE_HOME", bench.path());
        assert!(command.args(["config", "set", "space.max", value]).status().unwrap().success());
    };
    let holds = |bytes: u64| {
        let began = Instant::now();
        while mirror.look("/space")["limit"]["max_bytes"] != bytes {
            assert!(began.elapsed() < PATIENCE, "{:?}", store.limits());
        }
        assert_eq!(store.limits().max_bytes, Some(bytes));
    };
    // It is looked at once before anything can have changed.
    let mut events = mirror.listen();
    events.until("store", |_| true);
    set("9GB");
    holds(9_000_000_000);
    set("8GB");
    holds(8_000_000_000);
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
    // What is in the trash is not verified with the models, so it is not missed either.
    let mut events = mirror.listen();
    mirror.told("POST", "/verify", Some(json!({ "models": null, "full": true })));
    events.until("verify", |verify| verify["finished"].is_i64());
    assert_eq!(mirror.look("/space")["never_verified"], false);
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
    // Nobody has it whole, so nobody is given it any more.
    let repair = json!({ "models": [a], "full": true, "repair": true });
    mirror.told("POST", "/verify", Some(repair));
    let left = events.until("verify", |v| v["repair"] == true && v["finished"].is_i64());
    assert_eq!(
        (names(&left["damaged"], "path"), &left["mended"]),
        (names(&found["damaged"], "path"), &json!([]))
    );
    let degraded = &mirror.look(&format!("/models/{}", segment(&a)))["degraded"];
    assert_eq!((degraded, blob.exists()), (&json!(true), false));
    let nobody = Some(json!({ "models": ["org/nobody"], "full": false }));
    is_problem(&mirror.call("POST", "/verify", nobody), 404, "not_found");
}

#[test]
fn what_the_hub_has_whole_is_mended() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(3 * MIB);
    let store = bench.store();
    let mirror = Mirror::start(store.clone(), bench.options());
    let mut events = mirror.listen();
    mirror.told("POST", "/downloads", model());
    events.download("done");
    let fetched = bench.sent();
    let file = manifest(&store, "org/name").files()[1].clone();
    assert_eq!(file.path.as_str(), "weights.bin");
    let blob = store.path().join("blobs").join(file.blob.to_string());
    let mut wrong = weights.clone();
    wrong[MIB + 7] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, wrong).unwrap();
    let repair = json!({ "models": null, "full": true, "repair": true });
    mirror.told("POST", "/verify", Some(repair));
    let found = events.until("verify", |verify| verify["finished"].is_i64());
    assert_eq!((&found["damaged"], &found["error"]), (&json!([]), &Value::Null));
    assert_eq!(names(&found["mended"], "path"), ["weights.bin"]);
    assert!(mirror.get(WEIGHTS).body == weights);
    assert_eq!(bench.sent() - fetched, MIB as u64, "only what was wrong is fetched");
    assert!(mirror.get("/metrics").text().contains("tonnage_verify_failures_total 1"));
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
    let began = Instant::now();
    while mirror.call("POST", "/verify", full()).status != 409 {
        assert!(began.elapsed() < PATIENCE, "two run at a time");
    }
    is_problem(&mirror.call("POST", "/plan", Some(json!({}))), 400, "usage");
    loop {
        mirror.call("POST", "/verify", full());
        mirror.told("POST", "/verify/cancel", None);
        let ended = events.until("verify", |verify| verify["finished"].is_i64());
        if ended["error"]["kind"] == "cancelled" {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "none can be stopped");
    }
}
