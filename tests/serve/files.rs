//! The bytes of files, cold and warm.

use crate::bench::{Bench, CONFIG, MIB, Mirror, WEIGHTS};
use crate::client::{Reply, SMALL, ask};
use crate::hub::{Entry, Kind, sha256};
use crate::support::{add, write_tree};

fn is_file(reply: &Reply, bytes: &[u8], etag: &str) {
    assert_eq!(reply.status, 200, "{}", reply.head);
    assert_eq!(reply.header("etag"), Some(format!("\"{etag}\"").as_str()));
    assert_eq!(reply.header("content-length"), Some(bytes.len().to_string().as_str()));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
}

#[test]
fn files_are_given_as_the_hub_has_them_and_are_here_afterwards() {
    let bench = Bench::new();
    let (_, commit, weights) = bench.model(5 * MIB + 17);
    for _ in ["cold", "warm"] {
        let mirror = bench.serve();
        let head = mirror.ask("HEAD", WEIGHTS, &[]);
        is_file(&head, &weights, &sha256(&weights));
        assert_eq!(head.header("x-repo-commit"), Some(commit.as_str()));
        assert_eq!(head.header("x-linked-size"), head.header("content-length"));
        assert_eq!(head.header("x-xet-hash"), None);
        let reply = mirror.get(WEIGHTS);
        is_file(&reply, &weights, &sha256(&weights));
        assert_eq!(reply.body, weights);
        assert_eq!(mirror.get(CONFIG).body, SMALL);
        mirror.stop();
        let hub = ask("HEAD", &format!("{}{WEIGHTS}", bench.hub.url()), &[]);
        assert_eq!(head.header("x-linked-etag"), hub.header("x-linked-etag"));
    }
    assert_eq!(bench.sent(), weights.len() as u64);
    let store = bench.store();
    let here = store.resolve(&"org/name@main".parse().unwrap()).unwrap();
    assert_eq!(here.revision.as_str(), commit);
    assert_eq!(store.manifest(&here).unwrap().files().len(), 2);
    crate::support::assert_whole(&store);
}

/// All that is asked of a file of `bytes`.
fn answers_ranges(mirror: &Mirror, path: &str, bytes: &[u8]) {
    let len = bytes.len();
    let etag = format!("\"{}\"", sha256(bytes));
    for (asked, from, to) in [
        ("bytes=0-0".to_owned(), 0, 1),
        (format!("bytes=0-{len}"), 0, len),
        (format!("bytes=100-{}", len + 1_000_000), 100, len),
        (format!("bytes={}-", len - 5), len - 5, len),
        ("bytes=-7".to_owned(), len - 7, len),
        (format!("bytes={}-{}", 2 * MIB - 3, 2 * MIB + 3), 2 * MIB - 3, 2 * MIB + 4),
    ] {
        let reply = mirror.ask("GET", path, &[("range", &asked)]);
        assert_eq!(reply.status, 206, "{asked}: {}", reply.head);
        assert!(reply.body == bytes[from..to], "{asked}");
        let range = format!("bytes {from}-{}/{len}", to - 1);
        assert_eq!(reply.header("content-range"), Some(range.as_str()));
        let head = mirror.ask("HEAD", path, &[("range", &asked)]);
        assert_eq!((head.status, head.header("content-range")), (206, Some(range.as_str())));
    }
    let beyond = format!("bytes={len}-");
    let reply = mirror.ask("GET", path, &[("range", &beyond)]);
    let all = format!("bytes */{len}");
    assert_eq!((reply.status, reply.header("content-range")), (416, Some(all.as_str())));
    let known = mirror.ask("GET", path, &[("if-none-match", &etag)]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let same = mirror.ask("GET", path, &[("range", "bytes=1-2"), ("if-range", &etag)]);
    assert_eq!((same.status, same.body.as_slice()), (206, &bytes[1..3]));
    let other = mirror.ask("GET", path, &[("range", "bytes=1-2"), ("if-range", "\"other\"")]);
    assert!(other.status == 200 && other.body == bytes);
}

#[test]
fn ranges_are_those_asked_for_cold_and_warm() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(70 * MIB + 5);
    for _ in ["cold", "warm"] {
        let mirror = bench.serve();
        answers_ranges(&mirror, WEIGHTS, &weights);
        mirror.stop();
    }
    assert_eq!(bench.sent(), weights.len() as u64);
}

#[test]
fn a_part_of_a_large_file_does_not_fetch_all_of_it() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(100 * MIB);
    let at = 50 * MIB + 7;
    for _ in 0..3 {
        let mirror = bench.serve();
        let reply = mirror.ask("GET", WEIGHTS, &[("range", &format!("bytes={at}-{}", at + 9))]);
        assert!(reply.body == weights[at..at + 10]);
        let reply = mirror.ask("GET", WEIGHTS, &[("range", "bytes=-8")]);
        assert!(reply.body == weights[weights.len() - 8..]);
        mirror.stop();
    }
    // Each time the same two MiBs: what came is kept, and proven before it is given again.
    assert_eq!(bench.sent(), 2 * MIB as u64);
    let mirror = bench.serve();
    assert!(mirror.get(WEIGHTS).body == weights);
    assert_eq!(bench.sent(), weights.len() as u64);
}

