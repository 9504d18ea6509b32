//! Whatever a user may point `add` at: the store takes it in right or says what is wrong with it,
//! and stays whole.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::panic, reason = "a test says what it expects by failing")]
#![expect(clippy::print_stdout, reason = "the numbers are for who runs it with --nocapture")]

mod support;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, FileType, Mode as Permissions, mknodat};
use tonnage::digest::BlobHash;
use tonnage::error::{ErrorKind, SourceError, StoreError};
use tonnage::model::{ModelId, PathProblem};
use tonnage::store::{AddOptions, Added, Store, Take};

use support::*;

/// A store, and a directory to add to it.
struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    tree: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir.path().join("store"));
        let tree = dir.path().canonicalize().unwrap().join("tree");
        write_tree(&tree, &[("config.json", b"{}"), ("weights/a.bin", &bytes(1, 100_000))]);
        Self { _dir: dir, store, tree }
    }

    fn add(&self) -> Result<Added, StoreError> {
        try_add(&self.store, &self.tree, &options("org/model"))
    }

    /// Adds, and fails unless it is refused as a source; the store must not have changed.
    fn refused(&self, options: &AddOptions) -> SourceError {
        match try_add(&self.store, &self.tree, options) {
            Err(StoreError::Source(e)) => {
                assert!(!e.to_string().contains('\n'), "a message is one line: {e}");
                assert!(self.store.list().unwrap().is_empty());
                assert_eq!(names(self.store.path(), "blobs"), Vec::<String>::new());
                assert_nothing_staged(self.store.path());
                e
            }
            other => panic!("{other:?}"),
        }
    }

    fn refuse(&self) -> SourceError {
        self.refused(&options("org/model"))
    }

    fn paths(&self) -> Vec<String> {
        let manifest = manifest(&self.store, "org/model");
        manifest.files().iter().map(|file| file.path.to_string()).collect()
    }
}

#[test]
fn a_path_that_is_not_there_is_missing() {
    let bench = Bench::new();
    for path in [bench.tree.join("nothing"), bench.tree.join("no/where")] {
        let e = try_add(&bench.store, &path, &options("org/model")).unwrap_err();
        assert!(matches!(&e, StoreError::Source(SourceError::Missing { path: p }) if *p == path));
        assert_eq!(e.kind(), ErrorKind::NotFound);
    }
    let below_a_file = bench.tree.join("config.json/x");
    assert!(try_add(&bench.store, &below_a_file, &options("org/model")).is_err());
    let empty = try_add(&bench.store, Path::new(""), &options("org/model")).unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::NotFound);
    assert_nothing_staged(bench.store.path());
}

/// Makes each kind of thing that is neither file nor directory at `path`. A device needs root.
fn specials(dir: &Path) -> Vec<(&'static str, PathBuf)> {
    let (fifo, socket, device) = (dir.join("fifo"), dir.join("socket"), dir.join("device"));
    let mode = Permissions::from_raw_mode(0o600);
    mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    let mut made = vec![("fifo", fifo), ("socket", socket)];
    let zero = rustix::fs::makedev(1, 5);
    match mknodat(CWD, &device, FileType::CharacterDevice, mode, zero) {
        Ok(()) => made.push(("device", device)),
        Err(e) => skipped(&format!("a device as a source: {e}")),
    }
    made
}

#[test]
fn sockets_fifos_and_devices_are_no_models() {
    let bench = Bench::new();
    let dir = tempfile::tempdir().unwrap();
    for (what, at) in specials(dir.path()) {
        for take in [Take::Auto, Take::Copy, Take::Hardlink, Take::Move] {
            let options = AddOptions { take, ..options("org/model") };
            let e = try_add(&bench.store, &at, &options).unwrap_err();
            assert!(matches!(e, StoreError::Source(SourceError::Special { .. })), "{what}: {e}");
        }
        // In a tree, by its own name and by a link to it.
        let inside = bench.tree.join(what);
        fs::rename(&at, &inside).unwrap();
        assert!(matches!(bench.refuse(), SourceError::Special { path } if path == inside));
        fs::rename(&inside, &at).unwrap();
        symlink(&at, &inside).unwrap();
        let follow = AddOptions { follow_links: true, ..options("org/model") };
        assert!(matches!(bench.refused(&follow), SourceError::Special { .. }), "{what}");
        fs::remove_file(&inside).unwrap();
    }
    bench.add().unwrap();
    assert_whole(&bench.store);
}

