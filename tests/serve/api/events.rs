//! What listeners hear.

use super::*;

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
