//! The same operations on the real file system and on the simulated one, step by step.

use super::*;
use crate::fs::real::RealFs;
use crate::fs::{Kind, Stat};

/// What a step came to, in a form that both sides share.
fn show<T: std::fmt::Debug>(done: io::Result<T>) -> String {
    match done {
        Ok(value) => format!("{value:?}"),
        Err(e) => {
            format!("{:?}", Errno::from_io_error(&e).map_or(e.to_string(), |e| e.to_string()))
        }
    }
}

/// What of a stat does not depend on the file system.
fn common(stat: Stat) -> (Kind, Option<u64>, u64) {
    let size = (stat.kind != Kind::Dir).then_some(stat.size);
    let nlink = if stat.kind == Kind::Dir { 0 } else { stat.nlink };
    (stat.kind, size, nlink)
}

fn names(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names: Vec<_> =
        dir.list()?.into_iter().map(|e| format!("{} {:?}", e.name.display(), e.kind)).collect();
    names.sort();
    Ok(names)
}

type Script = fn(&dyn Fs, &Path, &mut Vec<String>);

/// Runs a script on both; every step must come to the same.
fn same(script: Script) {
    let temp = tempfile::tempdir().unwrap();
    let (mut real, mut sim) = (Vec::new(), Vec::new());
    script(&RealFs, &temp.path().canonicalize().unwrap(), &mut real);
    let disk = SimDisk::new();
    disk.process().make_dirs(Path::new("/base")).unwrap();
    script(&*disk.process(), Path::new("/base"), &mut sim);
    for (step, (real, sim)) in real.iter().zip(&sim).enumerate() {
        assert_eq!(sim, real, "step {step}: simulated left, real right");
    }
    assert_eq!(sim.len(), real.len());
    assert!(sim.len() > 5);
}

/// A directory with a file, a directory that holds one, an empty one, and symbolic links to each.
fn furnish(fs: &dyn Fs, base: &Path) -> Dir {
    let d = fs.open_dir(base).unwrap();
    for (name, bytes) in [("f", "file"), ("g", "other file")] {
        create(&d, name, bytes.as_bytes());
    }
    d.make_dir(n("full")).unwrap();
    create(&d.open_dir(n("full")).unwrap(), "x", b"x");
    d.make_dir(n("empty")).unwrap();
    d.make_symlink(Path::new("f"), n("to-f")).unwrap();
    d.make_symlink(Path::new("full"), n("to-full")).unwrap();
    d.make_symlink(Path::new("nowhere"), n("to-nothing")).unwrap();
    d
}

const EVERY: [&str; 8] = ["f", "g", "full", "empty", "to-f", "to-full", "to-nothing", "missing"];

#[test]
fn opening_files_and_directories() {
    same(|fs, base, log| {
        let d = furnish(fs, base);
        for how in [Open::Read, Open::Write, Open::New, Open::Ensure] {
            for name in EVERY {
                log.push(show(d.open_file(n(name), how).map(|f| f.stat().map(common).unwrap())));
                if how == Open::Ensure && name == "missing" {
                    log.push(show(d.remove_file(n(name))));
                }
            }
        }
        for name in EVERY {
            log.push(show(d.open_dir(n(name)).map(|d| names(&d).unwrap())));
            log.push(show(d.stat(n(name)).map(common)));
            log.push(show(d.read_symlink(n(name))));
        }
        log.push(show(names(&d)));
        log.push(show(d.stat(n(&"x".repeat(255))).map(drop)));
        log.push(show(d.stat(n(&"x".repeat(256))).map(drop)));
    });
}

#[test]
fn making_and_removing_names() {
    same(|fs, base, log| {
        for name in EVERY {
            let base = base.join(format!("for {name}"));
            fs.make_dirs(&base).unwrap();
            let d = furnish(fs, &base);
            log.push(show(d.make_dir(n(name))));
            log.push(show(d.make_symlink(Path::new("target"), n(name))));
            log.push(show(d.make_symlink(Path::new(""), n(name))));
            log.push(show(d.remove_dir(n(name))));
            log.push(show(d.remove_file(n(name))));
            log.push(show(names(&d)));
        }
    });
}

