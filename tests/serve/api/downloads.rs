//! Downloads, from their plan to their end.

use super::*;

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
