//! What clients ask about repositories: as the hub says it.

use serde_json::Value;

use crate::bench::Bench;
use crate::client::{Client, Reply, SMALL, get};
use crate::hub::{Entry, Fault, On, What};

/// Without what differs by right: the names of directories are the hub's own invention in tests.
fn plain(mut lines: Value) -> Value {
    for line in lines.as_array_mut().unwrap() {
        let line = line.as_object_mut().unwrap();
        if line["type"] == "directory" {
            line.remove("oid");
        }
    }
    lines
}

fn model(bench: &Bench) -> String {
    bench.repo().commit(&[
        Entry::git("a.txt", SMALL),
        Entry::git("b/c.txt", "c"),
        Entry::git("b/d/e.txt", "e"),
        Entry::lfs("b/d/f.bin", crate::client::bytes(1, 2000)),
        Entry::git("ü ß/#.txt", "x"),
    ])
}

#[test]
fn trees_are_the_hubs_without_its_other_protocol() {
    let bench = Bench::new();
    let commit = model(&bench);
    let mirror = bench.serve();
    for path in [
        format!("/api/models/org/name/tree/{commit}?recursive=true&expand=false"),
        "/api/models/org/name/tree/main".to_owned(),
        "/api/models/org/name/tree/main/b?recursive=True".to_owned(),
        "/api/models/org/name/tree/main/b%2Fd".to_owned(),
        "/api/models/org/name/tree/refs%2Fheads%2Fmain/b/d".to_owned(),
        "/api/models/org/name/tree/main?recursive=true&expand=true".to_owned(),
    ] {
        bench.hub.xet_signals(false);
        let told = get(&bench.hub, &path.replace("refs%2Fheads%2Fmain", "main"));
        bench.hub.xet_signals(true);
        let reply = mirror.get(&path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.head);
        assert_eq!(plain(reply.json()), plain(told.json()), "{path}");
    }
    let missing = mirror.get("/api/models/org/name/tree/main/none");
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("EntryNotFound")));
}

#[test]
fn a_long_list_comes_in_pages_of_this_server() {
    let bench = Bench::new();
    let commit = model(&bench);
    bench.hub.page_size(2);
    let mirror = bench.serve();
    for expand in ["false", "true"] {
        let mut path =
            format!("/api/models/org/name/tree/{commit}?recursive=true&expand={expand}&limit=3");
        let mut paths = Vec::new();
        loop {
            let reply = mirror.get(&path);
            let lines = reply.json();
            assert!(lines.as_array().unwrap().len() <= 3);
            let names = lines.as_array().unwrap().iter();
            paths.extend(names.map(|line| line["path"].as_str().unwrap().to_owned()));
            let Some(link) = reply.header("link") else { break };
            let url = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
            assert!(url.starts_with(&mirror.url), "{url}");
            path = url[mirror.url.len()..].to_owned();
        }
        let all = ["a.txt", "b", "b/c.txt", "b/d", "b/d/e.txt", "b/d/f.bin", "ü ß", "ü ß/#.txt"];
        assert_eq!(paths, all, "{expand}");
    }
}

#[test]
fn a_list_is_all_of_the_hub_or_all_of_this_server() {
    let bench = Bench::new();
    let commit = model(&bench);
    bench.hub.page_size(2);
    let mirror = bench.serve();
    let path = |expand| {
        format!("/api/models/org/name/tree/{commit}?recursive=true&expand={expand}&limit=2")
    };
    let next = |reply: &Reply| {
        let link = reply.header("link").unwrap();
        let url = link.split_once('<').unwrap().1.split_once('>').unwrap().0;
        url.strip_prefix(&mirror.url).unwrap().to_owned()
    };
    // All of it is known here, too.
    let first = mirror.get(&path(false));
    let theirs = next(&mirror.get(&path(true)));
    let gone = bench.hub.fault(Fault::new(On::Tree, What::status(500)).forever());
    // Its cursor says nothing here.
    assert_eq!(mirror.get(&theirs).status, 502);
    gone.release();
    let ours = next(&first).replace("expand=false", "expand=true");
    // The hub would not know this server's.
    let second = mirror.get(&ours);
    assert_eq!(second.status, 200, "{}", second.head);
    assert!(second.json()[0]["path"].as_str() > first.json()[1]["path"].as_str());
}

