//! For trying things by hand: a hub on loopback with what the fixtures have, until standard input ends.

use std::path::Path;

use crate::hub::{Entry, Hub, Kind};

#[test]
#[ignore = "it waits for somebody: run it with --ignored --nocapture"]
fn a_hub_to_try_things_on() {
    let hub = Hub::start();
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
    let big = crate::client::bytes(9, 300 << 20);
    hub.repo(Kind::Model, "big/name")
        .commit(&[Entry::lfs("big.bin", big), Entry::git("a b/ü.txt", "hello")]);
    let secret = hub.repo(Kind::Model, "tiny/secret");
    secret.commit(&[Entry::git("x.txt", "secret")]);
    hub.token("hf_alice", "alice");
    secret.private().grants("hf_alice");
    println!("HUB={}", hub.url());
    std::io::read_to_string(std::io::stdin()).unwrap();
}
