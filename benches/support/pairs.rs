//! Whole processes, in pairs and in turn, so that a noisy machine is as noisy for both.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

pub const TONNAGE: &str = env!("CARGO_BIN_EXE_tonnage");
pub const PAIRS: usize = 5;

/// What the bench is called with: names of cases. A child that is to be accounted for runs here and
/// does not come back. `None` then.
pub fn arguments() -> Option<Vec<String>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(("--runner", command)) = args.split_first().map(|(a, rest)| (a.as_str(), rest)) {
        runner(command);
        return None;
    }
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>8}",
        "ours / peer, medians", "wall", "CPU", "our wall", "CPU s/GB", "peak MiB"
    );
    Some(args)
}

/// An empty directory for the bench `name`.
pub fn directory(name: &str) -> PathBuf {
    let dir = std::env::var_os("TONNAGE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
        .join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// One run of a process, seconds and KiB.
#[derive(Clone, Copy, Default)]
pub struct Run {
    pub wall: f64,
    pub cpu: f64,
    pub peak_kib: i64,
}

/// Runs a command, waits, and prints what the system accounted to it. In a process of its own,
/// because the system keeps one peak for all children of a process.
pub fn runner(command: &[String]) {
    let began = Instant::now();
    let status =
        Command::new(&command[0]).args(&command[1..]).stdout(Stdio::null()).status().unwrap();
    let wall = began.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    println!("{wall} {cpu} {}", usage.max_rss());
}

pub fn run(command: &[&str]) -> Run {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("--runner")
        .args(command)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace();
    Run {
        wall: numbers.next().unwrap().parse().unwrap(),
        cpu: numbers.next().unwrap().parse().unwrap(),
        peak_kib: numbers.next().unwrap().parse().unwrap(),
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("SKIPPED: {program} is not installed");
    }
    found
}

/// Runs both in turn, each after its own preparation, which is not timed, and one pair uncounted.
pub fn pair(
    label: &str,
    bytes: u64,
    pairs: usize,
    mut ours: impl FnMut(usize) -> Run,
    mut peer: impl FnMut(usize) -> Run,
) {
    let mut runs = Vec::new();
    for n in 0..=pairs {
        let pair = (ours(n), peer(n));
        if n > 0 {
            runs.push(pair);
        }
    }
    let of = |f: &dyn Fn(&(Run, Run)) -> f64| median(runs.iter().map(f).collect());
    let per_gb = of(&|(a, _)| a.cpu) / (bytes as f64 / 1e9);
    println!(
        "{label:<34} {:>9.3} {:>9.3} {:>7.0}ms {:>9} {:>8.1}",
        of(&|(a, b)| a.wall / b.wall),
        of(&|(a, b)| a.cpu / b.cpu),
        of(&|(a, _)| a.wall * 1e3),
        if bytes > 0 { format!("{per_gb:.3}") } else { "-".to_owned() },
        runs.iter().map(|(a, _)| a.peak_kib).max().unwrap() as f64 / 1024.0,
    );
}

pub fn alone(label: &str, runs: usize, mut ours: impl FnMut(usize) -> Run) {
    let runs: Vec<_> = (0..=runs).map(&mut ours).skip(1).collect();
    println!(
        "{label:<34} {:>9} {:>9} {:>7.1}ms {:>9} {:>8.1}",
        "-",
        "-",
        median(runs.iter().map(|run| run.wall * 1e3).collect()),
        "-",
        runs.iter().map(|run| run.peak_kib).max().unwrap() as f64 / 1024.0,
    );
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn fresh(path: &Path) -> &Path {
    let _ = fs::remove_dir_all(path);
    path
}

/// Bytes that do not repeat and do not compress.
pub fn fill(path: &Path, seed: u64, len: u64) {
    let mut stream = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut file = fs::File::create(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut left = len;
    while left > 0 {
        stream.fill(&mut buffer);
        let n = left.min(buffer.len() as u64) as usize;
        file.write_all(&buffer[..n]).unwrap();
        left -= n as u64;
    }
}