#[test]
fn linking_anything_to_anything() {
    same(|fs, base, log| {
        for from in EVERY {
            let base = base.join(format!("for {from}"));
            fs.make_dirs(&base).unwrap();
            let d = furnish(fs, &base);
            let full = d.open_dir(n("full")).unwrap();
            for to in EVERY {
                log.push(show(d.link(n(from), &*d, n(to))));
            }
            log.push(show(d.link(n(from), &*full, n("new"))));
            log.push(show(d.stat(n(from)).map(common)));
            log.push(show(names(&d)));
            log.push(show(names(&full)));
        }
    });
}

#[test]
fn renaming_anything_to_anything() {
    same(|fs, base, log| {
        for how in [Rename::Replace, Rename::NoReplace, Rename::Exchange] {
            for (from, to) in EVERY.iter().flat_map(|f| EVERY.map(|t| (f, t))) {
                let base = base.join(format!("{how:?} {from} {to}"));
                fs.make_dirs(&base).unwrap();
                let d = furnish(fs, &base);
                log.push(format!("{how:?} {from} {to}"));
                log.push(show(d.rename(n(from), &*d, n(to), how)));
                log.push(show(names(&d)));
                log.push(show(d.stat(n(to)).map(common)));
            }
        }
    });
}

#[test]
fn renaming_directories_into_themselves_and_out() {
    same(|fs, base, log| {
        for how in [Rename::Replace, Rename::NoReplace, Rename::Exchange] {
            let base = base.join(format!("{how:?}"));
            fs.make_dirs(&base.join("a/b/c")).unwrap();
            let d = fs.open_dir(&base).unwrap();
            let a = d.open_dir(n("a")).unwrap();
            let b = a.open_dir(n("b")).unwrap();
            log.push(show(d.rename(n("a"), &*b, n("new"), how)));
            log.push(show(d.rename(n("a"), &*a, n("new"), how)));
            log.push(show(d.rename(n("a"), &*b, n("c"), how)));
            log.push(show(b.rename(n("c"), &*d, n("a"), how)));
            log.push(show(b.rename(n("c"), &*d, n("c"), how)));
            log.push(show(a.rename(n("b"), &*d, n("c"), how)));
            log.push(show(names(&d)));
            log.push(show(names(&a)));
        }
    });
}

#[test]
fn renaming_one_name_of_a_file_to_another() {
    same(|fs, base, log| {
        let d = furnish(fs, base);
        d.link(n("f"), &*d, n("same")).unwrap();
        for how in [Rename::Replace, Rename::NoReplace, Rename::Exchange] {
            log.push(show(d.rename(n("f"), &*d, n("same"), how)));
            log.push(show(d.rename(n("f"), &*d, n("f"), how)));
            log.push(show(names(&d)));
        }
    });
}

#[test]
fn using_a_removed_directory() {
    same(|fs, base, log| {
        let d = furnish(fs, base);
        let gone = d.open_dir(n("empty")).unwrap();
        d.remove_dir(n("empty")).unwrap();
        log.push(show(gone.stat_self().map(|s| (s.kind, s.nlink))));
        log.push(show(names(&gone)));
        log.push(show(gone.make_dir(n("x"))));
        log.push(show(gone.open_file(n("x"), Open::New).map(drop)));
        log.push(show(gone.open_file(n("x"), Open::Ensure).map(drop)));
        log.push(show(gone.open_file(n("x"), Open::Read).map(drop)));
        log.push(show(gone.make_symlink(Path::new("t"), n("x"))));
        log.push(show(d.link(n("f"), &*gone, n("x"))));
        log.push(show(d.rename(n("f"), &*gone, n("x"), Rename::Replace)));
        log.push(show(gone.remove_file(n("x"))));
        log.push(show(gone.sync()));
        log.push(show(gone.try_lock(LockKind::Exclusive)));
        log.push(show(names(&d)));
    });
}

