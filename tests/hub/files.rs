//! The way to a file's bytes when nothing goes wrong.

use crate::client::{CONFIG, Client, Ended, SMALL, WEIGHTS, ask, bytes, get, large, link, model};
use crate::hub::{Entry, Hub, Kind, git_sha1, sha256};

#[test]
fn a_small_file_is_redirected_to_a_place_on_the_hub() {
    let hub = Hub::start();
    let (_, commit) = model(&hub);
    let mut client = Client::new(&hub.url());
    for method in ["HEAD", "GET"] {
        let reply = client.ask(method, CONFIG, &[]);
        assert_eq!(reply.status, 307);
        let place = format!(
            "/api/resolve-cache/models/org/name/{commit}/config.json\
             ?%2Forg%2Fname%2Fresolve%2Fmain%2Fconfig.json=&etag=%22{}%22",
            git_sha1(SMALL)
        );
        assert_eq!(reply.location(), place);
        assert_eq!(reply.header("x-repo-commit"), Some(commit.as_str()));
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
        assert_eq!(reply.header("ratelimit"), Some("\"resolvers\";r=2999;t=172"));
        assert_ne!(reply.header("content-length"), Some("0"));
        assert_eq!(reply.body.is_empty(), method == "HEAD");

        let reply = client.ask(method, &place, &[]);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-length"), Some(SMALL.len().to_string().as_str()));
        assert_eq!(reply.header("etag"), Some(format!("\"{}\"", git_sha1(SMALL)).as_str()));
        assert_eq!(reply.header("x-repo-commit"), Some(commit.as_str()));
        assert_eq!(reply.body, if method == "HEAD" { b"" } else { SMALL });
    }
}

#[test]
fn a_large_file_is_redirected_to_the_content_network() {
    let hub = Hub::start();
    let (_, commit) = model(&hub);
    let digest = sha256(&large());
    let reply = ask("HEAD", &format!("{}{WEIGHTS}", hub.url()), &[]);
    assert_eq!(reply.status, 302);
    let to = reply.location();
    assert!(to.starts_with(&format!("{}/xet-bridge-us/", hub.cdn_url())), "{to}");
    assert_ne!(hub.url(), hub.cdn_url());
    assert_eq!(reply.header("x-repo-commit"), Some(commit.as_str()));
    assert_eq!(reply.header("x-linked-size"), Some("3000000"));
    assert_eq!(reply.header("x-linked-etag"), Some(format!("\"{digest}\"").as_str()));
    assert_eq!(reply.header("x-xet-hash"), None);

    let reply = ask("GET", to, &[]);
    assert_eq!(reply.status, 200);
    assert!(reply.body == large());
    let etag = reply.header("etag").unwrap();
    assert_ne!(etag, format!("\"{digest}\""), "a content network's ETag is no SHA-256");

    assert_eq!(ask("GET", &to.replace("Signature=", "Signature=0"), &[]).status, 403);
    assert_eq!(ask("GET", &hub.cdn_url(), &[]).status, 403);
}

#[test]
fn the_other_protocol_is_told_of_only_when_wanted() {
    let hub = Hub::start();
    let (_, commit) = model(&hub);
    hub.xet_signals(true);
    let reply = get(&hub, WEIGHTS);
    assert_eq!(reply.header("x-xet-hash").unwrap().len(), 64);
    let auth = format!("/api/models/org/name/xet-read-token/{commit}");
    assert!(reply.header("link").unwrap().contains(&format!("{auth}>; rel=\"xet-auth\"")));
    assert_eq!(get(&hub, &auth).json()["accessToken"], "xet");
}

#[test]
fn ranges_are_answered_with_just_their_bytes() {
    let hub = Hub::start();
    model(&hub);
    let (url, large) = (link(&hub, WEIGHTS), large());
    for (asked, range) in [
        ("bytes=0-0", 0..1),
        ("bytes=0-99", 0..100),
        ("bytes=1000000-", 1_000_000..3_000_000),
        ("bytes=2999990-3000000", 2_999_990..3_000_000),
        ("bytes=-10", 2_999_990..3_000_000),
    ] {
        let reply = ask("GET", &url, &[("Range", asked)]);
        assert_eq!(reply.status, 206, "{asked}");
        let said = format!("bytes {}-{}/3000000", range.start, range.end - 1);
        assert_eq!(reply.header("content-range"), Some(said.as_str()));
        assert!(reply.body == large[range], "{asked}");
    }
    let reply = ask("GET", &url, &[("Range", "bytes=3000000-")]);
    assert_eq!((reply.status, reply.header("content-range")), (416, Some("bytes */3000000")));
    assert!(reply.body.is_empty());
    let etag = ask("HEAD", &url, &[]).header("etag").unwrap().to_owned();
    for (if_range, status) in [(etag.as_str(), 206), ("\"another\"", 200)] {
        let headers = [("Range", "bytes=0-9"), ("If-Range", if_range)];
        assert_eq!(ask("GET", &url, &headers).status, status);
    }
    let log = hub.log();
    let ranges: Vec<_> = log.iter().filter_map(|request| request.range).collect();
    assert_eq!(ranges[..3], [(0, Some(0)), (0, Some(99)), (1_000_000, None)]);
}

