//! Faults hit the operation they are meant for, and only that one.

use super::*;

/// Nine operations, six of which change something.
fn script(fs: &SimFs) -> io::Result<()> {
    let d = fs.open_dir(Path::new("/d"))?;
    let file = d.open_file(n("t"), Open::New)?;
    file.write_at(b"bytes", 0)?;
    file.sync()?;
    file.stat()?;
    d.rename(n("t"), &*d, n("f"), Rename::NoReplace)?;
    d.sync()?;
    d.list()?;
    d.remove_file(n("f"))
}

#[test]
fn operations_are_counted_all_or_only_the_changing_ones() {
    let disk = disk();
    disk.arm(Plan::any(u64::MAX, Fault::Kill));
    script(&disk.process()).unwrap();
    assert_eq!(disk.ops(), 9);

    disk.arm(Plan::count_mutations());
    script(&disk.process()).unwrap();
    assert_eq!((disk.ops(), disk.fired()), (6, false));
}

#[test]
fn a_kill_comes_before_its_operation_and_loses_nothing_done_before() {
    let trees: Vec<String> = (0..7)
        .map(|at| {
            let disk = disk();
            disk.arm(Plan::mutation(at, Fault::Kill));
            let fs = disk.process();
            assert_eq!(is_gone(script(&fs)), at < 6);
            assert_eq!(disk.fired(), at < 6);
            assert_eq!(is_gone(fs.canonical(Path::new("/"))), at < 6);
            let bytes = disk.read_file("/d/t").unwrap_or_default();
            format!("{} {}", disk.tree("/d").join(" "), bytes.len())
        })
        .collect();
    assert_eq!(trees, [" 0", "t 0", "t 5", "t 5", "f 0", "f 0", " 0"]);
}

#[test]
fn a_power_loss_stops_every_process() {
    let disk = disk();
    let (one, other) = (disk.process(), disk.process());
    disk.arm(Plan::any(3, Fault::PowerLoss));
    assert!(is_gone(script(&one)));
    assert!(is_gone(other.canonical(Path::new("/"))));
    disk.reboot(Keep::None);
    assert!(is_gone(other.canonical(Path::new("/"))), "a reboot brings no process back");
    assert_eq!(disk.tree("/d"), [""; 0]);
    script(&disk.process()).unwrap();
}

#[test]
#[should_panic(expected = "reboot first")]
fn without_power_there_is_nothing_to_see() {
    let disk = disk();
    disk.cut_power();
    disk.read_file("/d/f");
}

#[test]
fn an_input_output_error_has_no_effect_and_the_next_operation_works() {
    for at in 0..9 {
        let disk = disk();
        disk.arm(Plan::any(at, Fault::Eio));
        assert_eq!(errno(script(&disk.process())), Some(Errno::IO), "operation {at}");
        assert_eq!(disk.ops(), at + 1);
        let d = dir(&disk, "/d");
        d.make_dir(n("after")).unwrap();
    }
}

#[test]
fn a_full_disk_is_met_by_the_next_operation_that_needs_space() {
    let met: Vec<u64> = (0..6)
        .map(|at| {
            let disk = disk();
            disk.arm(Plan::mutation(at, Fault::Enospc));
            let full = errno(script(&disk.process())) == Some(Errno::NOSPC);
            assert_eq!(full, disk.fired());
            disk.ops()
        })
        .collect();
    assert_eq!(met, [1, 2, 4, 4, 6, 6], "create, write, rename; sync and removal need none");
}

#[test]
fn shrinking_needs_no_space_and_growing_does() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"abc");
    disk.arm(Plan::any(0, Fault::Enospc));
    file.set_len(1).unwrap();
    assert_eq!(errno(file.set_len(2)), Some(Errno::NOSPC));
    file.set_len(2).unwrap();
}

#[test]
fn opening_what_is_there_changes_nothing() {
    let disk = disk();
    let d = dir(&disk, "/d");
    durable(&d, "f", b"");
    disk.arm(Plan::mutation(0, Fault::Eio));
    d.open_file(n("f"), Open::Ensure).unwrap();
    assert_eq!(errno(d.open_file(n("g"), Open::Ensure)), Some(Errno::IO));
}

#[test]
fn a_torn_write_is_half_done() {
    for fault in [Fault::Kill, Fault::PowerLoss] {
        let disk = disk();
        let file = durable(&dir(&disk, "/d"), "f", b"----");
        disk.arm(Plan::mutation(0, fault).torn());
        assert!(is_gone(file.write_at(b"AAAA", 0)));
        if fault == Fault::PowerLoss {
            disk.reboot(Keep::All);
        }
        assert_eq!(disk.read_file("/d/f").unwrap(), b"AA--");
    }
}

#[test]
fn the_half_of_a_torn_write_is_not_durable() {
    let disk = disk();
    let file = durable(&dir(&disk, "/d"), "f", b"----");
    disk.arm(Plan::mutation(0, Fault::PowerLoss).torn());
    assert!(is_gone(file.write_at(b"AAAA", 0)));
    disk.reboot(Keep::None);
    assert_eq!(disk.read_file("/d/f").unwrap(), b"----");
}

#[test]
fn each_directory_made_on_the_way_is_an_operation() {
    let disk = disk();
    disk.arm(Plan::mutation(2, Fault::Kill));
    assert!(is_gone(disk.process().make_dirs(Path::new("/d/a/b/c/d"))));
    assert_eq!(disk.tree("/d"), ["a", "a/b"]);
}

#[test]
fn nothing_fails_after_the_reboot() {
    let disk = disk();
    disk.arm(Plan::mutation(0, Fault::Enospc));
    disk.reboot(Keep::All);
    script(&disk.process()).unwrap();
    assert!(!disk.fired());
}
