//! Bodies that go wrong at a byte.

use std::io::Read;

use crate::client::{CONFIG, Client, Ended, Reply, WEIGHTS, ask, bytes, get, large, link, model};
use crate::hub::{At, Entry, Fault, Hub, Kind, On, What};

const NAME: &str = "weights/model.safetensors";

/// A hub with a fault on its content network, and a URL there.
fn faulty(what: What) -> (Hub, crate::hub::FaultHandle, String) {
    let hub = Hub::start();
    model(&hub);
    let fault = hub.fault(Fault::new(On::Cdn, what).forever());
    let url = link(&hub, WEIGHTS);
    (hub, fault, url)
}

fn range(url: &str, range: &str) -> Reply {
    ask("GET", url, &[("Range", range)])
}

#[test]
fn a_body_is_closed_or_reset_after_its_bytes() {
    for (after, range_) in [(0, "bytes=0-"), (1, "bytes=0-"), (1_234_567, "bytes=1000-")] {
        for (what, ended) in [
            (What::Close(At::Body(after)), Ended::Cut),
            (What::Reset(At::Body(after)), Ended::Reset),
        ] {
            let (hub, fault, url) = faulty(what);
            let reply = range(&url, range_);
            assert_eq!((reply.status, reply.ended), (206, ended));
            let start = if range_ == "bytes=0-" { 0 } else { 1000 };
            assert!(reply.body == large()[start..start + after as usize], "{after}");
            assert_eq!((fault.hits(), hub.body_bytes_sent(NAME)), (1, after));
        }
    }
}

#[test]
fn a_body_ends_before_a_byte_of_the_file_whichever_range_has_it() {
    let (_hub, fault, url) = faulty(What::Close(At::File(1_000_000)));
    assert_eq!(range(&url, "bytes=0-999999").ended, Ended::Whole);
    assert_eq!(range(&url, "bytes=1000001-1000009").ended, Ended::Whole);
    assert_eq!(fault.hits(), 0);
    let reply = range(&url, "bytes=999990-1000009");
    assert_eq!((reply.body.len(), reply.ended, fault.hits()), (10, Ended::Cut, 1));
}

#[test]
fn a_longer_body_than_there_is_cannot_be_cut_and_nor_can_the_body_of_a_head() {
    let (_hub, fault, url) = faulty(What::Close(At::Body(100)));
    assert_eq!(range(&url, "bytes=0-98").ended, Ended::Whole);
    assert_eq!(ask("HEAD", &url, &[]).ended, Ended::Whole);
    assert_eq!(fault.hits(), 0);
}

#[test]
fn a_stalled_body_goes_on_when_it_is_released() {
    let (hub, fault, url) = faulty(What::Stall(At::Body(1_000_000)));
    let mut client = Client::new(&url);
    client.send("GET", &url[hub.cdn_url().len()..], &[]);
    hub.wait_for_bytes(NAME, 1_000_000);
    assert_eq!((hub.body_bytes_sent(NAME), fault.hits()), (1_000_000, 1));
    assert!(!hub.log().last().unwrap().done);
    fault.release();
    let reply = client.reply("GET");
    assert!(reply.body == large());
    assert!(hub.log().last().unwrap().done);
}

#[test]
fn a_stalled_answer_ends_with_the_hub() {
    for at in [At::Head(0), At::Head(20), At::Body(0), At::File(5)] {
        let (hub, fault, url) = faulty(What::Stall(at));
        let mut client = Client::new(&url);
        client.send("GET", &url[hub.cdn_url().len()..], &[]);
        fault.wait_hits(1);
        drop(hub);
        let (_, ended) = client.rest();
        assert_ne!(ended, Ended::Whole);
    }
}

#[test]
fn a_body_that_nobody_reads_ends_with_the_hub() {
    let hub = Hub::start();
    hub.repo(Kind::Model, "org/name").commit(&[Entry::lfs("big", bytes(4, 50_000_000))]);
    let url = link(&hub, "/org/name/resolve/main/big");
    let mut client = Client::new(&url);
    client.send("GET", &url[hub.cdn_url().len()..], &[]);
    hub.wait_for_bytes("big", 1);
    drop(hub);
}

#[test]
fn a_range_is_ignored_shortened_or_mislabelled() {
    let asked = "bytes=1000-1999";
    let large = large();
    let (_hub, _, url) = faulty(What::IgnoreRange);
    let reply = range(&url, asked);
    assert_eq!((reply.status, reply.header("content-range")), (200, None));
    assert!(reply.body == large);

    let (_hub, fault, url) = faulty(What::ShortRange(10));
    let reply = range(&url, asked);
    assert_eq!(reply.header("content-range"), Some("bytes 1000-1009/3000000"));
    assert_eq!((reply.body.as_slice(), reply.ended), (&large[1000..1010], Ended::Whole));
    assert_eq!((range(&url, "bytes=0-9").body.len(), fault.hits()), (10, 1));

    let (_hub, _, url) = faulty(What::WrongContentRange { start: -5, total: 7 });
    let reply = range(&url, asked);
    assert_eq!(reply.header("content-range"), Some("bytes 995-1994/3000007"));
    assert_eq!(reply.body, large[1000..2000]);

    let (_hub, _, url) = faulty(What::NoContentRange);
    let reply = range(&url, asked);
    assert_eq!((reply.status, reply.header("content-range")), (206, None));

    let (_hub, _, url) = faulty(What::Multipart);
    let reply = range(&url, asked);
    let kind = reply.header("content-type");
    assert_eq!((reply.status, kind), (206, Some("multipart/byteranges; boundary=edge")));
    assert!(reply.body.starts_with(b"--edge\r\n") && reply.body.ends_with(b"\r\n--edge--\r\n"));
    assert!(reply.body.windows(1000).any(|window| window == &large[1000..2000]));
}

