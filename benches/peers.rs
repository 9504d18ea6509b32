//! Whole processes against their peers, in turn and in one run, so that a noisy machine is as noisy
//! for both: `cargo bench --bench peers [-- NAME…]`.
//!
//! What is printed are ratios of medians of pairs, wall and CPU time, and the peak memory of our
//! side. Peers that are not installed are skipped, loudly. Data goes below
//! `TONNAGE_BENCH_DIR` (default: Cargo's directory for such things); `TONNAGE_BENCH_MIB` is the size
//! of each of the eight large files (default 512).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise, and prints"
)]

#[path = "support/pairs.rs"]
mod pairs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pairs::{
    PAIRS, Run, TONNAGE, alone, arguments, directory, fill, fresh, is_installed, pair, run, text,
};

/// Measures in a directory of its own.
type Case = fn(&Path);

fn main() {
    let Some(args) = arguments() else { return };
    let dir = directory("peers");
    let cases: [(&str, Case); 9] = [
        ("hash", hash),
        ("copy", copy),
        ("links", links),
        ("reflinks", reflinks),
        ("twenty", twenty),
        ("open", open),
        ("listing", listing),
        ("eviction", eviction),
        ("start", start),
    ];
    for (name, case) in cases {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            let dir = dir.join(name);
            fs::create_dir_all(&dir).unwrap();
            case(&dir);
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}

fn eight(dir: &Path) -> (PathBuf, u64) {
    let mib = std::env::var("TONNAGE_BENCH_MIB").map_or(512, |text| text.parse().unwrap());
    let source = dir.join("source");
    fs::create_dir_all(&source).unwrap();
    for n in 0..8 {
        fill(&source.join(format!("model-{n}.safetensors")), n, mib << 20);
    }
    assert!(Command::new("sync").status().unwrap().success());
    (source, 8 * (mib << 20))
}

fn add(store: &Path, source: &Path, take: &str) -> Run {
    run(&[
        TONNAGE,
        "--store",
        text(store),
        "add",
        text(source),
        "--name",
        "bench/model",
        "--take",
        take,
    ])
}

fn checkout(store: &Path, dir: &Path, mode: &str) -> Run {
    run(&[TONNAGE, "--store", text(store), "checkout", "bench/model", text(dir), "--mode", mode])
}

/// `add` by hardlink and `verify --full` against b3sum: eight large files in the page cache.
fn hash(dir: &Path) {
    if !is_installed("b3sum") {
        return;
    }
    let (source, bytes) = eight(dir);
    let store = dir.join("store");
    let files: Vec<PathBuf> =
        (0..8).map(|n| source.join(format!("model-{n}.safetensors"))).collect();
    let mut b3sum = vec!["b3sum"];
    b3sum.extend(files.iter().map(|path| text(path)));
    pair(
        "add --take hardlink / b3sum",
        bytes,
        PAIRS,
        |_| add(fresh(&store), &source, "hardlink"),
        |_| run(&b3sum),
    );
    let sums = Command::new("b3sum").args(&b3sum[1..]).output().unwrap().stdout;
    let list = dir.join("sums");
    fs::write(&list, sums).unwrap();
    pair(
        "verify --full / b3sum --check",
        bytes,
        PAIRS,
        |_| run(&[TONNAGE, "--store", text(&store), "verify", "--full"]),
        |_| run(&["b3sum", "--check", text(&list)]),
    );
}

/// `add` by copy against `cp -r` and `sync`.
fn copy(dir: &Path) {
    let (source, bytes) = eight(dir);
    let (store, target) = (dir.join("store"), dir.join("target"));
    let script = format!("cp -r '{}' '{}' && sync", text(&source), text(&target));
    let settle = || assert!(Command::new("sync").status().unwrap().success());
    pair(
        "add --take copy / cp -r + sync",
        bytes,
        PAIRS,
        |_| {
            fresh(&store);
            settle();
            add(&store, &source, "copy")
        },
        |_| {
            fresh(&target);
            settle();
            run(&["sh", "-c", &script])
        },
    );
}

fn many_files(source: &Path) {
    for d in 0..1000 {
        let dir = source.join(format!("dir-{d:03}"));
        fs::create_dir_all(&dir).unwrap();
        for f in 0..100 {
            fs::write(dir.join(format!("file-{f:02}")), format!("{d} {f}")).unwrap();
        }
    }
}

/// `checkout --mode hardlink` of 100,000 files in 1,000 directories against `cp -al`.
fn links(dir: &Path) {
    let (source, store) = (dir.join("source"), dir.join("store"));
    many_files(&source);
    add(&store, &source, "copy");
    pair(
        "checkout hardlinks / cp -al",
        0,
        PAIRS,
        |n| checkout(&store, &dir.join(format!("ours-{n}")), "hardlink"),
        |n| run(&["cp", "-al", text(&source), text(&dir.join(format!("peer-{n}")))]),
    );
}

/// The same by reflink, where the file system can.
fn reflinks(dir: &Path) {
    let (source, store) = (dir.join("source"), dir.join("store"));
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("probe"), "probe").unwrap();
    let probe = Command::new("cp")
        .args(["--reflink=always", text(&source.join("probe")), text(&dir.join("probe"))])
        .output()
        .unwrap();
    if !probe.status.success() {
        println!("SKIPPED: reflinks: not on this file system (TONNAGE_BENCH_DIR names another)");
        return;
    }
    many_files(&source);
    add(&store, &source, "reflink");
    pair(
        "checkout reflinks / cp --reflink",
        0,
        3,
        |n| checkout(&store, &dir.join(format!("ours-{n}")), "reflink"),
        |n| {
            let target = dir.join(format!("peer-{n}"));
            run(&["cp", "-a", "--reflink=always", text(&source), text(&target)])
        },
    );
}

