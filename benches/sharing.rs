//! A family of quantizations comes in, on XFS and btrfs in images mounted by loop:
//! `cargo bench --bench sharing`, as root. `TONNAGE_BENCH_HIDDEN` is the length of a tensor's rows
//! (default 2048: eight files of 0.7 GB together).
//!
//! The peer is the same command on as many files of the same sizes that have nothing in common: what
//! sharing costs, or brings. What the file system says is taken is told beside what the files'
//! different blocks would take.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    dead_code,
    reason = "a bench stops at the first surprise, and prints; what it shares with others it need not use"
)]

#[path = "support/pairs.rs"]
mod pairs;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use pairs::{TONNAGE, alone, arguments, directory, fresh, pair, run, text};
use support::family::{VARIANTS, gguf, tensors};
use support::mounts::{Kind, Mounted};

/// Of each comparison.
const PAIRS: usize = 5;

fn main() {
    let Some(_) = arguments() else { return };
    let hidden = std::env::var("TONNAGE_BENCH_HIDDEN").map_or(2048, |text| text.parse().unwrap());
    let dir = directory("sharing");
    let (family, unrelated) = (dir.join("family"), dir.join("unrelated"));
    let mut different = HashSet::new();
    let mut bytes = 0;
    for path in [&family, &unrelated] {
        fs::create_dir_all(path).unwrap();
    }
    for (number, variant) in (0_u32..).zip(VARIANTS) {
        let name = format!("{}.gguf", variant.0);
        let mut made = tensors(variant, hidden);
        let file = gguf(&made, number);
        bytes += file.len() as u64;
        different.extend(file.chunks(4096).map(blake3::hash));
        fs::write(family.join(&name), file).unwrap();
        for (tensor, seed) in made.iter_mut().zip(u64::from(number) << 32..) {
            tensor.bytes = support::bytes(seed, tensor.bytes.len());
        }
        fs::write(unrelated.join(&name), gguf(&made, number)).unwrap();
    }
    let least = different.len() as u64 * 4096;
    println!("{bytes} bytes in {} files, {least} in different blocks", VARIANTS.len());
    for kind in [Kind::Xfs, Kind::Btrfs] {
        if let Some(mounted) = Mounted::new(kind, bytes * 5 + (1 << 30)) {
            println!(
                "{kind:?}: wall and CPU against the peer, own wall, own CPU a GB, peak memory in MiB"
            );
            measure(&mounted, &family, &unrelated, bytes, bytes - least);
        }
    }
    fs::remove_dir_all(&dir).unwrap();
}

fn measure(mounted: &Mounted, family: &Path, unrelated: &Path, bytes: u64, most: u64) {
    let store = mounted.at("store");
    let add = |from: &Path| {
        run(&[TONNAGE, "-q", "--store", text(&store), "add", text(from), "--name", "org/family"])
    };
    let clear = || {
        fresh(&store);
        mounted.free();
    };
    pair(
        "add family / unrelated files",
        bytes,
        PAIRS,
        |_| {
            clear();
            add(family)
        },
        |_| {
            clear();
            add(unrelated)
        },
    );
    // From the same file system: by reflink.
    let (near, far) = (mounted.at("family"), mounted.at("unrelated"));
    for (from, to) in [(family, &near), (unrelated, &far)] {
        run(&["cp", "-r", text(from), text(to)]);
    }
    pair(
        "the same, by reflink",
        bytes,
        PAIRS,
        |_| {
            clear();
            add(&near)
        },
        |_| {
            clear();
            add(&far)
        },
    );
    for copy in [near, far] {
        fs::remove_dir_all(copy).unwrap();
    }
    clear();
    let before = mounted.used();
    add(family);
    let taken = mounted.used() - before;
    let saved = bytes.saturating_sub(taken) as f64 / most as f64 * 100.0;
    println!("  {taken} bytes taken: {saved:.1} % of what blocks of 4 KiB can save");
    alone("dedup of what is shared", PAIRS, |_| {
        run(&[TONNAGE, "-q", "--store", text(&store), "dedup"])
    });
}