/// A file that becomes a fifo between the walk and the open must not make the open wait for a
/// writer that never comes.
#[test]
fn a_fifo_that_takes_a_files_place_does_not_hang() {
    let bench = Bench::new();
    let victim = bench.tree.join("weights/a.bin");
    let (file, fifo) = (bench.tree.join("../real"), bench.tree.join("../fifo"));
    fs::write(&file, bytes(2, 5000)).unwrap();
    mknodat(CWD, &fifo, FileType::Fifo, Permissions::from_raw_mode(0o600), 0).unwrap();
    let done = AtomicBool::new(false);
    let outcomes = std::thread::scope(|scope| {
        scope.spawn(|| {
            let aside = bench.tree.join("../aside");
            while !done.load(Ordering::Relaxed) {
                for now in [&fifo, &file] {
                    let _ = fs::remove_file(&aside);
                    // A fifo can have a second name too.
                    fs::hard_link(now, &aside).unwrap();
                    fs::rename(&aside, &victim).unwrap();
                }
            }
        });
        let outcomes: Vec<_> = (0..150).map(|_| bench.add()).collect();
        done.store(true, Ordering::Relaxed);
        outcomes
    });
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    for outcome in outcomes {
        if let Err(e) = outcome {
            let said = matches!(
                e,
                StoreError::Source(SourceError::Special { .. } | SourceError::Changed { .. })
            );
            assert!(said, "{e:?}");
        }
    }
    assert!(refused > 0, "the fifo was never met");
    assert_whole(&bench.store);
    assert_nothing_staged(bench.store.path());
}

/// What the process that [`an_unreadable_file_is_an_error`] starts as somebody else does.
#[test]
fn role_add_as_nobody() {
    let Some(dir) = std::env::var_os("TONNAGE_HOSTILE_AS_NOBODY").map(PathBuf::from) else {
        return;
    };
    let store = open(&dir.join("store"));
    for tree in ["secret-file", "secret-dir"] {
        let e = try_add(&store, &dir.join(tree), &options("org/model")).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Failure, "{e}");
        assert!(e.to_string().contains("secret.bin") || e.to_string().contains("closed"), "{e}");
        assert!(e.to_string().contains("Permission denied"), "{e}");
        assert!(store.list().unwrap().is_empty());
        assert_nothing_staged(store.path());
    }
    let e = Store::open(dir.join("forbidden"), tonnage::store::Access::Write).err().unwrap();
    assert!(e.to_string().contains("forbidden"), "{e}");
    println!("as nobody: done");
}

#[test]
fn an_unreadable_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_tree(&at("secret-file"), &[("secret.bin", b"x"), ("open.bin", b"y")]);
    write_tree(&at("secret-dir"), &[("closed/secret.bin", b"x"), ("open.bin", b"y")]);
    write_tree(&at("forbidden"), &[]);
    fs::create_dir(at("store")).unwrap();
    let chmod = |path: PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(at("secret-file/secret.bin"), 0o000);
    chmod(at("secret-dir/closed"), 0o000);
    chmod(at("forbidden"), 0o700);
    chmod(at("store"), 0o777);
    chmod(dir.path().to_owned(), 0o755);
    // The binary itself may stand where only its owner may go.
    let binary = at("test-binary");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    chmod(binary.clone(), 0o755);
    let role = ["--exact", "role_add_as_nobody", "--nocapture"];
    let mut command = if support::is_root() {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
        setpriv
    } else {
        chmod(at("forbidden"), 0o000);
        Command::new(&binary)
    };
    let out = match command.args(role).env("TONNAGE_HOSTILE_AS_NOBODY", dir.path()).output() {
        Ok(out) => out,
        Err(e) => return skipped(&format!("an unreadable file: cannot run as another user: {e}")),
    };
    let said = String::from_utf8_lossy(&out.stdout);
    if said.is_empty() && !out.status.success() {
        let why = String::from_utf8_lossy(&out.stderr).into_owned();
        return skipped(&format!("an unreadable file: cannot run as another user: {why}"));
    }
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("as nobody: done"), "{said}\n{told}");
    chmod(at("secret-dir/closed"), 0o700);
}

