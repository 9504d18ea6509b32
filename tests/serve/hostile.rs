//! What bad input gets.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::bench::{Bench, CONFIG, MIB, WEIGHTS};
use crate::client::SMALL;

#[test]
fn a_name_that_is_not_this_servers_is_refused() {
    let bench = Bench::new();
    bench.model(MIB);
    let mirror = bench.serve();
    for host in ["evil.test", "evil.test:7070", "localhost.evil.test"] {
        let mut client = mirror.client();
        client.write(&format!("GET {CONFIG} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.reply("GET").status, 421, "{host}");
    }
    assert!(bench.hub.log().is_empty());
}

#[test]
fn what_is_no_name_is_no_path() {
    let bench = Bench::new();
    bench.model(MIB);
    let mirror = bench.serve();
    mirror.get(CONFIG);
    for (path, status) in [
        ("/org/name/resolve/main/../../../../etc/passwd", 404),
        ("/org/name/resolve/main/..%2F..%2F..%2Fetc%2Fpasswd", 404),
        ("/org/name/resolve/..%2F..%2Fx/config.json", 404),
        ("/..%2f../name/resolve/main/config.json", 400),
        ("/org/name/resolve/main/%00", 400),
        ("/org/name/resolve/main/%ff", 400),
        ("/api/models/%2e%2e/revision/main", 400),
        ("/api/models/org%2Fname/revision/main", 400),
        ("/org/name/resolve/main//config.json", 404),
        ("/org/name/resolve/main/config.json/", 404),
        ("/%3Cscript%3E/x/resolve/main/y", 400),
    ] {
        let reply = mirror.get(path);
        assert_eq!(reply.status, status, "{path}: {}", reply.head);
    }
    for (method, path) in [("POST", CONFIG), ("DELETE", CONFIG), ("PUT", "/api/models/org/name")] {
        assert_eq!(mirror.ask(method, path, &[("content-length", "0")]).status, 405);
    }
}

#[test]
fn a_list_without_end_is_cut_off() {
    let bench = Bench::new();
    bench.model(MIB);
    let mirror = bench.serve();
    let long = format!("paths={}", "a".repeat(2 << 20));
    let mut client = mirror.client();
    let headers =
        [("content-type", "application/x-www-form-urlencoded"), ("content-length", "99999999999")];
    mirror.send(&mut client, "POST", "/api/models/org/name/paths-info/main", &headers);
    client.write(&long);
    assert_eq!(client.reply("POST").status, 413);
}

#[test]
fn idle_connections_keep_nobody_out() {
    let bench = Bench::new();
    bench.model(MIB);
    let mirror = bench.serve();
    // More than there are places for, when the system has so many descriptors for both sides.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let many = if limit.current.is_none_or(|most| most > 6000) { 2500 } else { 400 };
    let idle: Vec<_> = (0..many).map(|_| mirror.client()).collect();
    let mut slow = mirror.client();
    slow.write("GET /org/na");
    // Those who came a moment ago are left alone for a moment.
    let mut reply = mirror.get(CONFIG);
    while reply.status == 503 {
        reply = mirror.get(CONFIG);
    }
    assert_eq!(reply.body, SMALL);
    drop((idle, slow));
    assert_eq!(mirror.get(WEIGHTS).body.len(), MIB);
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let bench = Bench::new();
    let mirror = bench.serve();
    let mut client = mirror.client();
    let long = "a".repeat(1 << 20);
    client.write(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"));
    assert_eq!(client.reply("GET").status, 431);
}
