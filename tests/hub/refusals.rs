//! The hub's table of errors.

use crate::client::{CONFIG, Reply, WEIGHTS, ask, model};
use crate::hub::{Entry, Gate, Hub, Kind};

fn get(hub: &Hub, path: &str, token: Option<&str>) -> Reply {
    let value = format!("Bearer {}", token.unwrap_or_default());
    let headers = [("Authorization", value.as_str())];
    let headers = if token.is_some() { &headers[..] } else { &[] };
    ask("GET", &format!("{}{path}", hub.url()), headers)
}

/// Fails unless a refusal says just this.
#[track_caller]
fn refused(reply: &Reply, status: u16, code: Option<&str>, message: &str) {
    assert_eq!(reply.status, status, "{}", reply.head);
    assert_eq!(reply.header("x-error-code"), code);
    assert_eq!(reply.header("x-error-message"), Some(message));
    match reply.header("content-type").unwrap().starts_with("application/json") {
        true => assert_eq!(reply.json()["error"], message),
        false => assert_eq!(reply.text(), message),
    }
}

#[test]
fn a_missing_file_is_told_with_the_commit_it_is_missing_from() {
    let hub = Hub::start();
    let (_, commit) = model(&hub);
    let reply = get(&hub, "/org/name/resolve/main/missing", None);
    refused(&reply, 404, Some("EntryNotFound"), "Entry not found");
    assert_eq!(reply.header("x-repo-commit"), Some(commit.as_str()));
    assert_eq!(get(&hub, "/api/models/org/name/tree/main/missing", None).status, 404);
}

#[test]
fn a_missing_revision_is_told_by_its_name() {
    let hub = Hub::start();
    model(&hub);
    for path in [
        "/api/models/org/name/revision/v9",
        "/api/models/org/name/tree/v9",
        "/org/name/resolve/v9/config.json",
    ] {
        let reply = get(&hub, path, None);
        refused(&reply, 404, Some("RevisionNotFound"), "Invalid rev id: v9");
    }
}

#[test]
fn a_missing_repository_and_a_private_one_look_the_same() {
    let hub = Hub::start();
    hub.token("hf_known", "someone");
    hub.token("hf_granted", "another");
    hub.repo(Kind::Model, "org/private")
        .private()
        .grants("hf_granted")
        .commit(&[Entry::git("config.json", "{}")]);
    for id in ["org/missing", "org/private"] {
        for path in [format!("/api/models/{id}"), format!("/{id}/resolve/main/config.json")] {
            refused(&get(&hub, &path, None), 401, None, "Invalid username or password.");
            let known = get(&hub, &path, Some("hf_known"));
            refused(&known, 404, Some("RepoNotFound"), "Repository not found");
        }
    }
    assert_eq!(get(&hub, "/api/models/org/private", Some("hf_granted")).json()["private"], true);
}

#[test]
fn a_gated_repository_shows_its_tree_and_keeps_its_files() {
    let hub = Hub::start();
    let (repo, _) = model(&hub);
    repo.gated(Gate::Auto).grants("hf_granted");
    hub.token("hf_known", "someone");
    hub.token("hf_granted", "another");
    assert_eq!(get(&hub, "/api/models/org/name", None).json()["gated"], "auto");
    assert_eq!(get(&hub, "/api/models/org/name/tree/main", None).status, 200);
    for path in [CONFIG, WEIGHTS, "/api/models/org/name/auth-check"] {
        let anonymous = "Access to model org/name is restricted. You must have access to it and be \
             authenticated to access it. Please log in.";
        refused(&get(&hub, path, None), 401, Some("GatedRepo"), anonymous);
        let known = "Access to model org/name is restricted and you are not in the authorized \
             list. Visit https://huggingface.co/org/name to ask for access.";
        refused(&get(&hub, path, Some("hf_known")), 403, Some("GatedRepo"), known);
    }
    assert_eq!(get(&hub, CONFIG, Some("hf_granted")).status, 200);
    assert_eq!(get(&hub, WEIGHTS, Some("hf_granted")).status, 302);
}

#[test]
fn a_token_that_nobody_gave_out_is_refused_even_where_none_is_needed() {
    let hub = Hub::start();
    model(&hub);
    for path in [CONFIG, "/api/models/org/name", "/api/whoami-v2"] {
        let reply = get(&hub, path, Some("hf_wrong"));
        refused(&reply, 401, None, "Invalid credentials in Authorization header");
    }
}

#[test]
fn a_disabled_repository_gives_nothing() {
    let hub = Hub::start();
    model(&hub).0.disabled();
    for path in [CONFIG, "/api/models/org/name"] {
        refused(&get(&hub, path, None), 403, None, "Access to this resource is disabled.");
    }
}

#[test]
fn other_methods_are_refused() {
    let hub = Hub::start();
    model(&hub);
    assert_eq!(ask("PUT", &format!("{}{CONFIG}", hub.url()), &[]).status, 405);
}
