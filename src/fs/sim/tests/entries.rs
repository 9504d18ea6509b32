//! What a power loss leaves of names.

use super::*;

fn rename(from: (&Dir, &str), to: (&Dir, &str)) {
    from.0.rename(n(from.1), &**to.0, n(to.1), Rename::Replace).unwrap();
}

#[test]
fn a_name_may_be_lost_though_its_file_was_synced() {
    let disk = disk();
    let d = dir(&disk, "/d");
    create(&d, "f", b"x").sync().unwrap();
    assert_eq!(trees(&disk), ["d d/f e", "d e"]);
    d.sync().unwrap();
    assert_eq!(trees(&disk), ["d d/f e"]);
}

#[test]
fn a_synced_name_does_not_make_the_bytes_durable() {
    let disk = disk();
    let d = dir(&disk, "/d");
    create(&d, "f", b"x");
    d.sync().unwrap();
    disk.reboot(Keep::None);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"");
}

#[test]
fn a_rename_is_atomic_between_two_directories() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    durable(&d, "f", b"");
    rename((&d, "f"), (&e, "g"));
    assert_eq!(trees(&disk), ["d d/f e", "d e e/g"]);
}

#[test]
fn a_sync_of_either_directory_makes_a_rename_durable() {
    for second in [false, true] {
        let disk = disk();
        let (d, e) = dirs(&disk);
        durable(&d, "f", b"");
        rename((&d, "f"), (&e, "g"));
        if second { &e } else { &d }.sync().unwrap();
        assert_eq!(trees(&disk), ["d e e/g"]);
    }
}

#[test]
fn a_replacing_rename_leaves_the_old_file_or_the_new_one() {
    let disk = disk();
    let d = dir(&disk, "/d");
    durable(&d, "f", b"old");
    durable(&d, "t", b"new");
    rename((&d, "t"), (&d, "f"));
    let look = |d: &SimDisk| (d.tree("/d").join(" "), d.read_file("/d/f").unwrap());
    let expected = [("f".to_owned(), b"new".to_vec()), ("f t".to_owned(), b"old".to_vec())];
    assert_eq!(outcomes(&disk, look), expected);
}

#[test]
fn an_exchange_is_atomic() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    durable(&d, "f", b"1");
    durable(&e, "g", b"2");
    d.rename(n("f"), &*e, n("g"), Rename::Exchange).unwrap();
    let look = |d: &SimDisk| [d.read_file("/d/f").unwrap(), d.read_file("/e/g").unwrap()].concat();
    assert_eq!(outcomes(&disk, look), [b"12", b"21"]);
    e.sync().unwrap();
    assert_eq!(outcomes(&disk, look), [b"21"]);
}

#[test]
fn a_durable_rename_takes_the_creation_it_builds_on_along() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    create(&d, "f", b"");
    create(&d, "other", b"");
    rename((&d, "f"), (&e, "g"));
    e.sync().unwrap();
    assert_eq!(trees(&disk), ["d d/other e e/g", "d e e/g"]);
}

#[test]
fn a_rename_without_the_creation_it_builds_on_does_nothing() {
    let disk = disk();
    let d = dir(&disk, "/d");
    durable(&d, "f", b"old");
    d.open_file(n("t"), Open::New).unwrap();
    rename((&d, "t"), (&d, "f"));
    disk.reboot(Keep::Only(1));
    assert_eq!(disk.tree("/d"), ["f"]);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"old");
}

#[test]
fn a_removal_may_be_undone_until_it_is_synced() {
    let disk = disk();
    let d = dir(&disk, "/d");
    durable(&d, "f", b"x");
    d.remove_file(n("f")).unwrap();
    assert_eq!(trees(&disk), ["d d/f e", "d e"]);
    d.sync().unwrap();
    assert_eq!(trees(&disk), ["d e"]);
}

#[test]
fn the_end_of_a_name_never_hits_the_file_that_has_it_now() {
    let disk = disk();
    let d = dir(&disk, "/d");
    durable(&d, "f", b"1");
    d.remove_file(n("f")).unwrap();
    create(&d, "f", b"2").sync().unwrap();
    let look = |d: &SimDisk| d.read_file("/d/f");
    let expected = [None, Some(b"1".to_vec()), Some(b"2".to_vec())];
    assert_eq!(outcomes(&disk, look), expected);
    d.sync().unwrap();
    assert_eq!(outcomes(&disk, look), [Some(b"2".to_vec())]);
}

