//! What a power loss leaves of a file's content.

use super::*;

fn contents(disk: &SimDisk) -> Vec<Vec<u8>> {
    outcomes(disk, |d| d.read_file("/d/f").unwrap())
}

#[test]
fn an_unsynced_write_may_be_lost_and_a_synced_one_never() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"old");
    file.write_at(b"new", 0).unwrap();
    assert_eq!(contents(&disk), [b"new", b"old"]);
    file.sync().unwrap();
    assert_eq!(contents(&disk), [b"new"]);
}

#[test]
fn unsynced_writes_are_lost_independently_and_kept_ones_keep_their_order() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"--");
    file.write_at(b"A", 0).unwrap();
    file.write_at(b"B", 1).unwrap();
    assert_eq!(contents(&disk), [b"--", b"-B", b"A-", b"AB"]);
    file.write_at(b"C", 0).unwrap();
    disk.reboot(Keep::All);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"CB");
}

#[test]
fn lost_growth_leaves_zeros_or_a_shorter_file() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"");
    file.set_len(2).unwrap();
    file.write_at(b"x", 2).unwrap();
    assert_eq!(contents(&disk), [&b""[..], b"\0\0", b"\0\0x"]);
}

#[test]
fn a_lost_truncation_brings_the_bytes_back_and_a_kept_one_leaves_zeros() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"abc");
    file.set_len(1).unwrap();
    file.set_len(3).unwrap();
    assert_eq!(contents(&disk), [&b"a"[..], b"a\0\0", b"abc"]);
}

#[test]
fn reserving_grows_a_file_and_never_shrinks_it() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"abc");
    file.reserve(5).unwrap();
    file.reserve(2).unwrap();
    assert_eq!(disk.read_file("/d/f").unwrap(), b"abc\0\0");
}

#[test]
fn mode_and_time_are_lost_like_bytes() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"");
    file.set_mode(0o400).unwrap();
    file.set_mtime(Some(7)).unwrap();
    let look = |d: &SimDisk| {
        let stat = dir(d, "/d").stat(n("f")).unwrap();
        (stat.mode, stat.mtime_ns == 7)
    };
    assert_eq!(outcomes(&disk, look).len(), 4);
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, look), [(0o400, true)]);
}

#[test]
fn a_sync_of_one_file_says_nothing_about_another() {
    let disk = disk();
    let d = dir(&disk, "/d");
    let file = durable(&d, "f", b"old");
    let other = durable(&d, "g", b"");
    file.write_at(b"new", 0).unwrap();
    other.write_at(b"x", 0).unwrap();
    other.sync().unwrap();
    assert_eq!(contents(&disk), [b"new", b"old"]);
}

#[test]
fn sync_all_makes_every_file_and_name_durable() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    create(&d, "f", b"new");
    e.make_dir(n("x")).unwrap();
    e.sync_all().unwrap();
    assert_eq!(disk.pending(), 0);
    disk.reboot(Keep::None);
    assert_eq!(disk.tree("/"), ["d", "d/f", "e", "e/x"]);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"new");
}

#[test]
fn a_sync_through_another_handle_or_process_counts() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"old");
    file.write_at(b"new", 0).unwrap();
    dir(&disk, "/d").open_file(n("f"), Open::Read).unwrap().sync().unwrap();
    assert_eq!(contents(&disk), [b"new"]);
}

#[test]
fn a_clone_shares_bytes_until_one_side_is_written() {
    let disk = disk();
    disk.set_reflinks(true);
    let d = dir(&disk, "/d");
    let source = durable(&d, "f", b"shared");
    let copy = d.open_file(n("g"), Open::New).unwrap();
    (*copy).reflink_from(&*source).unwrap();
    source.write_at(b"S", 0).unwrap();
    assert_eq!(disk.read_file("/d/g").unwrap(), b"shared");
    d.sync().unwrap();
    let copies = outcomes(&disk, |d| d.read_file("/d/g").unwrap());
    assert_eq!(copies, [&b""[..], b"shared"], "a clone is durable only after a sync");
}

#[test]
fn a_torn_reboot_keeps_halves_of_writes() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"----");
    file.write_at(b"AAAA", 0).unwrap();
    let mut seen: Vec<_> = (0..20)
        .map(|seed| {
            let fork = disk.fork();
            fork.reboot(Keep::Torn(seed));
            fork.read_file("/d/f").unwrap()
        })
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [b"----", b"AA--", b"AAAA"]);
}