#[test]
fn a_link_that_leaves_the_tree_is_refused_unless_followed() {
    let bench = Bench::new();
    let outside = bench.tree.join("../outside");
    write_tree(&outside, &[("far.bin", &bytes(3, 70_000)), ("deep/er.bin", b"er")]);
    symlink("../outside/far.bin", bench.tree.join("near.bin")).unwrap();
    let refused = bench.refuse();
    let SourceError::LeavesTree { path, target } = &refused else { panic!("{refused:?}") };
    assert_eq!(*path, bench.tree.join("near.bin"));
    assert_eq!(*target, outside.canonicalize().unwrap().join("far.bin"));
    fs::remove_file(bench.tree.join("near.bin")).unwrap();
    symlink(outside.canonicalize().unwrap(), bench.tree.join("dir")).unwrap();
    assert!(matches!(bench.refuse(), SourceError::LeavesTree { .. }));
    // A name that only begins like the tree's is outside of it.
    let twin = bench.tree.with_file_name("tree-2");
    write_tree(&twin, &[("t.bin", b"t")]);
    fs::remove_file(bench.tree.join("dir")).unwrap();
    symlink("../tree-2/t.bin", bench.tree.join("t.bin")).unwrap();
    assert!(matches!(bench.refuse(), SourceError::LeavesTree { .. }));
    symlink(&outside, bench.tree.join("dir")).unwrap();
    // A link within a directory that is reached by a link.
    symlink("../../config.json", bench.tree.join("weights/up.json")).unwrap_or_default();
    fs::remove_file(bench.tree.join("weights/up.json")).unwrap();

    let follow = AddOptions { follow_links: true, ..options("org/model") };
    try_add(&bench.store, &bench.tree, &follow).unwrap();
    let wanted = ["config.json", "dir/deep/er.bin", "dir/far.bin", "t.bin", "weights/a.bin"];
    assert_eq!(bench.paths(), wanted);
    assert_whole(&bench.store);
    // What was copied stands by itself.
    fs::write(outside.join("far.bin"), b"other").unwrap();
    assert_whole(&bench.store);
}

#[test]
fn a_link_within_the_tree_is_the_file_it_means() {
    let bench = Bench::new();
    symlink("weights/a.bin", bench.tree.join("b.bin")).unwrap();
    symlink("weights", bench.tree.join("again")).unwrap();
    symlink(bench.tree.join("b.bin"), bench.tree.join("c.bin")).unwrap();
    let added = bench.add().unwrap();
    let wanted = ["again/a.bin", "b.bin", "c.bin", "config.json", "weights/a.bin"];
    assert_eq!(bench.paths(), wanted);
    assert_eq!(added.new_bytes, 100_002);
    assert_eq!(names(bench.store.path(), "blobs").len(), 2);
    assert_whole(&bench.store);
}

#[test]
fn links_to_nothing_and_in_circles_are_named() {
    let bench = Bench::new();
    let at = |name: &str| bench.tree.join(name);
    let check = |links: &[(&str, &str)], dangling: bool| {
        for (name, target) in links {
            symlink(target, at(name)).unwrap();
        }
        for follow_links in [false, true] {
            let e = bench.refused(&AddOptions { follow_links, ..options("org/model") });
            match e {
                SourceError::Dangling { path } if dangling => assert_eq!(path, at(links[0].0)),
                SourceError::Loop { path } if !dangling => {
                    assert!(path.starts_with(&bench.tree), "{path:?}");
                }
                other => panic!("{links:?}: {other:?}"),
            }
        }
        for (name, _) in links {
            fs::remove_file(at(name)).unwrap();
        }
    };
    check(&[("dangling", "nowhere")], true);
    check(&[("itself", "itself")], false);
    check(&[("one", "two"), ("two", "one")], false);
    check(&[("parent", ".")], false);
    check(&[("weights/up", "..")], false);
    // Two directories, each with a link into the other.
    write_tree(&at("x"), &[("f", b"f")]);
    write_tree(&at("y"), &[("g", b"g")]);
    check(&[("x/y", "../y"), ("y/x", "../x")], false);
    bench.add().unwrap();
    // A link to the directory above the tree leaves it; followed it is a loop.
    symlink("..", at("above")).unwrap();
    let follow = AddOptions { follow_links: true, ..options("org/model") };
    for options in [&options("org/model"), &follow] {
        let e = try_add(&bench.store, &bench.tree, options).unwrap_err();
        assert!(matches!(
            e,
            StoreError::Source(SourceError::LeavesTree { .. } | SourceError::Loop { .. })
                | StoreError::Source(SourceError::HoldsStore { .. })
        ));
    }
    assert_whole(&bench.store);
}

