//! Pulls whose processes are killed at any moment, again and again, until one is let live.
//!
//! The moments are chance, by a seed that is told when something is wrong: so many bytes that the
//! hub has sent, so many requests, or the first sign of a step of the publication.
//! `TONNAGE_PULL_KILLS` says how many pulls there are, `TONNAGE_PULL_SEED` the first one's seed.

use std::fs;
use std::path::Path;
use std::process::Child;

use fastrand::Rng;

use crate::hub::{Entry, Hub};
use crate::support::{MODEL, World, noise};

const MIB: u64 = 1 << 20;

/// What may be lost when a process is killed, for each of its connections: the group that was not
/// whole yet, and what the system had taken from the hub and the process had not read. On a busy
/// machine its buffers are full: 4 MiB to send and 6 MiB or more to receive, on common settings.
const IN_FLIGHT: u64 = 13 * MIB;

/// Says which seed it was when a test fails.
struct Seed(u64);

#[expect(clippy::print_stderr, reason = "a test that failed says how to see it again")]
impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same again: TONNAGE_PULL_SEED={} TONNAGE_PULL_KILLS=1", self.0);
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The hub has sent so many bytes of files in all.
    Sent(u64),
    /// The hub has answered so many requests more.
    Answered(usize),
    /// A name is in one of the store's directories.
    Name(&'static str),
}

impl Moment {
    fn pick(rng: &mut Rng, sent: u64, size: u64) -> Self {
        match rng.u8(0..10) {
            0 => Self::Answered(rng.usize(1..8)),
            1 => Self::Name(["manifests", "blobs", "refs", "models", "views"][rng.usize(0..5)]),
            // All was sent: what is left is to be digested, made durable and published.
            2 => Self::Sent(size),
            _ => Self::Sent(rng.u64(sent.min(size - 1) + 1..=size)),
        }
    }

    /// Waits for it, or for the process's end.
    fn wait(self, hub: &Hub, store: &Path, child: &mut Child) {
        let answered = |hub: &Hub| hub.requests(|r| r.done).len();
        let before = answered(hub);
        let is_here = || match self {
            Self::Sent(bytes) => hub.body_bytes_sent("*") >= bytes,
            Self::Answered(more) => answered(hub) >= before + more,
            Self::Name(dir) => fs::read_dir(store.join(dir)).is_ok_and(|mut d| d.next().is_some()),
        };
        while !is_here() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
    }
}

/// Three large files and ten small ones, about 36 MiB of which no two megabytes are alike.
fn files(rng: &mut Rng, seed: u64) -> Vec<Entry> {
    let mut files = Vec::new();
    for number in 0..13 {
        let (name, len) = match number {
            0..3 => (format!("model-{number}.safetensors"), rng.u64(8 * MIB..16 * MIB)),
            _ => (format!("sub/{number}.json"), rng.u64(0..200_000)),
        };
        let bytes = noise(seed * 100 + number, len as usize);
        let large = number < 5;
        files.push(if large { Entry::lfs(&name, bytes) } else { Entry::git(&name, bytes) });
    }
    files
}

#[test]
fn a_pull_that_is_killed_again_and_again_ends_with_the_right_bytes() {
    let first = number("TONNAGE_PULL_SEED", 1);
    for seed in first..first + number("TONNAGE_PULL_KILLS", 100) {
        let _seed = Seed(seed);
        killed_again_and_again(seed);
    }
}

/// One pull, and all its processes.
fn killed_again_and_again(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let world = World::new(0);
    let entries = files(&mut rng, seed);
    let size = entries.iter().map(|entry| entry.size).sum::<u64>();
    world.repo.commit(&entries);
    world.hub.serve_directly(rng.u8(0..4) == 0);

    let jobs = rng.u64(1..=4);
    let pull = ["pull", MODEL, "--jobs", &jobs.to_string(), "--json"];
    let mut kills = 0;
    for _ in 0..rng.u8(1..6) {
        let sent = world.hub.body_bytes_sent("*");
        let moment = Moment::pick(&mut rng, sent, size);
        let mut child = world.start(&pull);
        // Another one that waits goes on with it when the first is gone.
        let waiting = (rng.u8(0..5) == 0).then(|| world.start(&pull));
        moment.wait(&world.hub, &world.path("store"), &mut child);
        child.kill().unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(matches!(ended.status.code(), None | Some(0)), "{moment:?}: {ended:?}");
        kills += u64::from(ended.status.code().is_none());
        if let Some(waiting) = waiting {
            let ended = waiting.wait_with_output().unwrap();
            assert!(ended.status.success(), "{moment:?}: {ended:?}");
        }
        // Whatever the moment was, the store's books are right, once there is a store.
        if world.path("store/FORMAT").exists() {
            world.ok(&["fsck"]);
        }
    }
    let missing = missing(&world, size);
    let pulled = world.ok(&pull).json();
    assert_eq!(pulled["fetched_bytes"], missing, "what is here is not fetched again");
    let sent = world.hub.body_bytes_sent("*");
    let most = size + kills * jobs * IN_FLIGHT;
    assert!(sent <= most, "{sent} bytes of {size} were sent after {kills} kills of {jobs} jobs");
    assert_right(&world, &entries);
}

/// How many bytes the next pull must fetch.
fn missing(world: &World, size: u64) -> u64 {
    if world.run(&["show", MODEL]).code == Some(0) {
        return 0;
    }
    let partial = world.run(&["ls", "--partial", "--json"]).json();
    size - partial["partial"][0]["have"].as_u64().unwrap_or_default()
}

fn assert_right(world: &World, entries: &[Entry]) {
    world.ok(&["fsck"]);
    world.ok(&["verify", "--full"]);
    world.ok(&["checkout", MODEL, "out", "--mode", "copy"]);
    let store = world.path("store");
    for dir in [world.path("out"), store.join("models/org--name")] {
        for entry in entries {
            let bytes = fs::read(dir.join(&entry.path)).unwrap();
            assert!(entry.is(&bytes), "{} differs", dir.join(&entry.path).display());
        }
    }
    for dir in ["staging", "trash"] {
        assert_eq!(fs::read_dir(store.join(dir)).unwrap().count(), 0, "{dir} has something left");
    }
}
