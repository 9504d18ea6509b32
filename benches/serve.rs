//! `serve` against nginx with sendfile, the same file from the page cache, in turn and in one run:
//! `cargo bench --bench serve`. `TONNAGE_BENCH_MIB` is the file's size (default 4096). The client is
//! curl, whose CPU time is the column's; what `serve` itself takes is said below.

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
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nginx::Nginx;
use pairs::{Run, TONNAGE, arguments, directory, fill, is_installed, pair, run, text};

/// Clients at once.
const CROWD: u64 = 100;

/// A running `serve`.
struct Serve {
    child: Child,
    url: String,
}

fn main() {
    let Some(_) = arguments() else { return };
    if !is_installed("nginx") || !is_installed("curl") {
        return;
    }
    let dir = directory("serve");
    let mib: u64 = std::env::var("TONNAGE_BENCH_MIB").map_or(4096, |text| text.parse().unwrap());
    let source = dir.join("source");
    fs::create_dir_all(&source).unwrap();
    let file = source.join("model.safetensors");
    fill(&file, 1, mib << 20);
    let hub = Nginx::serve(&dir, "bench/model", std::slice::from_ref(&file));
    let serve = Serve::start(&dir.join("store"), &source);
    let path = "/bench/model/resolve/main/model.safetensors";
    let (ours, theirs) = (format!("{}{path}", serve.url), format!("{}{path}", hub.url()));
    let bytes = mib << 20;
    pair("one client", bytes, 7, |_| fetch(&ours), |_| fetch(&theirs));
    let part = bytes / CROWD * 2;
    pair(
        "100 clients, a fiftieth each",
        part * CROWD,
        5,
        |_| crowd(&ours, part, bytes),
        |_| crowd(&theirs, part, bytes),
    );
    pair("the first KiB, 1000 times", 0, 5, |_| firsts(&ours), |_| firsts(&theirs));
    serve.tell();
    drop(serve);
    fs::remove_dir_all(&dir).unwrap();
}

fn fetch(url: &str) -> Run {
    run(&["curl", "-sf", "-o", "/dev/null", url])
}

/// Many clients at once, each with a part of the file of its own.
fn crowd(url: &str, part: u64, bytes: u64) -> Run {
    let each = (0..CROWD).map(|n| {
        let from = n * (bytes - part) / CROWD;
        format!("curl -sf -r {from}-{} -o /dev/null '{url}' & ", from + part - 1)
    });
    let script: String = each.collect::<String>() + "wait";
    run(&["sh", "-c", &script])
}

/// Many small requests on one connection.
fn firsts(url: &str) -> Run {
    run(&["curl", "-sf", "-r", "0-1023", "-o", "/dev/null", &format!("{url}?[1-1000]")])
}

impl Serve {
    fn start(store: &Path, source: &Path) -> Self {
        let at = ["--store", text(store)];
        let add = ["add", text(source), "--name", "bench/model", "--take", "hardlink", "--sha256"];
        assert!(Command::new(TONNAGE).args(at).args(add).arg("-q").status().unwrap().success());
        let mut child = Command::new(TONNAGE)
            .args(at)
            .args(["serve", "--offline", "--addr", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { child, url: object["url"].as_str().unwrap().to_owned() }
    }

    /// What the server itself took.
    fn tell(&self) {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.child.id()));
        let status = read("status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
        let stat = read("stat").unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        println!("serve itself: {peak} at most, {:.1} s of CPU", ticks as f64 / 100.0);
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
