//! `pull` over loopback against other downloaders, in turn and in one run:
//! `cargo bench --bench download [-- NAME…]`. `TONNAGE_BENCH_MIB` is the size of the large file, and
//! of the twenty files together (default 4096).
//!
//! All are served by the hub of the tests, which sends with sendfile. Only `pull` checks digests,
//! two of them; `curl` is followed by `sha256sum` where that is said.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    dead_code,
    reason = "a bench stops at the first surprise, and prints; what it shares with others it need not use"
)]

#[path = "../tests/support/hub.rs"]
mod hub;
#[path = "support/pairs.rs"]
mod pairs;

use std::fs;
use std::path::{Path, PathBuf};

use hub::{Entry, Hub, Kind};
use pairs::{Run, TONNAGE, arguments, directory, fill, fresh, is_installed, pair, run, text};

/// A repository on loopback.
struct World {
    hub: Hub,
    dir: PathBuf,
    files: Vec<String>,
    bytes: u64,
}

fn main() {
    let Some(args) = arguments() else { return };
    let dir = directory("download");
    let mib: u64 = std::env::var("TONNAGE_BENCH_MIB").map_or(4096, |text| text.parse().unwrap());
    for (name, count) in [("one", 1), ("twenty", 20)] {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            let world = World::new(&dir, count, (mib << 20) / count);
            println!("{name}: {} MB in all", world.bytes / 1_000_000);
            world.measure();
        }
    }
    fs::remove_dir_all(&dir).unwrap();
}

impl World {
    fn new(dir: &Path, count: u64, size: u64) -> Self {
        let source = dir.join("source");
        fs::create_dir_all(fresh(&source)).unwrap();
        let hub = Hub::start();
        let files: Vec<_> = (0..count).map(|n| format!("model-{n}.safetensors")).collect();
        let mut entries = Vec::new();
        for (n, name) in files.iter().enumerate() {
            fill(&source.join(name), n as u64, size);
            entries.push(Entry::lfs_file(name, &source.join(name)));
        }
        hub.repo(Kind::Model, "bench/model").commit(&entries);
        Self { hub, dir: dir.to_owned(), files, bytes: count * size }
    }

    fn measure(&self) {
        let urls: Vec<_> = self
            .files
            .iter()
            .map(|file| format!("{}/bench/model/resolve/main/{file}", self.hub.url()))
            .collect();
        if is_installed("curl") {
            let each = |then: &str| {
                let fetch = |(file, url): (&String, &String)| {
                    format!("curl -sfL -o '{file}' '{url}'{}", then.replace("FILE", file))
                };
                let all: Vec<_> = self.files.iter().zip(&urls).map(fetch).collect();
                all.join(" && ")
            };
            self.against("pull / curl", &each(""));
            self.against("pull / curl, sha256sum", &each(" && sha256sum 'FILE'"));
        }
        if is_installed("aria2c") {
            let list = self.dir.join("urls");
            fs::write(&list, urls.join("\n")).unwrap();
            let list = text(&list);
            self.against("pull / aria2c -x16", &format!("aria2c -q -x16 -s16 -i '{list}'"));
        }
        if is_installed("hf") {
            let endpoint = self.hub.url();
            let hf = format!(
                "HF_ENDPOINT={endpoint} HF_HOME=home HF_HUB_DISABLE_XET=1 hf download bench/model"
            );
            self.against("pull / hf download", &hf);
        }
    }

    /// Against what a shell does in an empty directory.
    fn against(&self, label: &str, script: &str) {
        let (store, target) = (self.dir.join("store"), self.dir.join("target"));
        let endpoint = self.hub.url();
        pair(
            label,
            self.bytes,
            3,
            |_| {
                fresh(&target);
                self.pull(fresh(&store), &endpoint)
            },
            |_| {
                fresh(&store);
                fs::create_dir_all(fresh(&target)).unwrap();
                run(&["sh", "-c", &format!("cd '{}' && {script}", text(&target))])
            },
        );
    }

    fn pull(&self, store: &Path, endpoint: &str) -> Run {
        run(&[TONNAGE, "--store", text(store), "pull", "bench/model", "--endpoint", endpoint, "-q"])
    }
}
