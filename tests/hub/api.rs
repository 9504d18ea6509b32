//! What the hub says in JSON.

use serde_json::json;

use crate::client::{Client, SMALL, ask, bytes, get, large, model};
use crate::hub::{Entry, Gate, Hub, Kind, git_sha1, sha256};

#[test]
fn a_repository_tells_its_commit_and_its_files() {
    let hub = Hub::start();
    let (repo, commit) = model(&hub);
    repo.gated(Gate::Manual);
    for path in ["/api/models/org/name", "/api/models/org/name/revision/main"] {
        let reply = get(&hub, path);
        assert_eq!(reply.status, 200);
        let info = reply.json();
        assert_eq!(info["id"], "org/name");
        assert_eq!(info["sha"], commit);
        assert_eq!(info["gated"], "manual");
        assert_eq!(info["private"], false);
        assert_eq!(info["siblings"][0], json!({"rfilename": "config.json"}));
    }
    let info = get(&hub, "/api/models/org/name?blobs=true").json();
    let large = json!({
        "rfilename": "weights/model.safetensors",
        "blobId": info["siblings"][1]["blobId"],
        "size": 3_000_000,
        "lfs": {"sha256": sha256(&large()), "size": 3_000_000, "pointerSize": 132},
    });
    assert_eq!(info["siblings"][1], large);
    let some = get(&hub, "/api/models/org/name?expand=sha&expand[]=gated").json();
    let mut fields: Vec<_> = some.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["_id", "gated", "id", "sha"]);
}

#[test]
fn a_commits_id_is_the_same_in_every_run() {
    let ids = [0, 1].map(|_| model(&Hub::start()).1);
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 40);
}

#[test]
fn every_way_of_writing_a_revision_leads_to_its_commit() {
    let hub = Hub::start();
    let (repo, first) = model(&hub);
    let second = repo.commit(&[Entry::git("a", "a")]);
    let third = repo.dangling(&[Entry::git("b", "b")]);
    repo.tag("v1", &first).branch("dev/x", &first).pr(1, &third);
    for (revision, commit) in [
        ("main", &second),
        ("HEAD", &second),
        ("v1", &first),
        ("dev%2Fx", &first),
        ("refs%2Fpr%2F1", &third),
        ("refs/pr/1", &third),
        ("refs/heads/main", &second),
        (&first[..8], &first),
        (&third, &third),
    ] {
        let info = get(&hub, &format!("/api/models/org/name/revision/{revision}"));
        assert_eq!(info.json()["sha"], **commit, "{revision}");
        let tree = get(&hub, &format!("/api/models/org/name/tree/{revision}?recursive=true"));
        assert_eq!(tree.header("x-repo-commit"), Some(commit.as_str()), "{revision}");
    }
}

#[test]
fn datasets_spaces_and_bare_names_have_their_own_paths() {
    let hub = Hub::start();
    for (kind, id, api, page) in [
        (Kind::Dataset, "org/d", "/api/datasets/org/d", "/datasets/org/d"),
        (Kind::Space, "org/s", "/api/spaces/org/s", "/spaces/org/s"),
        (Kind::Model, "bare", "/api/models/bare", "/bare"),
    ] {
        let repo = hub.repo(kind, id);
        let commit = repo.commit(&[Entry::git("a b/c.txt", "c")]);
        assert_eq!(repo.api_path(), api);
        assert_eq!(get(&hub, api).json()["sha"], commit);
        assert_eq!(get(&hub, &format!("{api}/tree/main/a%20b")).json()[0]["path"], "a b/c.txt");
        let path = repo.resolve_path("main", "a b/c.txt");
        assert_eq!(path, format!("{page}/resolve/main/a%20b/c.txt"));
        let reply = get(&hub, &path);
        assert_eq!(reply.header("x-repo-commit"), Some(commit.as_str()), "{}", reply.head);
    }
}

