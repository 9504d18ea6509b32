//! Quantizations that are pulled share what they have in common with those that are here.

use std::collections::HashSet;
use std::fs;

use crate::common::family::{VARIANTS, gguf, tensors};
use crate::common::mounts::{Kind as Disk, Mounted};
use crate::hub::{At, Entry, Fault, On, What};
use crate::support::World;

const MIB: u64 = 1 << 20;
const FAMILY: &str = "org/family-GGUF";

/// A hub with a family, and the bytes of its files.
fn world() -> (World, Vec<(String, Vec<u8>)>) {
    let world = World::new(1);
    let files: Vec<_> = VARIANTS
        .into_iter()
        .zip(0..)
        .map(|(variant, number)| {
            (format!("{}.gguf", variant.0), gguf(&tensors(variant, 512), number))
        })
        .collect();
    let repo = world.hub.repo(crate::hub::Kind::Model, FAMILY);
    let entries: Vec<_> =
        files.iter().map(|(name, bytes)| Entry::lfs(name, bytes.clone())).collect();
    repo.commit(&entries);
    (world, files)
}

/// Bytes of different blocks.
fn blocks<'f>(files: impl Iterator<Item = &'f Vec<u8>>) -> u64 {
    let different: HashSet<_> = files.flat_map(|file| file.chunks(4096)).collect();
    different.len() as u64 * 4096
}

fn on_able(test: impl Fn(Disk, &str)) {
    for kind in [Disk::Xfs, Disk::Btrfs] {
        let size = if kind == Disk::Btrfs { 1200 * MIB } else { 512 * MIB };
        if let Some(mounted) = Mounted::new(kind, size) {
            test(kind, mounted.at("store").to_str().unwrap());
        }
    }
}

#[test]
fn each_variant_takes_what_the_plan_said() {
    let (world, files) = world();
    on_able(|kind, store| {
        let mut taken = 0;
        for number in 0..files.len() {
            let name = files[number].0.as_str();
            let pull = ["--store", store, "pull", FAMILY, "--include", name, "--json"];
            let plan = world.ok(&[&pull[..], &["--dry-run"]].concat()).json();
            let estimate = plan["estimates"][0]["new_disk_bytes"].as_u64().unwrap();
            world.ok(&pull);
            let du = world.ok(&["--store", store, "du", "--json"]).json();
            let (physical, below) =
                (du["physical"].as_u64().unwrap(), du["shared_physical"].as_u64().unwrap());
            // XFS gives a growing file more than it needs, and takes it back.
            let told = taken + estimate;
            taken = physical;
            assert!(physical.abs_diff(told) < MIB, "{kind:?} {name}: {physical}, {told} told");
            let apparent: u64 = files[..=number].iter().map(|(_, file)| file.len() as u64).sum();
            let best =
                apparent.saturating_sub(blocks(files[..=number].iter().map(|(_, file)| file)));
            assert!(below * 100 >= best * 98, "{kind:?} {name}: {below} of {best} shared");
        }
        world.ok(&["--store", store, "verify", "--full"]);
        world.ok(&["--store", store, "fsck"]);
        let path = world.ok(&["--store", store, "path", FAMILY]).stdout;
        for (name, bytes) in &files {
            assert!(fs::read(format!("{}/{name}", path.trim())).unwrap() == *bytes, "{name}");
        }
    });
}

#[test]
fn a_pull_that_was_killed_shares_when_it_is_done() {
    let (world, files) = world();
    on_able(|kind, store| {
        world.ok(&["--store", store, "pull", FAMILY, "--include", &files[0].0]);
        let half = files[1].1.len() as u64 / 2;
        let stall = world
            .hub
            .fault(Fault::new(On::Cdn, What::Stall(At::File(half))).path(&files[1].0).forever());
        let args = ["--store", store, "pull", FAMILY, "--include", &files[1].0];
        let mut child = world.start(&args);
        stall.wait_hits(1);
        child.kill().unwrap();
        child.wait().unwrap();
        stall.release();
        world.ok(&args);
        let du = world.ok(&["--store", store, "du", "--json"]).json();
        let apparent = (files[0].1.len() + files[1].1.len()) as u64;
        let best = apparent - blocks(files[..2].iter().map(|(_, file)| file));
        let below = du["shared_physical"].as_u64().unwrap();
        assert!(below * 100 >= best * 98, "{kind:?}: {below} of {best} shared");
        world.ok(&["--store", store, "verify", "--full"]);
    });
}

#[test]
fn a_plan_reads_headers_and_no_more() {
    let (world, files) = world();
    world.ok(&["pull", FAMILY, "--include", "Q4_K_S.gguf"]);
    let plan = world.ok(&["pull", FAMILY, "--dry-run", "--json"]).json();
    let estimates = plan["estimates"].as_array().unwrap();
    assert_eq!(estimates.len(), VARIANTS.len() - 1);
    for (name, bytes) in &files[1..] {
        let sent = world.hub.body_bytes_sent(name);
        assert!(sent > 0 && sent < 400_000, "{name}: {sent} of {} bytes", bytes.len());
    }
    // In the repository's order Q4_K_L is first: against Q4_K_S, equal names, types and shapes.
    let equal = |a: usize, b: usize| {
        let of =
            |n: usize| tensors(VARIANTS[n], 512).into_iter().map(|t| (t.name, t.kind, t.sides));
        let there: Vec<_> = of(a).collect();
        of(b).filter(|tensor| there.contains(tensor)).count() as u64
    };
    let first = &estimates[0];
    assert_eq!(first["path"], "Q4_K_L.gguf");
    assert_eq!(first["tensors_here"], equal(0, 2));
    assert_eq!(first["tensors"], tensors(VARIANTS[2], 512).len() as u64);
    let text = world.ok(&["pull", FAMILY, "--dry-run"]).stdout;
    assert!(text.contains("estimated from the files' headers"), "{text}");
    assert_eq!(world.ok(&["ls", "--json"]).json()["models"].as_array().unwrap().len(), 1);
}
