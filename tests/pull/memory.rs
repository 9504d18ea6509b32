//! How much memory a pull takes.

use std::process::{Child, Stdio};

use crate::hub::Kind;
use crate::support::{MODEL, World};

/// The most memory that a process had at once, in KiB, as the system says it while it runs.
fn peak(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        most = most.max(now.unwrap_or(0));
    }
    most
}

#[test]
fn a_plan_of_eighty_thousand_files_takes_less_than_64_mib() {
    let files = std::env::var("TONNAGE_PULL_FILES").map_or(80_000, |n| n.parse().unwrap());
    let world = World::new(10);
    world.hub.repo(Kind::Model, MODEL).synthetic_tree(files);
    for args in [&["pull", MODEL, "--dry-run"][..], &["pull", MODEL, "--dry-run", "--json"]] {
        let mut child = world.command(args).stdout(Stdio::null()).spawn().unwrap();
        let peak = peak(&mut child);
        assert!(child.wait().unwrap().success());
        assert!(peak > 0 && peak < 64 << 10, "{args:?}: {peak} KiB for {files} files");
    }
}