#[test]
fn a_length_lies_in_either_direction() {
    let (hub, _, url) = faulty(What::LyingLength(5));
    let reply = range(&url, "bytes=0-99");
    assert_eq!(reply.header("content-length"), Some("105"));
    assert_eq!((reply.body.len(), reply.ended), (100, Ended::Cut));
    drop(hub);

    let (hub, _, url) = faulty(What::LyingLength(-5));
    let mut client = Client::new(&url);
    let path = &url[hub.cdn_url().len()..];
    let reply = client.ask("GET", path, &[("Range", "bytes=0-99")]);
    assert_eq!((reply.body.len(), reply.ended), (95, Ended::Whole));
    assert_eq!(client.rest(), (large()[95..100].to_vec(), Ended::Cut));
}

#[test]
fn a_short_body_agrees_with_its_length_and_not_with_its_range() {
    let (_hub, _, url) = faulty(What::TruncatedConsistent(10));
    let reply = range(&url, "bytes=0-99");
    assert_eq!(reply.header("content-range"), Some("bytes 0-99/3000000"));
    assert_eq!((reply.body.len(), reply.ended), (10, Ended::Whole));
    let reply = ask("GET", &url, &[]);
    assert_eq!((reply.status, reply.body.len(), reply.ended), (200, 10, Ended::Whole));
}

#[test]
fn a_bit_is_wrong_at_its_place_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, large()).unwrap();
    let hub = Hub::start();
    let repo = hub.repo(Kind::Model, "org/name");
    repo.commit(&[Entry::lfs("memory", large()), Entry::lfs_file("disk", &file)]);
    let mut expected = large();
    expected[2_000_000] ^= 1;
    for name in ["memory", "disk"] {
        let fault = hub.fault(Fault::new(On::Content, What::FlipBit(2_000_000)).path(name));
        let url = link(&hub, &repo.resolve_path("main", name));
        assert!(range(&url, "bytes=0-1999999").body == large()[..2_000_000]);
        assert_eq!(fault.hits(), 0);
        assert!(ask("GET", &url, &[]).body == expected);
        assert!(ask("GET", &url, &[]).body == large());
        assert_eq!(fault.hits(), 1);
    }
}

#[test]
fn a_small_file_goes_wrong_where_it_is_served() {
    let hub = Hub::start();
    model(&hub);
    hub.fault(Fault::new(On::Content, What::FlipBit(0)).path("config.json"));
    let reply = get(&hub, get(&hub, CONFIG).location());
    assert_eq!(&reply.body[..2], b"z\"");
    hub.fault(Fault::new(On::Cache, What::Close(At::Body(2))));
    assert_eq!(get(&hub, get(&hub, CONFIG).location()).body, b"{\"");
    hub.serve_directly(true);
    hub.fault(Fault::new(On::Resolve, What::Close(At::Body(2))));
    assert_eq!(get(&hub, CONFIG).body, b"{\"");
}

#[test]
fn a_body_is_compressed_though_nobody_asked() {
    let (_hub, _, url) = faulty(What::Gzip);
    let reply = range(&url, "bytes=0-99999");
    assert_eq!((reply.status, reply.header("content-encoding")), (206, Some("gzip")));
    assert_eq!(reply.header("content-range"), Some("bytes 0-99999/3000000"));
    assert_eq!(&reply.body[..3], [0x1f, 0x8b, 8]);
    assert!(gunzip(&reply.body) == large()[..100_000]);
}

/// What the system's gzip makes of it.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut child = std::process::Command::new("gzip")
        .arg("-dc")
        .stdin(file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    assert!(child.wait().unwrap().success());
    out
}

#[test]
fn a_body_comes_in_chunks() {
    let (hub, _, url) = faulty(What::Chunked);
    let mut client = Client::new(&url);
    let path = &url[hub.cdn_url().len()..];
    client.send("GET", path, &[("Range", "bytes=0-9"), ("Connection", "close")]);
    let reply = client.reply("GET");
    assert_eq!(reply.header("content-length"), None);
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    let expected = [b"a\r\n", &large()[..10], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(client.rest(), (expected, Ended::Cut));
    assert_eq!(hub.body_bytes_sent(NAME), 10);
}

#[test]
fn an_etag_is_another_each_time() {
    let (hub, _, url) = faulty(What::EtagChanges);
    let etags = [0, 1].map(|_| ask("HEAD", &url, &[]).header("etag").unwrap().to_owned());
    assert_ne!(etags[0], etags[1]);
    hub.fault(Fault::new(On::Resolve, What::EtagChanges));
    assert!(get(&hub, WEIGHTS).header("x-linked-etag").unwrap().starts_with("\"changed-"));
}

#[test]
fn a_slow_body_is_a_right_one() {
    let (hub, fault, url) = faulty(What::SlowBytes(10_000_000));
    assert!(range(&url, "bytes=0-1000000").body == large()[..1_000_001]);
    assert_eq!((fault.hits(), hub.body_bytes_sent(NAME)), (1, 1_000_001));
}