#[test]
fn names_that_no_model_can_have_are_refused() {
    let bench = Bench::new();
    let cases: [(&[u8], PathProblem); 7] = [
        (b"new\nline", PathProblem::Character),
        (b"bell\x07", PathProblem::Character),
        (b"escape\x1b[31m", PathProblem::Character),
        (b"delete\x7f", PathProblem::Character),
        (b"back\\slash", PathProblem::Character),
        ("c1\u{85}".as_bytes(), PathProblem::Character),
        (b"latin-\xe9", PathProblem::NotUtf8),
    ];
    for (name, wanted) in cases {
        for below in ["", "weights"] {
            let path = raw_name(&bench.tree.join(below), name);
            fs::write(&path, b"x").unwrap();
            let SourceError::Name { path: told, problem } = bench.refuse() else { panic!() };
            assert_eq!((told, problem), (path.clone(), wanted));
            // As a file of its own too.
            let alone = try_add(&bench.store, &path, &options("org/model"));
            assert!(matches!(alone, Err(StoreError::Source(SourceError::Name { .. }))));
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inner"), b"x").unwrap();
            assert!(matches!(bench.refuse(), SourceError::Name { .. }));
            fs::remove_dir_all(&path).unwrap();
        }
    }
    for fine in ["with space", "ünï — ☃", "..a", ".hidden", "#?%", "a:b", "-rf", "~", "CON"] {
        fs::write(bench.tree.join(fine), fine).unwrap();
    }
    bench.add().unwrap();
    let out = bench.tree.join("../out");
    view(&bench.store, "org/model", &out, Default::default());
    assert_eq!(read_tree(&out), read_tree(&bench.tree));
}

#[test]
fn components_of_255_bytes_pass_and_paths_beyond_4096_do_not() {
    let bench = Bench::new();
    let long = "n".repeat(255);
    let wide = format!("{}a", "é".repeat(127));
    fs::write(bench.tree.join(&long), b"long").unwrap();
    fs::write(bench.tree.join(&wide), b"wide").unwrap();
    bench.add().unwrap();
    let out = bench.tree.join("../out");
    view(&bench.store, "org/model", &out, Default::default());
    assert_eq!(read_tree(&out), read_tree(&bench.tree));

    // Deeper than a path can name: made step by step, from the working directory of a shell.
    let component = "d".repeat(250);
    let script = format!(
        "cd \"$1\" && i=0; while [ $i -lt 17 ]; do mkdir {component} && cd -P {component} || \
         exit 1; i=$((i+1)); done; echo deep > bottom"
    );
    let deep = bench.tree.join("../deep");
    write_tree(&deep, &[("top", b"top")]);
    let made = Command::new("sh").args(["-c", &script, "sh"]).arg(&deep).status().unwrap();
    assert!(made.success());
    let e = try_add(&bench.store, &deep, &options("org/deep")).unwrap_err();
    let too_long =
        matches!(&e, StoreError::Source(SourceError::Name { problem: PathProblem::TooLong, .. }));
    assert!(too_long, "{e:?}");
    assert_nothing_staged(bench.store.path());
    assert_whole(&bench.store);
    assert!(Command::new("rm").arg("-rf").arg(&deep).status().unwrap().success());
}