#[test]
fn some_paths_are_told_of() {
    let bench = Bench::new();
    model(&bench);
    bench.hub.xet_signals(true);
    let mirror = bench.serve();
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "paths=a.txt&paths=b%2Fd%2Ff.bin&paths=b&paths=no"),
        ("application/json", "{\"paths\":[\"a.txt\",\"b/d/f.bin\",\"b\",\"no\"],\"expand\":false}"),
    ] {
        let reply = mirror.post("/api/models/org/name/paths-info/main", kind, body);
        let lines = reply.json();
        let names: Vec<_> =
            lines.as_array().unwrap().iter().map(|line| line["path"].as_str().unwrap()).collect();
        assert_eq!(names, ["a.txt", "b/d/f.bin", "b"], "{}", reply.head);
        assert!(lines[1].get("xetHash").is_none() && lines[1]["lfs"]["oid"].is_string());
    }
}

#[test]
fn all_that_the_hub_knows_of_some_paths_is_told() {
    let bench = Bench::new();
    model(&bench);
    let mirror = bench.serve();
    let path = "/api/models/org/name/paths-info/main";
    let form = "application/x-www-form-urlencoded";
    let names = "paths=a.txt&paths=b%2Fd%2Ff.bin&paths=%C3%BC%20%C3%9F%2F%23.txt&paths=no";
    for (kind, body) in [
        (form, format!("{names}&expand=True")),
        (
            "application/json",
            r##"{"paths":["a.txt","b/d/f.bin","ü ß/#.txt","no"],"expand":true}"##.to_owned(),
        ),
    ] {
        bench.hub.xet_signals(false);
        let len = body.len().to_string();
        let mut hub = Client::new(&bench.hub.url());
        hub.send("POST", path, &[("content-type", kind), ("content-length", len.as_str())]);
        hub.write(&body);
        let told = hub.reply("POST");
        bench.hub.xet_signals(true);
        let reply = mirror.post(path, kind, &body);
        assert_eq!((reply.status, reply.json()), (200, told.json()), "{kind}");
        assert!(reply.json()[2]["lastCommit"]["id"].is_string(), "{}", reply.text());
    }
    // What is known without the hub is better than nothing.
    bench.hub.fault(Fault::new(On::Any, What::status(503)).path("paths-info").forever());
    let reply = mirror.post(path, form, &format!("{names}&expand=True"));
    let paths: Vec<_> =
        reply.json().as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
    assert_eq!(paths, ["a.txt", "b/d/f.bin", "ü ß/#.txt"]);
}

#[test]
fn infos_and_refs_are_the_hubs() {
    let bench = Bench::new();
    let commit = model(&bench);
    bench.repo().tag("v1", &commit).pr(3, &commit);
    let mirror = bench.serve();
    for path in [
        "/api/models/org/name",
        "/api/models/org/name?blobs=true",
        "/api/models/org/name/revision/v1",
        "/api/models/org/name/revision/refs%2Fpr%2F3",
        "/api/models/org/name/refs",
        "/api/models/org/name/refs?include_prs=1",
    ] {
        assert_eq!(mirror.get(path).json(), get(&bench.hub, path).json(), "{path}");
    }
    let head = mirror.get("/api/models/org/name/revision/HEAD").json();
    assert_eq!(head["sha"], commit);
}

#[test]
fn what_is_not_there_is_told_in_the_hubs_words() {
    let bench = Bench::new();
    let commit = model(&bench);
    let mirror = bench.serve();
    let (entry, revision, repo) = ("EntryNotFound", "RevisionNotFound", "RepoNotFound");
    for (path, status, code) in [
        ("/org/name/resolve/main/none", 404, entry),
        ("/org/name/resolve/none/a.txt", 404, revision),
        ("/api/models/org/name/revision/none", 404, revision),
        ("/api/models/org/none", 401, repo),
        ("/org/none/resolve/main/a.txt", 401, repo),
    ] {
        let reply = mirror.get(path);
        assert_eq!((reply.status, reply.header("x-error-code")), (status, Some(code)), "{path}");
        assert!(reply.header("x-error-message").is_some());
        if code == entry {
            assert_eq!(reply.header("x-repo-commit"), Some(commit.as_str()));
        }
    }
    assert_eq!(mirror.get("/api/agent-harnesses").status, 404);
}
