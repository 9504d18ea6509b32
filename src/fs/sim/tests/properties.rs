//! What a sync promises holds after any operations and any power loss.

use super::conformance::random_step;
use super::*;

/// Names and inodes: a reboot changes neither.
fn listing(dir: &Dir) -> Vec<String> {
    let names = dir.list().unwrap().into_iter().map(|e| e.name);
    names.map(|n| format!("{} {}", n.display(), dir.stat(&n).unwrap().ino)).collect()
}

fn everything(disk: &SimDisk) -> Vec<String> {
    let root = dir(disk, "/");
    let paths = disk.tree("/").into_iter();
    let bytes = paths.map(|p| {
        let (at, name) = p.rsplit_once('/').unwrap_or(("", &p));
        let stat = dir(disk, &format!("/{at}")).stat(n(name)).unwrap();
        format!("{p} {stat:?} {:?}", disk.read_file(&p))
    });
    bytes.chain([format!("{:?}", root.stat_self().unwrap())]).collect()
}

/// Reboots copies of the disk in many ways.
fn reboots(disk: &SimDisk, rng: &mut fastrand::Rng, check: impl Fn(&SimDisk)) {
    let seeds = (0..20).map(|_| Keep::Random(rng.u64(..)));
    let few = (0..disk.pending()).flat_map(|i| [Keep::Only(i), Keep::Except(i), Keep::Prefix(i)]);
    for keep in [Keep::None, Keep::All].into_iter().chain(seeds).chain(few) {
        let fork = disk.fork();
        fork.reboot(keep);
        check(&fork);
    }
}

fn busy_disk(rng: &mut fastrand::Rng) -> (SimDisk, [Dir; 2]) {
    let disk = disk();
    let dirs: [Dir; 2] = dirs(&disk).into();
    for _ in 0..rng.usize(..40) {
        random_step(&dirs, rng);
        // A directory in the middle of it all, so that syncs meet logs with holes.
        if rng.u8(..12) == 0 {
            dirs[rng.usize(..2)].sync().unwrap();
        }
        // Names also go in and out of the directories that the steps made.
        if let Ok(sub) = dirs[0].open_dir(n("a")) {
            let _ = dirs[1].rename(n("b"), &*sub, n("c"), Rename::Replace);
            let _ = sub.rename(n("d"), &*dirs[1], n("e"), Rename::Exchange);
        }
    }
    (disk, dirs)
}

#[test]
fn a_synced_directory_survives_every_power_loss_as_it_was() {
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (disk, dirs) = busy_disk(&mut rng);
        let which = rng.usize(..2);
        dirs[which].sync().unwrap();
        let expected = listing(&dirs[which]);
        reboots(&disk, &mut rng, |fork| {
            assert_eq!(listing(&dir(fork, ["/d", "/e"][which])), expected, "seed {seed}");
        });
    }
}

#[test]
fn after_a_sync_of_everything_a_power_loss_changes_nothing() {
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (disk, dirs) = busy_disk(&mut rng);
        dirs[0].sync_all().unwrap();
        let expected = everything(&disk);
        reboots(&disk, &mut rng, |fork| assert_eq!(everything(fork), expected, "seed {seed}"));
    }
}

#[test]
fn a_power_loss_that_keeps_everything_is_a_kill() {
    for seed in 0..150 {
        let (disk, _dirs) = busy_disk(&mut fastrand::Rng::with_seed(seed));
        let expected = everything(&disk);
        disk.reboot(Keep::All);
        assert_eq!(everything(&disk), expected, "seed {seed}");
    }
}

#[test]
fn link_counts_and_parents_are_right_after_every_power_loss() {
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (disk, _dirs) = busy_disk(&mut rng);
        reboots(&disk, &mut rng, |fork| {
            let state = fork.lock();
            let mut again = state.live.clone();
            again.prune(&state.live.reachable());
            for &ino in state.nodes.keys() {
                assert_eq!(state.live.links(ino), again.links(ino), "seed {seed}");
                assert!(!state.live.is_dir(ino) || state.live.links(ino) == 1, "seed {seed}");
            }
            assert_eq!(state.nodes.len(), state.live.reachable().len(), "seed {seed}");
        });
    }
}

#[test]
fn a_synced_file_survives_every_power_loss_as_it_was() {
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let disk = disk();
        let file = durable(&dir(&disk, "/d"), "f", b"");
        let step = |rng: &mut fastrand::Rng| match rng.u8(..6) {
            0 => file.set_len(rng.u64(..30_000)),
            1 => file.reserve(rng.u64(..30_000)),
            2 => file.set_mode(0o600 + rng.u32(..8)),
            3 => file.set_mtime(Some(rng.i64(..1000))),
            _ => file.write_at(&vec![rng.u8(..); rng.usize(..9000)], rng.u64(..20_000)),
        };
        for _ in 0..rng.usize(..20) {
            step(&mut rng).unwrap();
        }
        if rng.bool() {
            disk.arm(Plan::any(0, Fault::Eio));
            file.sync().unwrap_err();
            // Everything anew, as a program must that saw a sync fail.
            file.set_len(0).unwrap();
            file.set_mode(0o644).unwrap();
            step(&mut rng).unwrap();
            file.write_at(b"all of it", 0).unwrap();
        }
        file.sync().unwrap();
        let expected = everything(&disk);
        reboots(&disk, &mut rng, |fork| assert_eq!(everything(fork), expected, "seed {seed}"));
    }
}