#[test]
fn a_path_just_short_of_the_limit_comes_in_and_out() {
    let bench = Bench::new();
    // 15 components of 255 and their slashes: 3,840 bytes in the model. The tree and the view
    // stand before it, and the whole is still below PATH_MAX.
    let deep = vec!["e".repeat(255); 15].join("/");
    let dir = tempfile::Builder::new().prefix("t").tempdir_in("/tmp").unwrap();
    write_tree(&dir.path().join("in"), &[(&deep, b"deep")]);
    add(&bench.store, &dir.path().join("in"), "org/deep");
    let out = dir.path().join("out");
    let first = view(&bench.store, "org/deep", &out, Default::default());
    assert_eq!(first.files, 1);
    assert_eq!(fs::read(out.join(&deep)).unwrap(), b"deep");
    assert!(view(&bench.store, "org/deep", &out, Default::default()).unchanged);
}

#[test]
fn an_empty_directory_is_no_model_and_empty_files_are() {
    let bench = Bench::new();
    let empty = bench.tree.join("empty");
    fs::create_dir_all(empty.join("also/empty")).unwrap();
    let e = try_add(&bench.store, &empty, &options("org/empty")).unwrap_err();
    assert!(matches!(e, StoreError::Source(SourceError::Empty { .. })), "{e}");
    fs::write(empty.join("one"), b"").unwrap();
    fs::write(empty.join("also/two"), b"").unwrap();
    for take in [Take::Auto, Take::Copy, Take::Hardlink, Take::Move] {
        fs::write(empty.join("one"), b"").unwrap();
        fs::write(empty.join("also/two"), b"").unwrap();
        let options = AddOptions { take, ..options("org/empty") };
        let added = try_add(&bench.store, &empty, &options).unwrap();
        assert_eq!((added.files, added.bytes, added.new_bytes), (2, 0, 0), "{take:?}");
    }
    let nothing = BlobHash::of(b"").to_string();
    assert_eq!(names(bench.store.path(), "blobs"), [nothing]);
    let out = bench.tree.join("../out");
    for mode in support::MODES {
        let _ = fs::remove_dir_all(&out);
        view(&bench.store, "org/empty", &out, in_mode(mode));
        assert_eq!(read_tree(&out).len(), 2);
    }
    assert_whole(&bench.store);
}

#[test]
fn equal_bytes_are_one_blob() {
    let bench = Bench::new();
    let same = bytes(7, 200_000);
    for name in ["x.bin", "y.bin", "weights/z.bin"] {
        fs::write(bench.tree.join(name), &same).unwrap();
    }
    fs::write(bench.tree.join("other.bin"), bytes(8, 200_000)).unwrap();
    let added = bench.add().unwrap();
    assert_eq!((added.files, added.known_files), (6, 2));
    assert_eq!(added.new_bytes, 200_000 + 200_000 + 100_000 + 2);
    assert_eq!(names(bench.store.path(), "blobs").len(), 4);
    let again = bench.add().unwrap();
    assert_eq!((again.new_bytes, again.known_files), (0, 6));
    assert_eq!(again.revision, added.revision);
    assert_eq!(names(bench.store.path(), "manifests").len(), 1);
    assert_whole(&bench.store);
}

/// What a neighbour does to a file while it is added.
type Meddle = fn(&Path, u64);

/// Adds a tree again and again while a thread meddles with its big file. An add either says that
/// the file changed, or made a revision of bytes that are what their names say.
fn add_while(what: &str, take: Take, meddle: Meddle) {
    let bench = Bench::new();
    let victim = bench.tree.join("weights/a.bin");
    fs::write(&victim, bytes(0, 3 << 20)).unwrap();
    let (done, turns) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut changed, mut added) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let turn = turns.fetch_add(1, Ordering::Relaxed);
                meddle(&victim, turn);
            }
        });
        let mut outcome = || {
            while turns.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            for _ in 0..40 {
                let options = AddOptions { take, ..options("org/model") };
                match try_add(&bench.store, &bench.tree, &options) {
                    Ok(_) => added += 1,
                    Err(StoreError::Source(SourceError::Changed { path })) => {
                        assert_eq!(path, victim);
                        changed += 1;
                    }
                    Err(e) => return Err(format!("{what}: {e:?}")),
                }
                let found = violations(&bench.store);
                if !found.is_empty() {
                    return Err(format!("{what}: {found:#?}"));
                }
            }
            Ok(())
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut outcome));
        done.store(true, Ordering::Relaxed);
        match outcome {
            Ok(outcome) => outcome.unwrap(),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    let turns = turns.into_inner();
    println!("{what}: {added} added, {changed} refused, {turns} turns");
    assert_nothing_staged(bench.store.path());
    assert_whole(&bench.store);
}

