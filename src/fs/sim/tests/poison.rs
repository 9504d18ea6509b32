//! A sync that failed is never made good.

use super::*;

fn eio(disk: &SimDisk, sync: impl FnOnce() -> io::Result<()>) {
    disk.arm(Plan::mutation(0, Fault::Eio));
    assert_eq!(errno(sync()), Some(Errno::IO));
    assert!(disk.fired());
}

#[test]
fn a_failed_file_sync_is_never_made_good_by_a_later_one() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"old");
    file.write_at(b"new", 0).unwrap();
    eio(&disk, || file.sync());
    file.sync().unwrap();
    dir(&disk, "/").sync_all().unwrap();
    assert_eq!(disk.read_file("/d/f").unwrap(), b"new", "the running system sees it");
    disk.reboot(Keep::None);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"old");
}

#[test]
fn a_write_after_a_failed_sync_becomes_durable_and_stays_on_top() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"--");
    file.write_at(b"AA", 0).unwrap();
    eio(&disk, || file.sync());
    file.write_at(b"B", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, |d| d.read_file("/d/f").unwrap()), [b"B-", b"BA"]);
}

#[test]
fn a_failed_directory_sync_is_never_made_good_by_a_later_one() {
    let disk = disk();
    let d = dir(&disk, "/d");
    create(&d, "f", b"").sync().unwrap();
    eio(&disk, || d.sync());
    d.sync().unwrap();
    d.sync_all().unwrap();
    assert_eq!(trees(&disk), ["d d/f e", "d e"]);
}

#[test]
fn a_rename_cannot_carry_a_name_that_failed_to_become_durable() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    create(&d, "t", b"").sync().unwrap();
    eio(&disk, || d.sync());
    d.rename(n("t"), &*e, n("f"), Rename::Replace).unwrap();
    e.sync().unwrap();
    assert_eq!(trees(&disk), ["d d/t e", "d e", "d e e/f"]);
}

#[test]
fn a_name_made_anew_after_a_failed_sync_can_become_durable() {
    let disk = disk();
    let d = dir(&disk, "/d");
    create(&d, "f", b"1").sync().unwrap();
    eio(&disk, || d.sync());
    d.remove_file(n("f")).unwrap();
    create(&d, "f", b"2").sync().unwrap();
    d.sync().unwrap();
    assert_eq!(outcomes(&disk, |d| d.read_file("/d/f").unwrap()), [b"2"]);
}

#[test]
fn a_failed_sync_of_everything_spoils_everything() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    let file = durable(&d, "f", b"old");
    file.write_at(b"new", 0).unwrap();
    e.make_dir(n("x")).unwrap();
    eio(&disk, || d.sync_all());
    d.sync_all().unwrap();
    disk.reboot(Keep::None);
    assert_eq!(disk.tree("/"), ["d", "d/f", "e"]);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"old");
}

#[test]
fn a_sync_that_failed_for_one_directory_leaves_others_alone() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    create(&d, "f", b"");
    create(&e, "g", b"");
    eio(&disk, || d.sync());
    e.sync().unwrap();
    disk.reboot(Keep::None);
    assert_eq!(disk.tree("/"), ["d", "e", "e/g"]);
}
