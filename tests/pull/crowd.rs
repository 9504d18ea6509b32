//! Eight processes at a time pull, add, evict and use models under a limit that holds half of them,
//! and some are killed: the limit is kept, nobody loses what it uses, and the books are right.
//!
//! `TONNAGE_CROWD=<n>` has each of the eight do n things, instead of 12.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use crate::hub::{Entry, Kind};
use crate::support::{World, noise};

const MIB: usize = 1 << 20;
const MODELS: u64 = 8;
const WORKERS: u64 = 8;

/// The index grows as it likes, parts have their groups beside them, and small files are copied into
/// views after the store was measured.
const SLACK: u64 = MIB as u64;

fn weights(model: u64) -> Vec<u8> {
    noise(100 + model, 3 * MIB + model as usize)
}

/// Bytes on the disk below `dir`, each inode once.
fn size(dir: &Path, seen: &mut BTreeSet<u64>) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(data) = entry.path().symlink_metadata() else { continue };
        if data.is_dir() {
            bytes += size(&entry.path(), seen);
        } else if seen.insert(data.ino()) {
            bytes += data.blocks() * 512;
        }
    }
    bytes
}

/// One thing that somebody does. False when it was killed.
fn act(world: &World, me: u64, turn: u64, rng: &mut Rng) -> bool {
    let n = rng.u64(..MODELS);
    let (hub, local) = (format!("org/m{n}"), format!("org/local{n}"));
    let source = format!("source{n}");
    let expected = world.path(&source).join("model.safetensors");
    // Whoever leases a model finds its bytes right as long as it runs.
    let compare = format!(
        "cmp {{}}/model.safetensors '{0}' && cmp {{}}/model.safetensors '{0}'",
        expected.display()
    );
    let args: Vec<&str> = match rng.u8(..10) {
        0..=3 => vec!["pull", &hub],
        4 | 5 => vec!["add", &source, "--name", &local],
        6 | 7 => vec!["lease", &hub, "--", "sh", "-c", &compare],
        8 => vec!["evict"],
        _ => vec!["rm", &local],
    };
    let mut child = world.start(&args);
    if rng.u8(..5) == 0 {
        // Any moment will do.
        std::thread::sleep(std::time::Duration::from_millis(rng.u64(..80)));
        let _ = child.kill();
        let _ = child.wait();
        return false;
    }
    let output = child.wait_with_output().unwrap();
    let code = output.status.code();
    // Done; kept back by a lease, not here, or no room for it.
    let fine: &[i32] = match args[0] {
        "pull" | "add" | "evict" => &[0, 5],
        "lease" => &[0, 3],
        _ => &[0, 1, 3, 7],
    };
    assert!(code.is_some_and(|code| fine.contains(&code)), "{me}, {turn}: {args:?}: {output:?}");
    true
}

#[test]
fn a_crowd_keeps_to_the_limit_and_loses_nothing_that_is_in_use() {
    let turns = std::env::var("TONNAGE_CROWD").map_or(12, |text| text.parse().unwrap());
    let world = World::new(1000);
    for n in 0..MODELS {
        let bytes = weights(n);
        let repo = world.hub.repo(Kind::Model, &format!("org/m{n}"));
        repo.commit(&[Entry::lfs("model.safetensors", bytes.clone())]);
        let source = world.path(&format!("source{n}"));
        fs::create_dir(&source).unwrap();
        fs::write(source.join("model.safetensors"), bytes).unwrap();
    }
    // It stays, whatever comes.
    world.ok(&["pull", "org/m0"]);
    world.ok(&["pin", "org/m0"]);
    let most = MODELS / 2 * (3 * MIB as u64 + 200_000);
    world.ok(&["config", "set", "space.max", &most.to_string()]);
    let killed = AtomicU64::new(0);
    for turn in 0..turns {
        std::thread::scope(|scope| {
            for me in 0..WORKERS {
                let (world, killed) = (&world, &killed);
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(turn * WORKERS + me);
                    if !act(world, me, turn, &mut rng) {
                        killed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        // Only when nobody works is a walk over the files a measure.
        let bytes = size(&world.path("store"), &mut BTreeSet::new());
        assert!(bytes <= most + SLACK, "{bytes} where {most} are allowed, turn {turn}");
    }
    assert!(killed.load(Ordering::Relaxed) > 0);
    world.ok(&["fsck"]);
    world.ok(&["verify", "--full"]);
    let path = world.ok(&["path", "org/m0"]).stdout;
    assert!(fs::read(Path::new(path.trim()).join("model.safetensors")).unwrap() == weights(0));
    world.ok(&["clear", "--yes", "--now"]);
    let left = world.ok(&["ls", "--json"]).json();
    assert_eq!(left["models"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(fs::read_dir(world.path("store/blobs")).unwrap().count(), 1);
}