fn grow(path: &Path, turn: u64) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(&bytes(turn, 10_000)).unwrap();
    if file.metadata().unwrap().len() > 6 << 20 {
        file.set_len(3 << 20).unwrap();
    }
}

fn shrink(path: &Path, turn: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    if len < 1 << 20 {
        file.write_all_at(&bytes(turn, 3 << 20), 0).unwrap();
    } else {
        file.set_len(len - 70_000).unwrap();
    }
}

fn replace(path: &Path, turn: u64) {
    let aside = path.parent().unwrap().parent().unwrap().with_extension("aside");
    fs::write(&aside, bytes(turn, (2 << 20) + usize::try_from(turn % 2).unwrap())).unwrap();
    fs::rename(&aside, path).unwrap();
}

fn remove_and_make(path: &Path, turn: u64) {
    let aside = path.parent().unwrap().parent().unwrap().with_extension("aside");
    fs::write(&aside, bytes(turn, 2 << 20)).unwrap();
    fs::remove_file(path).unwrap();
    fs::rename(&aside, path).unwrap();
}

fn change_in_place(path: &Path, turn: u64) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(turn * 4096 % (3 << 20))).unwrap();
    file.write_all(&bytes(turn, 64)).unwrap();
}

/// A program that writes in place and puts the file's time back, so that only the time of the
/// inode's change tells.
fn change_and_hide(path: &Path, turn: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&bytes(turn, 64), turn * 4096 % (3 << 20)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000)).unwrap();
}

#[test]
fn a_file_that_grows_is_never_taken_wrong() {
    add_while("grows, copied", Take::Copy, grow);
    add_while("grows, auto", Take::Auto, grow);
}

#[test]
fn a_file_that_shrinks_is_never_taken_wrong() {
    add_while("shrinks, copied", Take::Copy, shrink);
    add_while("shrinks, auto", Take::Auto, shrink);
}

#[test]
fn a_file_that_is_replaced_is_never_taken_wrong() {
    add_while("is replaced, copied", Take::Copy, replace);
    add_while("is replaced, auto", Take::Auto, replace);
    add_while("is replaced, hardlinked", Take::Hardlink, replace);
}

#[test]
fn a_file_that_goes_and_comes_is_never_taken_wrong() {
    add_while("goes and comes, copied", Take::Copy, remove_and_make);
    add_while("goes and comes, hardlinked", Take::Hardlink, remove_and_make);
}

#[test]
fn a_file_that_changes_in_place_is_never_taken_wrong() {
    add_while("changes in place, copied", Take::Copy, change_in_place);
    add_while("changes in place, auto", Take::Auto, change_in_place);
    add_while("changes behind its time, copied", Take::Copy, change_and_hide);
    add_while("changes behind its time, auto", Take::Auto, change_and_hide);
}

#[test]
fn a_directory_of_20_000_tiny_files_comes_in_and_out() {
    let bench = Bench::new();
    let many = bench.tree.join("../many");
    fs::create_dir(&many).unwrap();
    for i in 0..20_000_u32 {
        // One in four has bytes of its own.
        fs::write(many.join(format!("tiny-{i:05}")), (i / 4).to_le_bytes()).unwrap();
    }
    let added = add(&bench.store, &many, "org/many");
    assert_eq!((added.files, added.new_bytes, added.known_files), (20_000, 20_000, 15_000));
    assert_eq!(names(bench.store.path(), "blobs").len(), 5000);
    let out = bench.tree.join("../out");
    let made = view(&bench.store, "org/many", &out, Default::default());
    assert_eq!((made.files, made.copied), (20_000, 20_000));
    assert!(read_tree(&out) == read_tree(&many));
    assert!(view(&bench.store, "org/many", &out, Default::default()).unchanged);
    assert_whole(&bench.store);
}