#[test]
fn an_empty_file_is_no_error() {
    let bench = Bench::new();
    bench.repo().commit(&[Entry::git("empty", Vec::new()), Entry::git("full", "x")]);
    let mirror = bench.serve();
    for _ in ["cold", "warm"] {
        let reply = mirror.get("/org/name/resolve/main/empty");
        assert_eq!((reply.status, reply.header("content-length")), (200, Some("0")));
        let probe = mirror.ask("GET", "/org/name/resolve/main/empty", &[("range", "bytes=0-0")]);
        assert_eq!((probe.status, probe.header("content-range")), (200, Some("bytes */0")));
    }
}

#[test]
fn a_file_name_may_be_anything() {
    let bench = Bench::new();
    let names = ["a b.txt", "ü/ß.txt", "#?%&+.txt", "%2F.txt", "日本語", "<script>.html"];
    let entries: Vec<_> = names.iter().map(|name| Entry::git(name, name.as_bytes())).collect();
    bench.repo().commit(&entries);
    let mirror = bench.serve();
    for _ in ["cold", "warm"] {
        for name in names {
            let quoted: String = name
                .bytes()
                .map(|b| if b == b'/' { "/".to_owned() } else { format!("%{b:02X}") })
                .collect();
            let reply = mirror.get(&format!("/org/name/resolve/main/{quoted}"));
            assert_eq!((reply.status, reply.text()), (200, name), "{}", reply.head);
            // No page of a repository runs in this server's name.
            assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
            assert!(reply.header("content-security-policy").unwrap().contains("sandbox"));
        }
    }
}

#[test]
fn datasets_and_spaces_have_their_places() {
    let bench = Bench::new();
    for kind in [Kind::Dataset, Kind::Space] {
        bench.hub.repo(kind, "org/name").commit(&[Entry::git("kind", format!("{kind:?}"))]);
    }
    let mirror = bench.serve();
    for (prefix, kind) in [("datasets", "Dataset"), ("spaces", "Space")] {
        let path = format!("/{prefix}/org/name/resolve/main/kind");
        assert_eq!(mirror.get(&path).text(), kind);
        let info = mirror.get(&format!("/api/{prefix}/org/name")).json();
        assert_eq!(info["id"], "org/name");
    }
    assert_eq!(mirror.get("/org/name/resolve/main/kind").status, 401);
}

#[test]
fn what_was_added_here_is_a_repository_like_any() {
    let bench = Bench::new();
    let large = crate::client::bytes(3, 11 * MIB);
    let source = bench.dir("source");
    write_tree(&source, &[("config.json", SMALL), ("sub/model.bin", &large)]);
    add(&bench.store(), &source, "mine/model");
    let mirror = bench.serve();
    let info = mirror.get("/api/models/mine/model/revision/main").json();
    let sha = info["sha"].as_str().unwrap();
    assert_eq!(sha.len(), 40);
    let tree = mirror.get(&format!("/api/models/mine/model/tree/{sha}?recursive=true")).json();
    let lines = tree.as_array().unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["lfs"]["oid"], sha256(&large));
    for (path, bytes) in [("config.json", SMALL), ("sub/model.bin", &large)] {
        let reply = mirror.get(&format!("/mine/model/resolve/{sha}/{path}"));
        assert!(reply.body == bytes, "{}", reply.head);
        let line = lines.iter().find(|line| line["path"] == path).unwrap();
        let oid = line["lfs"]["oid"].as_str().or(line["oid"].as_str()).unwrap();
        assert_eq!(reply.header("etag"), Some(format!("\"{oid}\"").as_str()));
    }
    let refs = mirror.get("/api/models/mine/model/refs").json();
    assert_eq!(refs["branches"][0]["targetCommit"], sha);
    let raw = mirror.get(&format!("/mine/model/raw/{sha}/sub/model.bin"));
    assert!(raw.text().contains(&format!("oid sha256:{}", sha256(&large))));
    // The hub was asked for none of it.
    assert!(bench.hub.log().is_empty());
}

#[test]
fn a_damaged_blob_is_never_served() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(3 * MIB);
    let mirror = bench.serve();
    mirror.get(WEIGHTS);
    mirror.stop();
    let store = bench.store();
    let here = store.resolve(&"org/name".parse().unwrap()).unwrap();
    let manifest = store.manifest(&here).unwrap();
    let blob = manifest.files().iter().find(|f| f.path.as_str() == "weights.bin").unwrap().blob;
    let path = bench.path().join("blobs").join(blob.to_string());
    let mut damaged = weights.clone();
    damaged[MIB] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &damaged).unwrap();
    let mirror = bench.serve();
    // It comes from the hub again, and heals the store.
    assert!(mirror.get(WEIGHTS).body == weights);
    mirror.stop();
    assert!(std::fs::read(&path).unwrap() == weights);
    crate::support::assert_whole(&bench.store());
}