#[test]
fn reading_writing_and_resizing() {
    same(|fs, base, log| {
        let d = furnish(fs, base);
        let write = d.open_file(n("f"), Open::Write).unwrap();
        let read = d.open_file(n("f"), Open::Read).unwrap();
        let folder = d.open_file(n("full"), Open::Read).unwrap();
        for file in [&write, &read, &folder] {
            log.push(show(file.write_at(b"XY", 3)));
            log.push(show(file.write_at(b"", 100)));
            log.push(show(file.write_at(b"far", 10_000)));
            log.push(show(file.set_len(9_000)));
            log.push(show(file.reserve(0)));
            log.push(show(file.reserve(9_500)));
            log.push(show(file.reserve(10)));
            log.push(show(file.set_mode(0o700)));
            log.push(show(file.set_mtime(Some(1_000_000_007))));
            log.push(show(file.sync()));
            let stat = file.stat().unwrap();
            log.push(format!("{:?} {:o} {}", common(stat), stat.mode, stat.mtime_ns));
            for offset in [0, 4, 9_499, 9_500, 20_000] {
                let mut buf = [7; 8];
                log.push(show(file.read_at(&mut buf, offset)));
                log.push(format!("{buf:?}"));
            }
        }
        log.push(show((*read).reflink_from(&*write).map_err(|_| Errno::OPNOTSUPP.into())));
    });
}

#[test]
fn locking_through_several_handles() {
    same(|fs, base, log| {
        let d = furnish(fs, base);
        let open = || d.open_file(n("f"), Open::Read).unwrap();
        let mut handles = [open(), open(), open()];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..500 {
            let i = rng.usize(..3);
            match rng.u8(..5) {
                0 => handles[i] = open(),
                1 | 2 => log.push(show(handles[i].try_lock(LockKind::Exclusive))),
                _ => log.push(show(handles[i].try_lock(LockKind::Shared))),
            }
        }
    });
}

#[test]
fn paths_with_symbolic_links() {
    same(|fs, base, log| {
        let d = furnish(fs, base);
        d.make_symlink(&base.join("full"), n("absolute")).unwrap();
        d.make_symlink(Path::new("loop"), n("loop")).unwrap();
        let full = d.open_dir(n("full")).unwrap();
        full.make_symlink(Path::new("../to-full/./x"), n("winding")).unwrap();
        let paths = [
            "",
            "f",
            "to-f",
            "to-full/x",
            "absolute/winding",
            "full/..",
            "loop",
            "to-nothing",
            "missing",
            "missing/x",
            "f/x",
            "to-f/x",
            "to-full/../f",
            "absolute/../empty",
        ];
        for path in paths {
            let done = fs.canonical(&base.join(path));
            log.push(show(done.map(|p| p.strip_prefix(base).unwrap().to_owned())));
            log.push(show(fs.open_dir(&base.join(path)).map(|d| names(&d).unwrap())));
        }
        for path in ["full", "to-full", "f", "f/x", "to-nothing", "loop", "to-full/a/b", "a/b/c"] {
            log.push(show(fs.make_dirs(&base.join(path))));
        }
        log.push(show(names(&d)));
        log.push(show(names(&full)));
    });
}

/// Names that two directories share, so that operations often meet.
const POOL: [&str; 5] = ["a", "b", "c", "d", "e"];

pub(super) fn random_step(dirs: &[Dir; 2], rng: &mut fastrand::Rng) -> String {
    let (d, to) = (&dirs[rng.usize(..2)], &dirs[rng.usize(..2)]);
    let (name, new) = (n(POOL[rng.usize(..5)]), n(POOL[rng.usize(..5)]));
    match rng.u8(..12) {
        0 | 1 => show(d.make_dir(name)),
        2 => show(d.open_file(name, Open::New).map(drop)),
        3 => show(d.open_file(name, Open::Ensure).and_then(|f| f.write_at(b"abc", rng.u64(..9)))),
        4 => show(d.remove_file(name)),
        5 => show(d.remove_dir(name)),
        6 => show(d.link(name, &**to, new)),
        7 | 8 => show(d.rename(name, &**to, new, Rename::Replace)),
        9 => show(d.rename(name, &**to, new, Rename::NoReplace)),
        10 => show(d.rename(name, &**to, new, Rename::Exchange)),
        _ => show(d.make_symlink(Path::new("a"), name)),
    }
}

#[test]
fn thousands_of_random_operations() {
    same(|fs, base, log| {
        fs.make_dirs(&base.join("one/two")).unwrap();
        let dirs = ["one", "one/two"].map(|p| fs.open_dir(&base.join(p)).unwrap());
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..4000 {
            log.push(random_step(&dirs, &mut rng));
            log.push(show(dirs[0].list().map(|_| names(&dirs[0]).unwrap())));
            log.push(show(dirs[1].stat(n("a")).map(common)));
        }
    });
}
