//! What tests do to a disk from outside, its settings, and the bytes beneath.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fs::Room;
use crate::fs::sim::bytes::Bytes;

#[test]
fn a_planted_file_is_durable_and_makes_nothing_else_durable() {
    let disk = disk();
    let d = dir(&disk, "/d");
    create(&d, "unsynced", b"");
    let pending = disk.pending();
    disk.write_file("/d/a/b", b"one");
    disk.write_file("/d/a/b", b"2");
    assert_eq!(disk.pending(), pending);
    disk.reboot(Keep::None);
    assert_eq!(disk.tree("/"), ["d", "d/a", "d/a/b", "e"]);
    assert_eq!(disk.read_file("/d/a/b").unwrap(), b"2");
}

#[test]
fn what_is_not_there_cannot_be_seen() {
    let disk = disk();
    assert_eq!(disk.read_file("/d/f"), None);
    assert_eq!(disk.read_file("/d"), None);
    assert!(disk.exists("/") && disk.exists("/d") && !disk.exists("/d/f"));
    assert_eq!(disk.tree("/nowhere"), [""; 0]);
}

#[test]
fn a_fork_and_its_origin_do_not_see_each_other() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"origin");
    file.write_at(b"pending", 0).unwrap();
    assert!(file.try_lock(LockKind::Exclusive).unwrap());
    let fork = disk.fork();
    let copy = dir(&fork, "/d").open_file(n("f"), Open::Write).unwrap();
    assert!(copy.try_lock(LockKind::Exclusive).unwrap());
    copy.write_at(b"fork", 0).unwrap();
    assert_eq!(disk.read_file("/d/f").unwrap(), b"pending");
    assert_eq!(fork.read_file("/d/f").unwrap(), b"forking");
    fork.reboot(Keep::None);
    assert_eq!(fork.read_file("/d/f").unwrap(), b"origin", "what was pending is so in the fork");
    file.sync().unwrap();
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let disk = disk();
    let d = dir(&disk, "/d");
    for i in 0..50 {
        create(&d, &format!("f{i}"), b"x");
    }
    let run = |keep| {
        let fork = disk.fork();
        fork.reboot(keep);
        fork.tree("/d")
    };
    assert_eq!(run(Keep::Random(3)), run(Keep::Random(3)));
    assert_ne!(run(Keep::Random(3)), run(Keep::Random(4)));
    assert_eq!(run(Keep::Prefix(4)), ["f0", "f1"]);
    assert_eq!(run(Keep::Except(0)).len(), 49);
    assert_eq!(run(Keep::All).len(), 50);
}

#[test]
fn a_file_has_only_so_many_names() {
    let disk = disk();
    disk.set_max_links(2);
    let d = dir(&disk, "/d");
    create(&d, "f", b"");
    d.link(n("f"), &*d, n("g")).unwrap();
    assert_eq!(errno(d.link(n("f"), &*d, n("h"))), Some(Errno::MLINK));
    d.remove_file(n("g")).unwrap();
    d.link(n("f"), &*d, n("h")).unwrap();
}

#[test]
fn without_reflinks_a_clone_is_not_supported() {
    let disk = disk();
    let d = dir(&disk, "/d");
    let (f, g) = (create(&d, "f", b"x"), create(&d, "g", b""));
    assert_eq!(errno((*g).reflink_from(&*f)), Some(Errno::OPNOTSUPP));
}

#[test]
fn names_that_differ_in_case_can_be_the_same() {
    let disk = SimDisk::new();
    disk.set_case_insensitive(true);
    disk.write_file("/Dir/File", b"x");
    assert_eq!(disk.read_file("/dir/FILE").unwrap(), b"x");
    let d = dir(&disk, "/DIR");
    assert_eq!(errno(d.open_file(n("file"), Open::New)), Some(Errno::EXIST));
    d.rename(n("file"), &*d, n("FILE"), Rename::Replace).unwrap();
    assert_eq!(disk.tree("/"), ["Dir", "Dir/FILE"]);
    d.sync().unwrap();
    disk.reboot(Keep::None);
    assert_eq!(disk.tree("/"), ["Dir", "Dir/FILE"]);
    let path = disk.process().canonical(Path::new("/dir/file")).unwrap();
    assert_eq!(path, Path::new("/Dir/FILE"));
}

#[test]
fn time_moves_with_every_change_and_when_told() {
    let disk = disk();
    let d = dir(&disk, "/d");
    let file = create(&d, "f", b"");
    let before = file.stat().unwrap().mtime_ns;
    file.write_at(b"x", 0).unwrap();
    let after = file.stat().unwrap().mtime_ns;
    assert!(after > before);
    disk.advance(Duration::from_secs(3600));
    file.set_mtime(None).unwrap();
    assert!(file.stat().unwrap().mtime_ns >= after + 3_600_000_000_000);
    assert!(d.stat_self().unwrap().mtime_ns > 1_700_000_000_000_000_000);
}

#[test]
fn stat_and_room_tell_what_was_set() {
    let disk = disk();
    let d = dir(&disk, "/d");
    let file = create(&d, "f", &[1; 5000]);
    file.set_mode(0o444).unwrap();
    let stat = file.stat().unwrap();
    assert_eq!((stat.size, stat.allotted, stat.mode, stat.dev), (5000, 8192, 0o444, 1));
    assert_eq!(stat, d.stat(n("f")).unwrap());
    disk.set_room(7, 9);
    assert_eq!(d.room().unwrap(), Room { available: 7, total: 9 });
    assert!(file.os_file().unwrap().is_none());
}

#[test]
fn a_file_without_permission_does_not_open_to_write() {
    let disk = disk();
    let d = dir(&disk, "/d");
    create(&d, "f", b"").set_mode(0o444).unwrap();
    d.open_file(n("f"), Open::Read).unwrap();
    assert_eq!(errno(d.open_file(n("f"), Open::Write)), Some(Errno::ACCESS));
}

#[test]
#[should_panic(expected = "not a single component")]
fn a_path_is_not_a_name() {
    let _ = dir(&disk(), "/d").stat(n("../e"));
}

proptest! {
    #[test]
    fn bytes_behave_like_a_vector(
        ops in prop::collection::vec((0_u8..3, 0_usize..20_000, 0_usize..9000), 1..30)
    ) {
        let (mut bytes, mut model) = (Bytes::default(), Vec::new());
        let mut forks = Vec::new();
        for (i, (what, at, len)) in ops.into_iter().enumerate() {
            match what {
                0 => {
                    bytes.set_len(at as u64);
                    model.resize(at, 0);
                }
                1 => forks.push((bytes.clone(), model.clone())),
                _ => {
                    let data = vec![i as u8 + 1; len];
                    bytes.write(&data, at as u64);
                    if len > 0 {
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].copy_from_slice(&data);
                    }
                }
            }
        }
        forks.push((bytes, model));
        for (bytes, model) in forks {
            prop_assert_eq!(bytes.to_vec(), model);
        }
    }
}