#[test]
fn a_lost_directory_takes_everything_in_it_along() {
    let disk = disk();
    let d = dir(&disk, "/d");
    d.make_dir(n("sub")).unwrap();
    let sub = d.open_dir(n("sub")).unwrap();
    create(&sub, "f", b"x").sync().unwrap();
    sub.sync().unwrap();
    assert_eq!(trees(&disk), ["d d/sub d/sub/f e", "d e"]);
}

#[test]
fn a_durable_removal_of_a_directory_takes_that_of_its_names_along() {
    let disk = disk();
    let d = dir(&disk, "/d");
    d.make_dir(n("sub")).unwrap();
    let sub = d.open_dir(n("sub")).unwrap();
    durable(&sub, "f", b"x");
    d.sync().unwrap();
    sub.remove_file(n("f")).unwrap();
    d.remove_dir(n("sub")).unwrap();
    assert_eq!(trees(&disk), ["d d/sub d/sub/f e", "d d/sub e", "d e"]);
    d.sync().unwrap();
    assert_eq!(trees(&disk), ["d e"]);
}

#[test]
fn a_link_is_durable_without_the_name_it_was_made_from() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    create(&d, "t", b"x").sync().unwrap();
    d.link(n("t"), &*e, n("f")).unwrap();
    d.remove_file(n("t")).unwrap();
    e.sync().unwrap();
    assert_eq!(trees(&disk), ["d d/t e e/f", "d e e/f"]);
    disk.reboot(Keep::None);
    assert_eq!(disk.read_file("/e/f").unwrap(), b"x");
}

#[test]
fn link_counts_are_right_after_a_reboot() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    let file = durable(&d, "f", b"x");
    d.link(n("f"), &*e, n("g")).unwrap();
    d.link(n("f"), &*e, n("h")).unwrap();
    assert_eq!(file.stat().unwrap().nlink, 3);
    let look = |disk: &SimDisk| {
        let names = disk.tree("/").len() as u64 - 2;
        assert_eq!(dir(disk, "/d").stat(n("f")).unwrap().nlink, names);
        names
    };
    assert_eq!(outcomes(&disk, look), [1, 2, 3]);
}

#[test]
fn moves_of_directories_never_make_a_loop() {
    let disk = disk();
    let root = dir(&disk, "/");
    let (d, e) = (root.open_dir(n("d")).unwrap(), root.open_dir(n("e")).unwrap());
    rename((&root, "d"), (&e, "d"));
    rename((&e, "d"), (&root, "d"));
    rename((&root, "e"), (&d, "e"));
    assert_eq!(trees(&disk), ["d d/e", "d e", "e e/d"]);
    d.sync().unwrap();
    assert_eq!(trees(&disk), ["d d/e"]);
}

#[test]
fn symbolic_links_are_names_too() {
    let disk = disk();
    let d = dir(&disk, "/d");
    d.make_symlink(Path::new("f"), n("s")).unwrap();
    assert_eq!(trees(&disk), ["d d/s e", "d e"]);
    d.sync().unwrap();
    disk.reboot(Keep::None);
    assert_eq!(dir(&disk, "/d").read_symlink(n("s")).unwrap(), Path::new("f"));
}

#[test]
fn a_durable_rename_takes_the_rename_before_it_along() {
    let disk = disk();
    let root = dir(&disk, "/");
    let (d, e) = (root.open_dir(n("d")).unwrap(), root.open_dir(n("e")).unwrap());
    durable(&d, "f", b"");
    rename((&d, "f"), (&e, "g"));
    rename((&e, "g"), (&root, "h"));
    root.sync().unwrap();
    assert_eq!(trees(&disk), ["d e h"], "one name, never two");
}

#[test]
fn a_durable_removal_of_a_directory_loses_nothing_that_was_moved_out_of_it() {
    let disk = disk();
    let (d, e) = dirs(&disk);
    d.make_dir(n("sub")).unwrap();
    let sub = d.open_dir(n("sub")).unwrap();
    durable(&sub, "f", b"x");
    d.sync().unwrap();
    rename((&sub, "f"), (&e, "f"));
    d.remove_dir(n("sub")).unwrap();
    d.sync().unwrap();
    assert_eq!(trees(&disk), ["d e e/f"]);
}