#[test]
fn some_small_files_are_served_without_a_redirect() {
    let hub = Hub::start();
    hub.token("hf_x", "someone");
    let entries = [Entry::git("empty", ""), Entry::git("small", "small")];
    hub.repo(Kind::Model, "org/name").commit(&entries);
    hub.repo(Kind::Model, "bare").commit(&entries);
    hub.repo(Kind::Model, "org/private").private().grants("hf_x").commit(&entries);
    for (path, body) in [
        ("/org/name/resolve/main/empty", ""),
        ("/bare/resolve/main/small", "small"),
        ("/org/private/resolve/main/small", "small"),
    ] {
        let url = format!("{}{path}", hub.url());
        let reply = ask("GET", &url, &[("Authorization", "Bearer hf_x")]);
        assert_eq!((reply.status, reply.text()), (200, body));
        assert!(reply.header("x-repo-commit").is_some() && reply.header("etag").is_some());
    }
    let url = format!("{}/org/name/resolve/main/empty", hub.url());
    let reply = ask("GET", &url, &[("Range", "bytes=0-")]);
    assert_eq!((reply.status, reply.header("content-range")), (200, Some("bytes */0")));
}

#[test]
fn a_mirror_serves_large_files_itself() {
    let hub = Hub::start();
    model(&hub);
    hub.serve_directly(true);
    let url = format!("{}{WEIGHTS}", hub.url());
    let reply = ask("GET", &url, &[("Range", "bytes=5-9")]);
    assert_eq!((reply.status, &reply.body[..]), (206, &large()[5..10]));
    assert_eq!(reply.header("etag"), Some(format!("\"{}\"", sha256(&large())).as_str()));
}

#[test]
fn what_a_client_has_already_is_not_sent_again() {
    let hub = Hub::start();
    model(&hub);
    for (path, digest) in [(CONFIG, git_sha1(SMALL)), (WEIGHTS, sha256(&large()))] {
        let mut client = Client::new(&hub.url());
        let reply = client.ask("GET", path, &[("If-None-Match", &format!("\"{digest}\""))]);
        assert_eq!(reply.status, 304);
        assert_eq!(client.get("/api/models/org/name").status, 200);
    }
}

#[test]
fn git_has_a_pointer_for_a_large_file() {
    let hub = Hub::start();
    model(&hub);
    let pointer = get(&hub, "/org/name/raw/main/weights/model.safetensors");
    assert!(pointer.text().ends_with(&format!("oid sha256:{}\nsize 3000000\n", sha256(&large()))));
    let tree = get(&hub, "/api/models/org/name/tree/main/weights").json();
    assert_eq!(tree[0]["oid"], git_sha1(&pointer.body));
}

#[test]
fn a_file_on_disk_is_served_as_it_is() {
    let hub = Hub::start();
    let dir = tempfile::tempdir().unwrap();
    let (file, bytes) = (dir.path().join("large"), bytes(3, 5_000_001));
    std::fs::write(&file, &bytes).unwrap();
    let repo = hub.repo(Kind::Model, "org/name");
    let entry = Entry::lfs_file("large.bin", &file);
    assert_eq!(entry.digest(), sha256(&bytes));
    repo.commit(&[entry]);
    let url = link(&hub, &repo.resolve_path("main", "large.bin"));
    assert!(ask("GET", &url, &[]).body == bytes);
    let range = [("Range", "bytes=1000001-4000000")];
    assert!(ask("GET", &url, &range).body == bytes[1_000_001..4_000_001]);
    assert_eq!(hub.body_bytes_sent("large.bin"), 8_000_001);
}

#[test]
fn links_expire_when_told() {
    let hub = Hub::start();
    model(&hub);
    let old = link(&hub, WEIGHTS);
    hub.expire_links();
    assert_eq!(ask("GET", &old, &[]).status, 403);
    assert_eq!(ask("HEAD", &link(&hub, WEIGHTS), &[]).status, 200);
}

#[test]
fn a_connection_serves_one_request_after_the_other_until_either_side_ends_it() {
    let hub = Hub::start();
    model(&hub);
    let mut client = Client::new(&hub.url());
    for _ in 0..3 {
        assert_eq!(client.ask("HEAD", CONFIG, &[]).status, 307);
        assert_eq!(client.get("/api/models/org/name").status, 200);
        assert_eq!(client.get("/nowhere").status, 404);
    }
    client.send("GET", CONFIG, &[]);
    client.send("GET", WEIGHTS, &[]);
    assert_eq!((client.reply("GET").status, client.reply("GET").status), (307, 302));
    let connections: Vec<_> = hub.log().iter().map(|request| request.connection).collect();
    assert_eq!(connections, vec![connections[0]; 11]);
    let reply = client.ask("GET", CONFIG, &[("Connection", "close")]);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(client.rest(), (Vec::new(), Ended::Cut));
}
