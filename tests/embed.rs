//! The example of an app that embeds the library, as a process against a hub of our own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it expects by failing"
)]

#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod embed;
#[path = "support/hub.rs"]
mod hub;

use std::fs;
use std::path::Path;
use std::process::Command;

use hub::{Entry, Gate, Hub, Kind};

/// The arguments of the app, with line breaks between.
const ARGUMENTS: &str = "TONNAGE_EMBED_ARGUMENTS";

/// This test binary is the app's process when it is told its arguments.
#[test]
fn role_of_the_app() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let variables = |name: &str| std::env::var(name).ok();
    let args: Vec<_> = arguments.lines().map(str::to_owned).collect();
    if let Err(e) = runtime.block_on(embed::app(args.into_iter(), variables)) {
        eprintln!("Error: {e:?}");
        std::process::exit(1);
    }
}

/// Runs the app, and gives back whether it ended well, and what it said.
fn app(hub: &Hub, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "role_of_the_app", "--nocapture"]);
    for (name, _) in std::env::vars() {
        if name.starts_with("HF_") || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.env(ARGUMENTS, arguments.join("\n")).env("HF_ENDPOINT", hub.url());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn model(hub: &Hub, name: &str, weights: &[u8]) -> hub::RepoHandle {
    let repo = hub.repo(Kind::Model, name);
    repo.commit(&[Entry::git("config.json", "{}"), Entry::lfs("model.bin", weights)]);
    repo
}

fn is_there(home: &Path, name: &str, weights: &[u8]) {
    let files = home.join("models").join(name);
    assert!(fs::read(files.join("model.bin")).unwrap() == weights, "{name} has other bytes");
    assert_eq!(fs::read(files.join("config.json")).unwrap(), b"{}");
}

#[test]
fn an_app_downloads_shows_how_far_it_is_and_has_the_files() {
    let hub = Hub::start();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("store");
    let weights: Vec<_> = (0..3).map(|seed| bytes(seed, 5_000_000 + usize::from(seed))).collect();
    for (number, weights) in weights.iter().enumerate() {
        model(&hub, &format!("org/m{number}"), weights);
    }
    let at = home.to_str().unwrap();
    let (ended, said) = app(&hub, &[at, "org/m0"]);
    assert!(ended, "{said}");
    assert!(said.contains("org/m0: 5000002 of 5000002 bytes to fetch"), "{said}");
    assert!(said.contains("5000002 of 5000002 bytes,"), "{said}");
    assert!(said.contains("5000002 bytes came, 0 were here"), "{said}");
    assert!(said.contains("models/org--m0"), "{said}");
    is_there(&home, "org--m0", &weights[0]);

    let asked = hub.log().len();
    let (ended, said) = app(&hub, &[at, "org/m0"]);
    assert!(ended && said.contains("org/m0 is here"), "{said}");
    assert_eq!(hub.log().len(), asked, "what is here needs no hub");

    let (ended, said) = app(&hub, &[at, "org/m0", "org/m1", "org/m2", "org/none"]);
    assert!(ended, "{said}");
    assert!(said.contains("4 of 4 files") && said.contains("org/none: "), "{said}");
    let size: u64 = weights.iter().map(|w| w.len() as u64).sum();
    assert_eq!(hub.body_bytes_sent("model.bin"), size);
    let store = tonnage::store::Store::open(&home, tonnage::store::Access::Write).unwrap();
    assert_eq!((store.list().unwrap().len(), store.fsck().unwrap().problems), (3, Vec::new()));
}

#[test]
fn an_app_tells_its_user_what_to_do() {
    let hub = Hub::start();
    let dir = tempfile::tempdir().unwrap();
    model(&hub, "org/closed", b"bytes").gated(Gate::Manual);
    let at = dir.path().join("store").to_str().unwrap().to_owned();
    let (ended, said) = app(&hub, &[&at, "org/closed"]);
    assert!(!ended, "{said}");
    assert!(said.contains("accept the licence"), "{said}");
    let (ended, said) = app(&hub, &[&at]);
    assert!(!ended && said.contains("usage: embed DIRECTORY MODEL..."), "{said}");
}
