//! For trying things by hand: a hub on loopback with what the fixtures have and what clients stumble
//! over, until standard input ends. A line of it names a [`trouble`] that lasts until the next such
//! line; at `log`, what was asked since the last time is written.

use std::path::Path;
use std::time::Duration;

use crate::hub::{At, Entry, Fault, Gate, Hub, Kind, On, What};

/// Alice's, too: llama.cpp sends no token that is shorter than the hub's own.
const LONG_TOKEN: &str = "hf_aliceAliceAliceAliceAliceAliceAlice";

#[test]
#[ignore = "it waits for somebody: run it with --ignored --nocapture"]
fn a_hub_to_try_things_on() {
    let hub = Hub::start();
    hub.token("hf_alice", "alice");
    hub.token(LONG_TOKEN, "alice");
    hub.token("hf_bob", "bob");
    fixtures(&hub);
    of_all_kinds(&hub);
    println!("HUB={}", hub.url());
    for line in std::io::stdin().lines().map(Result::unwrap) {
        if line == "log" {
            for request in hub.log() {
                let range = request.header("range").unwrap_or_default();
                let (method, path, query) = (&request.method, &request.path, &request.query);
                println!("{} {method} {path}?{query} {range}", request.status);
            }
            hub.forget_log();
        } else {
            hub.release_all();
            if let Some(fault) = trouble(&line) {
                hub.fault(fault.forever());
            }
        }
    }
}

/// A model for each fixture.
fn fixtures(hub: &Hub) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for dir in std::fs::read_dir(fixtures).unwrap().map(Result::unwrap) {
        let name = dir.file_name().into_string().unwrap();
        let mut entries = Vec::new();
        if !dir.file_type().unwrap().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            let path = file.file_name().into_string().unwrap();
            if path.ends_with(".safetensors") || path.ends_with(".gguf") {
                entries.push(Entry::lfs_file(&path, &file.path()));
            } else if file.file_type().unwrap().is_file() {
                entries.push(Entry::git(&path, std::fs::read(file.path()).unwrap()));
            }
        }
        hub.repo(Kind::Model, &format!("tiny/{name}")).commit(&entries);
    }
}

/// What repositories can be: private, gated, of other kinds, long, with names that must be quoted.
fn of_all_kinds(hub: &Hub) {
    let bytes = |seed, len| crate::client::bytes(seed, len);
    let small = [Entry::git("README.md", "# Small\n"), Entry::lfs("data/a.bin", bytes(1, 3 << 20))];
    let large = [Entry::lfs("big.bin", bytes(9, 300 << 20)), Entry::git("a b/ü.txt", "hello")];
    let gguf = [Entry::lfs("big-Q8_0.gguf", bytes(8, 200 << 20))];
    hub.repo(Kind::Model, "big/name").commit(&large);
    hub.repo(Kind::Model, "big/name-GGUF").commit(&gguf);
    for kind in [Kind::Model, Kind::Dataset] {
        hub.repo(kind, "bare").commit(&small);
    }
    hub.repo(Kind::Dataset, "tiny/data").commit(&small);
    hub.repo(Kind::Space, "tiny/space").commit(&[Entry::git("app.py", "print()\n")]);

    let secret = hub.repo(Kind::Model, "tiny/secret");
    secret.commit(&[Entry::git("x.txt", "secret")]);
    secret.private().grants("hf_alice").grants(LONG_TOKEN);
    for kind in [Kind::Model, Kind::Dataset] {
        let gated = hub.repo(kind, "tiny/gated");
        gated.commit(&small);
        gated.gated(Gate::Manual).grants("hf_alice").grants(LONG_TOKEN);
    }

    let named = hub.repo(Kind::Model, "tiny/named");
    let first = named.commit(&[Entry::git("x.txt", "first")]);
    let second = named.commit(&[Entry::git("x.txt", "second")]);
    named.tag("v1.0", &first).branch("dev/x", &first).pr(1, &second);

    let many = (0..2500).map(|n| Entry::git(&format!("d/{n:04}.txt"), format!("{n}\n")));
    hub.repo(Kind::Model, "tiny/many").commit(&many.collect::<Vec<_>>());

    let empty = [Entry::git("sub/__init__.py", ""), Entry::lfs("empty.bin", ""), small[0].clone()];
    hub.repo(Kind::Model, "tiny/empty").commit(&empty);
    let names = "a#b ?.txt 50%.txt 50%25.txt ünï/日本.txt é.txt e\u{301}.txt 🤗.txt a+b.txt a&b=c.txt \
                 d#?/%2F/x.txt [x]{y}.txt 'q\";.txt ~!@$^()*,:.txt .hidden resolve/main/x.txt";
    let mut odd: Vec<_> = names.split(' ').map(|name| Entry::git(name, name)).collect();
    odd.push(Entry::git("two  spaces .txt", "spaces"));
    odd.push(Entry::lfs("ü #?%+&.bin", bytes(2, 2 << 20)));
    hub.repo(Kind::Model, "tiny/odd").commit(&odd);
}

/// What goes wrong by that name with every request that it can strike; nothing for another name.
fn trouble(name: &str) -> Option<Fault> {
    Some(match name {
        "busy" => Fault::new(On::Any, What::rate_limited(2)),
        "cut" => Fault::new(On::Content, What::Close(At::Body(1 << 20))),
        "flip" => Fault::new(On::Content, What::FlipBit(1000)),
        "html" => Fault::new(On::Any, What::Html),
        "late" => Fault::new(On::Any, What::Delay(Duration::from_secs(2))),
        "lists" => Fault::new(On::Tree, What::status(500)),
        "reset" => Fault::new(On::Content, What::Reset(At::Body(1 << 20))),
        "slow" => Fault::new(On::Content, What::SlowBytes(1 << 20)),
        "stall" => Fault::new(On::Content, What::Stall(At::Body(1 << 20))),
        "unwell" => Fault::new(On::Any, What::status(503)),
        _ => return None,
    })
}