#[test]
fn a_tree_lists_directories_small_files_and_large_ones() {
    let hub = Hub::start();
    model(&hub);
    let lines = get(&hub, "/api/models/org/name/tree/main?recursive=true&expand=false").json();
    let small = json!({
        "type": "file", "oid": git_sha1(SMALL), "size": SMALL.len(), "path": "config.json"});
    assert_eq!(lines[0], small);
    assert_eq!(lines[1]["type"], "directory");
    assert_eq!(lines[1]["path"], "weights");
    assert_eq!(lines[2]["path"], "weights/model.safetensors");
    let lfs = json!({"oid": sha256(&large()), "size": 3_000_000, "pointerSize": 132});
    assert_eq!(lines[2]["lfs"], lfs);
    assert_eq!(lines[2].get("xetHash"), None);
    let top = get(&hub, "/api/models/org/name/tree/main").json();
    assert_eq!(top.as_array().unwrap().len(), 2);
    let below = get(&hub, "/api/models/org/name/tree/main/weights?expand=true").json();
    assert_eq!(below[0]["path"], "weights/model.safetensors");
    assert_eq!(below[0]["securityFileStatus"]["status"], "safe");
    hub.xet_signals(true);
    let below = get(&hub, "/api/models/org/name/tree/main/weights").json();
    assert_eq!(below[0]["xetHash"].as_str().unwrap().len(), 64);
}

/// Follows the links of a listing: the paths, and the links.
fn pages(hub: &Hub, first: &str) -> (Vec<String>, Vec<String>) {
    let (mut paths, mut links) = (Vec::new(), Vec::new());
    let mut next = Some(format!("{}{first}", hub.url()));
    while let Some(url) = next.take() {
        let reply = ask("GET", &url, &[]);
        assert_eq!(reply.status, 200, "{url}");
        let lines = reply.json();
        paths.extend(lines.as_array().unwrap().iter().map(|l| l["path"].as_str().unwrap().into()));
        if let Some(link) = reply.header("link") {
            let to = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            links.push(to.to_owned());
            next = Some(if to.starts_with('/') { format!("{}{to}", hub.url()) } else { to.into() });
        }
    }
    (paths, links)
}

#[test]
fn a_tree_comes_in_pages_that_link_to_each_other() {
    let hub = Hub::start();
    let names: Vec<_> = (0..25).map(|number| format!("file-{number:02}")).collect();
    let entries: Vec<_> = names.iter().map(|name| Entry::git(name, name.as_bytes())).collect();
    hub.repo(Kind::Model, "org/name").commit(&entries);
    hub.page_size(10);
    let tree = "/api/models/org/name/tree/main?recursive=true";
    let (paths, links) = pages(&hub, tree);
    assert_eq!(paths, names);
    assert_eq!(links.len(), 2);
    let start = format!("{}{tree}&limit=10&cursor=", hub.url());
    assert!(links[0].starts_with(&start), "{}", links[0]);
    hub.relative_links(true);
    let (paths, links) = pages(&hub, tree);
    assert_eq!(paths, names);
    assert!(links[0].starts_with("/api/"));
    assert_eq!(get(&hub, &format!("{tree}&cursor=nonsense")).status, 400);
}

#[test]
fn a_tree_of_a_million_files_is_there_at_once() {
    let hub = Hub::start();
    let repo = hub.repo(Kind::Model, "org/huge");
    repo.synthetic_tree(1_000_000);
    let first = get(&hub, "/api/models/org/huge/tree/main?recursive=true");
    assert_eq!(first.json().as_array().unwrap().len(), 1000);
    assert_eq!(first.json()[0]["path"], "d00000");
    assert_eq!(first.json()[1]["oid"], git_sha1(b"0\n"));
    let last = repo.resolve_path("main", "d00999/f0999999.bin");
    let reply = get(&hub, get(&hub, &last).location());
    assert_eq!(reply.text(), "999999\n");
    assert_eq!(get(&hub, &repo.resolve_path("main", "d01000/f1000000.bin")).status, 404);

    repo.synthetic_tree(2500);
    let (paths, links) = pages(&hub, "/api/models/org/huge/tree/main?recursive=true");
    assert_eq!((paths.len(), links.len()), (2503, 2));
    assert!(paths.is_sorted());
}