/// A process may have 1,024 files open; a tree has as many directories and links as it likes.
#[test]
fn more_directories_and_links_than_a_process_may_open_come_in_and_out() {
    // Here the limit may be higher, so this test goes on in a process that has a low one.
    const LIMITED: &str = "TONNAGE_HOSTILE_LIMITED";
    if std::env::var_os(LIMITED).is_none() {
        let me = "more_directories_and_links_than_a_process_may_open_come_in_and_out";
        let out = Command::new("sh")
            .args(["-c", "ulimit -n 256 && exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", me, "--nocapture"])
            .env(LIMITED, "1")
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    let bench = Bench::new();
    for i in 0..1000 {
        let dir = bench.tree.join(format!("d{i}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("f"), [1, 2, 3]).unwrap();
        symlink(format!("d{i}/f"), bench.tree.join(format!("l{i}"))).unwrap();
    }
    assert_eq!(bench.add().unwrap().files, 2002);
    let out = bench.tree.join("../out");
    view(&bench.store, "org/model", &out, Default::default());
    assert!(read_tree(&out) == read_tree(&bench.tree));
    assert!(view(&bench.store, "org/model", &out, Default::default()).unchanged);
    let options = AddOptions { take: Take::Move, ..options("org/model") };
    assert_eq!(try_add(&bench.store, &out, &options).unwrap().files, 2002);
    assert!(read_tree(&out).is_empty());
    assert_whole(&bench.store);
}

#[test]
fn the_store_is_not_added_to_itself() {
    let bench = Bench::new();
    bench.add().unwrap();
    let blobs = names(bench.store.path(), "blobs");
    let around = bench.tree.parent().unwrap();
    symlink(bench.store.path(), bench.tree.join("link")).unwrap();
    for take in [Take::Auto, Take::Copy, Take::Hardlink, Take::Move] {
        for path in [bench.store.path(), around, &bench.store.path().join("blobs"), &bench.tree] {
            let options = AddOptions { take, follow_links: true, ..options("org/self") };
            let e = try_add(&bench.store, path, &options).unwrap_err();
            let said = matches!(e, StoreError::Source(SourceError::HoldsStore { .. }));
            assert!(said, "{take:?} {}: {e:?}", path.display());
        }
        let blob = bench.store.path().join("blobs").join(&blobs[0]);
        let options = AddOptions { take, ..options("org/self") };
        assert!(try_add(&bench.store, &blob, &options).is_err(), "{take:?}");
    }
    assert_eq!(names(bench.store.path(), "blobs"), blobs);
    assert_eq!(bench.store.list().unwrap().len(), 1);
    assert_whole(&bench.store);

    // A managed view is an ordinary tree of files.
    let revision = resolve(&bench.store, "org/model");
    let progress = tonnage::progress::Progress::new();
    let made =
        tonnage::views::managed(&bench.store, &revision, Default::default(), &progress).unwrap();
    let added = add(&bench.store, &made.path, "org/again");
    assert_eq!(added.new_bytes, 0);
    assert_eq!(names(bench.store.path(), "blobs"), blobs);
    assert_whole(&bench.store);
}

#[test]
fn model_names_at_their_limits() {
    let bench = Bench::new();
    let long_org = format!("{}/{}", "o".repeat(47), "n".repeat(48));
    let long_bare = "b".repeat(96);
    for name in [long_org.as_str(), &long_bare, "a", "a/b", "A_.b-c/9.x"] {
        let reference: tonnage::model::RefName = "é".repeat(40).parse().unwrap();
        let options = AddOptions { reference, ..options(name) };
        let added = try_add(&bench.store, &bench.tree, &options).unwrap();
        assert_eq!(added.model.as_str(), name);
        let revision = resolve(&bench.store, &format!("{name}@{}", "é".repeat(40)));
        assert_eq!(revision.revision, added.revision);
        let progress = tonnage::progress::Progress::new();
        let made = tonnage::views::managed(&bench.store, &revision, Default::default(), &progress)
            .unwrap();
        assert_eq!(read_tree(&made.path), read_tree(&bench.tree));
    }
    let too_long = "b".repeat(97);
    for name in ["", "a/b/c", "../x", "a/..", "a b", "x--y", "a/", &too_long, "ä"] {
        assert!(name.parse::<ModelId>().is_err(), "{name:?}");
    }
    assert_whole(&bench.store);
}