/// A model of twenty files: twelve weights, eight small files.
fn twenty(dir: &Path) {
    let (source, store) = (dir.join("source"), dir.join("store"));
    fs::create_dir_all(&source).unwrap();
    for n in 0..12 {
        fill(&source.join(format!("model-{n}.safetensors")), n, 4 << 20);
    }
    for n in 0..8 {
        fs::write(source.join(format!("config-{n}.json")), format!("{{\"n\":{n}}}")).unwrap();
    }
    add(&store, &source, "copy");
    pair(
        "checkout of 20 files / cp -al",
        0,
        21,
        |n| checkout(&store, &dir.join(format!("ours-{n}")), "auto"),
        |n| run(&["cp", "-al", text(&source), text(&dir.join(format!("peer-{n}")))]),
    );
}

/// Opening in the library: a model of twenty files, and the first MiB of a large one, where hashing all
/// of it is the peer.
fn open(dir: &Path) {
    use tonnage::open::{Trust, open};
    use tonnage::progress::Progress;
    use tonnage::store::{Access, AddOptions, Store, Take};
    let store = Store::open(dir.join("store"), Access::Write).unwrap();
    let add = |name: &str, files: u64, bytes: u64| {
        let source = dir.join("source");
        fs::create_dir_all(fresh(&source)).unwrap();
        for n in 0..files {
            fill(&source.join(format!("{n}.safetensors")), n, bytes);
        }
        let options = AddOptions {
            model: name.parse().unwrap(),
            reference: "main".parse().unwrap(),
            take: Take::Hardlink,
            follow_links: false,
            sha256: false,
        };
        store.add(&source, &options, &Progress::new()).unwrap();
        store.resolve(&name.parse().unwrap()).unwrap()
    };
    let (twenty, large) = (add("bench/twenty", 20, 3 << 20), add("bench/large", 1, 2 << 30));
    let timed = |what: &dyn Fn()| {
        let began = std::time::Instant::now();
        what();
        let took = began.elapsed().as_secs_f64();
        Run { wall: took, cpu: took, ..Run::default() }
    };
    let trusting = |revision, trust| open(&store, revision, trust, &Progress::new()).unwrap();
    alone("open 20 files, Trust::Stamp", 101, |_| timed(&|| drop(trusting(&twenty, Trust::Stamp))));
    pair(
        "first MiB, Touched / Full, 2 GiB",
        0,
        PAIRS,
        |_| {
            timed(&|| {
                let model = trusting(&large, Trust::Touched);
                model.files()[0].bytes(0..1 << 20).unwrap();
            })
        },
        |_| timed(&|| drop(trusting(&large, Trust::Full))),
    );
}

/// `ls` and `du` of 1,000 revisions of 20 files each, half of them shared with a neighbour.
fn listing(dir: &Path) {
    let store = thousand(dir, |m, f| {
        let text = if f < 10 { format!("{m} {f}") } else { format!("{} {f}", m / 2) };
        text.into_bytes()
    });
    for command in ["ls", "du"] {
        alone(&format!("{command}, 1,000 revisions of 20 files"), 21, |_| {
            run(&[TONNAGE, "--store", text(&store), command])
        });
    }
}

/// `evict` of half of 1,000 revisions of 20 files of 16 KiB, and `rm -r` of as many files.
fn eviction(dir: &Path) {
    let bytes = |m: usize, f: usize| {
        let mut bytes = vec![0; 16 << 10];
        blake3::Hasher::new()
            .update(&[m as u8, (m >> 8) as u8, f as u8])
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    };
    let store = thousand(dir, bytes);
    let tree = dir.join("tree");
    for m in 0..500 {
        let model = tree.join(m.to_string());
        fs::create_dir_all(&model).unwrap();
        for f in 0..20 {
            fs::write(model.join(f.to_string()), bytes(m, f)).unwrap();
        }
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60 * 86_400);
    for entry in fs::read_dir(store.join("used")).unwrap().take(500) {
        let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(old).unwrap();
    }
    let copy = |from: &Path| {
        let to = dir.join("copy");
        let copied = Command::new("cp").arg("-a").arg(from).arg(fresh(&to)).status().unwrap();
        assert!(copied.success() && Command::new("sync").status().unwrap().success());
        to
    };
    pair(
        "evict 500 revisions of 20 files",
        0,
        PAIRS,
        |_| {
            let store = copy(&store);
            run(&[TONNAGE, "--store", text(&store), "evict", "--older-than", "30d", "--now"])
        },
        |_| run(&["rm", "-r", text(&copy(&tree))]),
    );
}

/// A store with 1,000 revisions of 20 files.
fn thousand(dir: &Path, bytes: impl Fn(usize, usize) -> Vec<u8>) -> PathBuf {
    use tonnage::progress::Progress;
    use tonnage::store::{Access, AddOptions, Store, Take};
    let store = dir.join("store");
    let opened = Store::open(&store, Access::Write).unwrap();
    for m in 0..1000 {
        let source = dir.join("source");
        fs::create_dir_all(&source).unwrap();
        for f in 0..20 {
            fs::write(source.join(format!("file-{f}")), bytes(m, f)).unwrap();
        }
        let options = AddOptions {
            model: format!("bench/model-{m}").parse().unwrap(),
            reference: "main".parse().unwrap(),
            take: Take::Copy,
            follow_links: false,
            sha256: false,
        };
        opened.add(&source, &options, &Progress::new()).unwrap();
    }
    store
}

/// What every command pays.
fn start(_dir: &Path) {
    alone("--version", 21, |_| run(&[TONNAGE, "--version"]));
}