#[test]
fn paths_are_told_of_in_a_form_or_in_json() {
    let hub = Hub::start();
    model(&hub);
    let bodies = [
        "paths=config.json&paths=weights%2Fmodel.safetensors&paths=missing&expand=False",
        "{\"paths\": [\"config.json\", \"weights/model.safetensors\", \"no\"], \"expand\": false}",
    ];
    let mut client = Client::new(&hub.url());
    for body in bodies {
        let target = "POST /api/models/org/name/paths-info/main HTTP/1.1";
        let len = body.len();
        client.write(&format!("{target}\r\nContent-Length: {len}\r\nExpect: 100-continue\r\n\r\n"));
        assert_eq!(client.reply("HEAD").status, 100);
        client.write(body);
        let lines = client.reply("POST").json();
        assert_eq!(lines.as_array().unwrap().len(), 2);
        assert_eq!(lines[1]["lfs"]["oid"], sha256(&large()));
    }
}

#[test]
fn names_that_lead_to_commits_are_listed_by_kind() {
    let hub = Hub::start();
    let (repo, commit) = model(&hub);
    repo.tag("v1", &commit).pr(187, &commit).reference("refs/convert/parquet", &commit);
    let named =
        |name: &str, full: &str| json!([{"name": name, "ref": full, "targetCommit": commit}]);
    let mut expected = json!({
        "branches": named("main", "refs/heads/main"),
        "tags": named("v1", "refs/tags/v1"),
        "converts": named("parquet", "refs/convert/parquet"),
    });
    assert_eq!(get(&hub, "/api/models/org/name/refs").json(), expected);
    expected["pullRequests"] = named("187", "refs/pr/187");
    assert_eq!(get(&hub, "/api/models/org/name/refs?include_prs=1").json(), expected);
    let commits = get(&hub, "/api/models/org/name/commits/main");
    assert_eq!(commits.header("x-total-count"), Some("1"));
    assert_eq!(commits.json()[0]["id"], commit);
}

#[test]
fn a_token_is_told_whose_it_is() {
    let hub = Hub::start();
    hub.token("hf_x", "someone");
    let url = format!("{}/api/whoami-v2", hub.url());
    let reply = ask("GET", &url, &[("Authorization", "Bearer hf_x")]);
    assert_eq!(reply.json()["name"], "someone");
    assert_eq!(reply.json()["auth"]["accessToken"]["role"], "read");
    assert_eq!(ask("GET", &url, &[]).status, 401);
}

#[test]
fn a_repository_that_moved_leads_to_its_new_name() {
    let hub = Hub::start();
    let (repo, _) = model(&hub);
    repo.moved_from("old").moved_from("org/older");
    for (old, new) in [
        ("/api/models/old", "/api/models/org/name"),
        (
            "/api/models/org/older/tree/main?recursive=true",
            "/api/models/org/name/tree/main?recursive=true",
        ),
        ("/old/resolve/main/config.json", "/org/name/resolve/main/config.json"),
    ] {
        let reply = get(&hub, old);
        assert_eq!((reply.status, reply.location()), (307, new));
    }
}

#[test]
fn the_hub_can_lie_about_what_it_has() {
    let hub = Hub::start();
    let wrong = "ab".repeat(32);
    let entries = [
        Entry::lfs("a", bytes(2, 10)).claiming_digest(&wrong),
        Entry::git("b", "bytes").claiming_size(7).claiming_digest(&wrong[..40]),
    ];
    hub.repo(Kind::Model, "org/name").commit(&entries);
    let lines = get(&hub, "/api/models/org/name/tree/main").json();
    assert_eq!(lines[0]["lfs"]["oid"], wrong);
    assert_eq!((&lines[1]["oid"], &lines[1]["size"]), (&json!(wrong[..40]), &json!(7)));
}
