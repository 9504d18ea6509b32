//! `pull` over loopback against other downloaders, in turn and in one run:
//! `cargo bench --bench download [-- NAME…]`. `TONNAGE_BENCH_MIB` is the size of the large file, and
//! of the twenty files together (default 4096).
//!
//! All are served by nginx, with sendfile. Only `pull` checks digests, two of them; `curl` is followed
//! by `sha256sum` where that is said. Peers that are not installed are skipped, loudly.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    dead_code,
    reason = "a bench stops at the first surprise, and prints; what it shares with others it need not use"
)]

#[path = "support/nginx.rs"]
mod nginx;
#[path = "support/pairs.rs"]
mod pairs;

use std::fs;
use std::path::{Path, PathBuf};

use nginx::Nginx;
use pairs::{Run, TONNAGE, arguments, directory, fill, fresh, is_installed, pair, run, text};

/// A repository on loopback.
struct World {
    hub: Nginx,
    dir: PathBuf,
    files: Vec<String>,
    bytes: u64,
}

fn main() {
    let Some(args) = arguments() else { return };
    if !is_installed("nginx") {
        return;
    }
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
        let files: Vec<_> = (0..count).map(|n| format!("model-{n}.safetensors")).collect();
        let paths: Vec<_> = files.iter().map(|name| source.join(name)).collect();
        for (n, path) in paths.iter().enumerate() {
            fill(path, n as u64, size);
        }
        let hub = Nginx::serve(dir, "bench/model", &paths);
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
        if is_installed("rclone") {
            let url = self.hub.url();
            let rclone = format!(
                "rclone copy --config '' --http-url {url}/files/ :http: . --transfers 8 --multi-thread-streams 8"
            );
            self.against("pull / rclone", &rclone);
        }
        if is_installed("hf") {
            let endpoint = self.hub.url();
            let hf = format!(
                "HF_ENDPOINT={endpoint} HF_HOME=home HF_HUB_DISABLE_XET=1 hf download bench/model"
            );
            self.against("pull / hf download", &hf);
            self.verification(&hf);
        }
    }

    /// All bytes of what was pulled, against `hf cache verify` of what `hf` downloaded.
    fn verification(&self, download: &str) {
        let (store, target) = (self.dir.join("store"), self.dir.join("target"));
        self.pull(fresh(&store), self.hub.url());
        fs::create_dir_all(fresh(&target)).unwrap();
        let there =
            |script: &str| run(&["sh", "-c", &format!("cd '{}' && {script}", text(&target))]);
        there(download);
        let verify = download.replace("hf download", "hf cache verify");
        pair(
            "verify --full / hf cache verify",
            self.bytes,
            3,
            |_| run(&[TONNAGE, "--store", text(&store), "verify", "--full", "-q"]),
            |_| there(&verify),
        );
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
                self.pull(fresh(&store), endpoint)
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
