//! Locks and handles, and what a process's death does to them.

use super::*;
use LockKind::{Exclusive, Shared};

fn handles<const N: usize>(disk: &SimDisk) -> [File; N] {
    let d = dir(disk, "/d");
    std::array::from_fn(|_| d.open_file(n("lock"), Open::Ensure).unwrap())
}

#[test]
fn shared_locks_exclude_exclusive_ones_only() {
    let [a, b, c] = handles(&disk());
    assert!(a.try_lock(Shared).unwrap());
    assert!(b.try_lock(Shared).unwrap());
    assert!(!c.try_lock(Exclusive).unwrap());
    drop((a, b));
    assert!(c.try_lock(Exclusive).unwrap());
}

#[test]
fn a_lock_belongs_to_its_handle_even_within_a_process() {
    let [a, b] = handles(&disk());
    assert!(a.try_lock(Exclusive).unwrap());
    assert!(a.try_lock(Exclusive).unwrap());
    assert!(!b.try_lock(Shared).unwrap());
    assert!(a.try_lock(Shared).unwrap(), "a handle can convert its own lock");
    assert!(b.try_lock(Shared).unwrap());
}

#[test]
fn directories_have_locks_of_their_own() {
    let disk = disk();
    let (a, b) = (dir(&disk, "/d"), dir(&disk, "/d"));
    assert!(a.try_lock(Exclusive).unwrap());
    assert!(!b.try_lock(Exclusive).unwrap());
    assert!(dir(&disk, "/e").try_lock(Exclusive).unwrap());
}

#[test]
fn locks_die_with_the_process_though_its_handles_are_still_there() {
    let disk = disk();
    let fs = disk.process();
    let d = fs.open_dir(Path::new("/d")).unwrap();
    let file = d.open_file(n("lock"), Open::Ensure).unwrap();
    assert!(file.try_lock(Exclusive).unwrap() && d.try_lock(Exclusive).unwrap());
    let [other] = handles(&disk);
    assert!(!other.try_lock(Exclusive).unwrap());
    disk.kill(&fs);
    assert!(other.try_lock(Exclusive).unwrap());
    assert!(dir(&disk, "/d").try_lock(Exclusive).unwrap());
    drop(file);
    assert!(!handles::<1>(&disk)[0].try_lock(Shared).unwrap(), "a dead handle releases nothing");
}

#[test]
fn every_operation_of_a_dead_process_fails() {
    let disk = disk();
    let fs = disk.process();
    let d = fs.open_dir(Path::new("/d")).unwrap();
    let file = create(&d, "f", b"x");
    disk.kill(&fs);
    assert!(is_gone(fs.open_dir(Path::new("/"))) && is_gone(fs.make_dirs(Path::new("/x"))));
    assert!(is_gone(d.list()) && is_gone(d.sync()) && is_gone(d.sync_all()));
    assert!(is_gone(d.stat_self()) && is_gone(d.try_lock(Shared)) && is_gone(d.room()));
    assert!(is_gone(d.open_file(n("g"), Open::Ensure)) && is_gone(d.remove_file(n("f"))));
    assert!(is_gone(d.rename(n("f"), &*d, n("g"), Rename::Replace)));
    assert!(is_gone(file.read_at(&mut [0], 0)) && is_gone(file.write_at(b"y", 0)));
    assert!(is_gone(file.sync()) && is_gone(file.set_len(9)) && is_gone(file.reserve(0)));
    assert!(is_gone(file.try_lock(Shared)) && is_gone(file.os_file()));
    assert_eq!(disk.tree("/d"), ["f"]);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"x");
}

#[test]
fn a_kill_leaves_other_processes_alone() {
    let disk = disk();
    let (one, other) = (disk.process(), disk.process());
    let d = other.open_dir(Path::new("/d")).unwrap();
    disk.kill(&one);
    create(&d, "f", b"x").sync().unwrap();
}

#[test]
fn a_handle_keeps_a_removed_file() {
    let disk = disk();
    let d = dir(&disk, "/d");
    let file = create(&d, "f", b"kept");
    d.remove_file(n("f")).unwrap();
    d.sync_all().unwrap();
    let mut buf = [0; 8];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 4);
    assert_eq!(file.stat().unwrap().nlink, 0);
    file.write_at(b"K", 0).unwrap();
    file.sync().unwrap();
    disk.reboot(Keep::All);
    assert_eq!(disk.tree("/d"), [""; 0]);
}

#[test]
fn a_removed_file_whose_name_comes_back_has_its_durable_bytes() {
    let disk = disk();
    let d = dir(&disk, "/d");
    let file = durable(&d, "f", b"old");
    d.remove_file(n("f")).unwrap();
    drop(file);
    disk.reboot(Keep::None);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"old");
}
