use std::path::Path;

use super::*;
use crate::digest::Sha256;
use crate::fs::sim::SimDisk;

const SIZE: u64 = 20 * GROUP + 7;

fn upstream() -> Upstream {
    Upstream::Sha256(Sha256::from_bytes([7; 32]))
}

fn dir(disk: &SimDisk) -> Dir {
    Dir::ensure(&*disk.process(), Path::new("/pull")).unwrap()
}

fn bytes() -> Vec<u8> {
    let mut bytes = vec![0; SIZE as usize];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn fill(part: &Part, range: Range<u64>) -> bool {
    let (from, to) = (range.start as usize, range.end as usize);
    let mut wake = false;
    let mut writer = Writer::new(part, range.start);
    for frame in bytes()[from..to].chunks(777_777) {
        wake |= writer.write(frame).unwrap();
    }
    assert_eq!(writer.at(), range.end);
    wake
}

fn drain(part: &Part) -> usize {
    let mut digested = 0;
    while let Next::Group { .. } = part.next_to_digest() {
        part.digested();
        digested += 1;
    }
    digested
}

#[test]
fn groups_come_in_any_order_and_are_digested_in_theirs() {
    let disk = SimDisk::new();
    let part = Part::open(&dir(&disk), &upstream(), SIZE, true).unwrap();
    assert!(!part.begin_digest());
    let (first, second) = (part.take().unwrap(), part.take().unwrap());
    assert_eq!((first.clone(), second.clone()), (0..16 * GROUP, 16 * GROUP..SIZE));
    assert_eq!(part.take(), None);
    assert!(!part.is_missing());
    assert!(!fill(&part, second));
    assert_eq!(part.have(), 4 * GROUP + 7);
    assert!(!fill(&part, 0..2 * GROUP), "digested on their way");
    assert_eq!(part.next_to_digest(), Next::Wait);
    part.give_back(2 * GROUP..16 * GROUP);
    assert!(part.is_missing());
    assert!(part.take_one(3 * GROUP) && !part.take_one(3 * GROUP));
    assert_eq!(part.take(), Some(2 * GROUP..3 * GROUP));
    assert_eq!(part.take(), Some(4 * GROUP..16 * GROUP));
    assert!(!fill(&part, 3 * GROUP..16 * GROUP), "not their turn");
    assert!(fill(&part, 2 * GROUP..3 * GROUP), "now it is the turn of all that are there");
    assert!(!part.begin_digest(), "somebody was told");
    assert_eq!(drain(&part), 18);
    assert_eq!(part.next_to_digest(), Next::End);
    assert_eq!(part.root().unwrap().0, *blake3::hash(&bytes()).as_bytes());
}

#[test]
fn a_file_that_comes_in_order_is_digested_on_its_way() {
    let disk = SimDisk::new();
    let part = Part::open(&dir(&disk), &upstream(), SIZE, true).unwrap();
    let mut wakes = 0;
    while let Some(range) = part.take() {
        wakes += usize::from(fill(&part, range));
    }
    assert_eq!(wakes, 1, "somebody has to look at the digest");
    assert_eq!(part.next_to_digest(), Next::End);
    assert_eq!(part.hasher().clone().finish(), Hasher::of(&upstream(), &bytes()));
}

#[test]
fn a_group_that_is_given_up_on_its_way_is_not_digested() {
    let disk = SimDisk::new();
    let part = Part::open(&dir(&disk), &upstream(), SIZE, true).unwrap();
    let range = part.take().unwrap();
    let mut writer = Writer::new(&part, 0);
    writer.write(&bytes()[..GROUP as usize + 300_000]).unwrap();
    drop(writer);
    part.give_back(GROUP..range.end);
    assert_eq!(part.have(), GROUP);
    while let Some(range) = part.take() {
        fill(&part, range);
    }
    assert_eq!(part.next_to_digest(), Next::End);
    assert_eq!(part.hasher().clone().finish(), Hasher::of(&upstream(), &bytes()));
}

#[test]
fn what_an_earlier_process_claims_is_proven_or_fetched() {
    let disk = SimDisk::new();
    let dir = dir(&disk);
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    part.take().unwrap();
    fill(&part, 0..3 * GROUP);
    drop(part);
    let path = format!("/pull/{}", part_name(&upstream()));
    let mut stored = disk.read_file(&path).unwrap();
    stored[GROUP as usize] ^= 1;
    disk.write_file(&path, &stored);

    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    assert_eq!(part.have(), 3 * GROUP);
    assert_eq!(part.take(), Some(3 * GROUP..19 * GROUP), "what is certainly missing comes first");
    assert!(part.begin_digest());
    let Next::Group { prove: Some(_), .. } = part.next_to_digest() else { panic!() };
    part.digested();
    let Next::Group { range, prove: Some(_) } = part.next_to_digest() else { panic!() };
    assert!(part.refuted());
    assert_eq!(part.take(), Some(range.clone()));
    assert!(fill(&part, range), "the claim behind it");
    assert_eq!(drain(&part), 1);
}

#[test]
fn a_part_that_was_complete_is_never_written() {
    let disk = SimDisk::new();
    let dir = dir(&disk);
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    while let Some(range) = part.take() {
        fill(&part, range);
    }
    part.file().set_mode(0o444).unwrap();
    drop(part);
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    assert_eq!((part.have(), part.take()), (SIZE, None));
    assert!(part.begin_digest());
    assert!(!part.refuted(), "it must be dropped");
    drop(part);

    // Values are missing: it begins anew, in another file.
    let groups = dir.open_file(groups_name(&upstream()), Open::Write).unwrap();
    groups.set_len(32).unwrap();
    let before = dir.stat(part_name(&upstream())).unwrap().ino;
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    assert_eq!(part.have(), 0);
    assert_ne!(dir.stat(part_name(&upstream())).unwrap().ino, before);
}

#[test]
fn values_without_their_part_and_parts_that_are_too_long_mean_nothing() {
    let disk = SimDisk::new();
    let dir = dir(&disk);
    disk.write_file(format!("/pull/{}", groups_name(&upstream())), &[1; 32 * 40]);
    assert_eq!(Part::open(&dir, &upstream(), SIZE, true).unwrap().have(), 0);
    disk.write_file(format!("/pull/{}", part_name(&upstream())), &vec![0; SIZE as usize + 9]);
    disk.write_file(format!("/pull/{}", groups_name(&upstream())), &[1; 32 * 40 + 5]);
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    assert_eq!(part.have(), SIZE, "as far as anybody says");
    assert_eq!(part.file().stat().unwrap().size, SIZE);
    assert!(part.begin_digest() && part.refuted());
}

/// A part that is whole, durable, and digested up to the group `digested`, as a thread does it.
fn digested(dir: &Dir, digested: usize) -> Part {
    let part = Part::open(dir, &upstream(), SIZE, true).unwrap();
    // No writer is to do it.
    part.state().digesting = true;
    while let Some(range) = part.take() {
        fill(&part, range);
    }
    assert!(part.begin_flush(1));
    part.flush().unwrap();
    let mut hasher = part.hasher();
    while part.state().digested < digested {
        let Next::Group { range, .. } = part.next_to_digest() else { panic!() };
        hasher.update(&read(&part, range));
        part.digested();
    }
    drop(hasher);
    part
}

fn read(part: &Part, range: Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += part.file().read_at(&mut bytes[filled..], range.start + filled as u64).unwrap();
    }
    bytes
}

#[test]
fn a_whole_part_is_digested_on_from_where_the_last_process_was() {
    let disk = SimDisk::new();
    let dir = dir(&disk);
    let part = digested(&dir, 5);
    part.note(&part.hasher());
    let state = part.hasher().state();
    drop(part);
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    assert!(part.begin_digest());
    let Next::Group { range, prove: Some(_) } = part.next_to_digest() else { panic!() };
    assert_eq!(range.start, 5 * GROUP, "what is digested is not read again");
    assert_eq!(part.hasher().state(), state);
    drop(part);

    // A part that may not be written any more is no exception.
    let part = digested(&dir, 7);
    part.note(&part.hasher());
    part.file().set_mode(0o444).unwrap();
    drop(part);
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    assert_eq!(part.state().digested, 7);
}

#[test]
fn a_note_counts_for_the_bytes_that_were_there_when_it_was_made() {
    let note = |change: &dyn Fn(&SimDisk, &Dir)| {
        let disk = SimDisk::new();
        let dir = dir(&disk);
        let part = digested(&dir, 5);
        part.note(&part.hasher());
        drop(part);
        change(&disk, &dir);
        Part::open(&dir, &upstream(), SIZE, true).unwrap().state().digested
    };
    let flip = |disk: &SimDisk, name: String, at: usize| {
        let path = format!("/pull/{name}");
        let mut bytes = disk.read_file(&path).unwrap();
        bytes[at] ^= 1;
        disk.write_file(&path, &bytes);
    };
    assert_eq!(note(&|_, _| {}), 5);
    assert_eq!(note(&|disk, _| flip(disk, part_name(&upstream()), 9 << 20)), 0, "another byte");
    assert_eq!(note(&|disk, _| flip(disk, groups_name(&upstream()), 100)), 0, "another value");
    for at in [0, 40, 50, 60, 70] {
        assert_eq!(note(&|disk, _| flip(disk, digest_name(&upstream()), at)), 0, "{at}");
    }
    let missing = |_: &SimDisk, dir: &Dir| {
        let groups = dir.open_file(groups_name(&upstream()), Open::Write).unwrap();
        groups.set_len(32 * 10).unwrap();
    };
    assert_eq!(note(&missing), 0, "a group is missing");
    let long = |disk: &SimDisk, _: &Dir| {
        disk.write_file(format!("/pull/{}", digest_name(&upstream())), &[1; 5000]);
    };
    assert_eq!(note(&long), 0, "garbage");
}

#[test]
fn nothing_is_noted_of_a_part_that_is_not_whole_or_not_durable() {
    let disk = SimDisk::new();
    let dir = dir(&disk);
    let noted = || disk.read_file(format!("/pull/{}", digest_name(&upstream()))).unwrap().len();
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    let range = part.take().unwrap();
    fill(&part, range);
    assert!(part.begin_flush(1));
    part.flush().unwrap();
    part.note(&part.hasher());
    assert_eq!(noted(), 0, "some is missing");
    while let Some(range) = part.take() {
        fill(&part, range);
    }
    part.note(&part.hasher());
    assert_eq!(noted(), 0, "some is not on the disk");
    drop(part);
    // What another process wrote may not be on the disk either.
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    part.note(&part.hasher());
    assert_eq!(noted(), 0, "nobody knows");
    assert!(part.begin_flush(1));
    part.flush().unwrap();
    part.note_idle();
    assert!(noted() > 0);
}

#[test]
fn opening_a_whole_part_leaves_its_times_on_a_real_disk() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::ensure(&crate::fs::real::RealFs, &temp.path().join("pull")).unwrap();
    let part = digested(&dir, 5);
    part.note(&part.hasher());
    drop(part);
    // Reserving room for a file that has it changes its time of change on some file systems.
    for _ in 0..2 {
        assert_eq!(Part::open(&dir, &upstream(), SIZE, true).unwrap().state().digested, 5);
    }
}

#[test]
fn a_note_is_of_a_file_of_the_size_that_is_wanted() {
    let disk = SimDisk::new();
    let dir = dir(&disk);
    let part = digested(&dir, 5);
    part.note(&part.hasher());
    drop(part);
    // As many groups, and one byte more.
    let part = Part::open(&dir, &upstream(), SIZE + 1, true).unwrap();
    assert_eq!(part.state().digested, 0);
}

#[test]
fn a_sync_does_not_begin_within_a_write() {
    let disk = SimDisk::new();
    let part = digested(&dir(&disk), 1);
    // As one who writes does.
    let turn = part.turn();
    part.durable.store(false, Ordering::SeqCst);
    part.unflushed.store(10, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| part.flush().unwrap());
        // It has every opportunity to do wrong.
        for _ in 0..10_000 {
            std::thread::yield_now();
        }
        assert_eq!(part.unflushed.load(Ordering::SeqCst), 10, "its bytes may not be covered");
        drop(turn);
        flush.join().unwrap();
    });
    assert!(part.durable.load(Ordering::SeqCst));
}

#[test]
fn who_notes_and_who_leads_do_not_wait_for_each_other() {
    let disk = SimDisk::new();
    let part = Part::open(&dir(&disk), &upstream(), SIZE, true).unwrap();
    part.flush().unwrap();
    let part = std::sync::Arc::new(part);
    let (done, ended) = std::sync::mpsc::channel();
    for leads in [true, false] {
        let (part, done) = (part.clone(), done.clone());
        std::thread::spawn(move || {
            for _ in 0..50_000 {
                if !leads {
                    part.note_idle();
                } else if part.lead(0).is_some() {
                    part.unlead();
                }
            }
            done.send(()).unwrap();
        });
    }
    for _ in 0..2 {
        ended.recv_timeout(std::time::Duration::from_secs(120)).expect("they wait for ever");
    }
}

#[test]
fn who_reads_has_what_came_and_no_more() {
    let disk = SimDisk::new();
    let part = Part::open(&dir(&disk), &upstream(), SIZE, true).unwrap();
    assert_eq!(part.readable(0), Readable::Nothing);
    part.take().unwrap();
    let mut writer = Writer::new(&part, 0);
    writer.write(&bytes()[..600_000]).unwrap();
    // Whole blocks are written.
    assert_eq!(part.readable(0), Readable::Bytes(512 << 10));
    assert_eq!(part.readable((512 << 10) - 1), Readable::Bytes(1));
    assert_eq!(part.readable(512 << 10), Readable::Nothing);
    writer.write(&bytes()[600_000..GROUP as usize]).unwrap();
    assert_eq!(part.readable(5), Readable::Bytes(GROUP - 5));
    drop(writer);
    part.give_back(GROUP..SEGMENT as u64 * GROUP);
    assert_eq!(part.readable(GROUP), Readable::Nothing);
    assert!(part.has_all_before(GROUP) && !part.has_all_before(2 * GROUP));
}

#[test]
fn only_what_readers_want_is_fetched_until_one_wants_all() {
    let disk = SimDisk::new();
    let part = Part::open(&dir(&disk), &upstream(), SIZE, false).unwrap();
    assert_eq!(part.take(), None);
    assert!(part.want(5 * GROUP + 7..7 * GROUP + 1), "three groups");
    assert!(part.want(SIZE - 1..SIZE), "and the last");
    assert!(!part.want(6 * GROUP..7 * GROUP), "which is wanted already");
    assert_eq!(part.take(), Some(5 * GROUP..8 * GROUP));
    assert!(!part.want(5 * GROUP..8 * GROUP), "somebody fetches it");
    assert_eq!(part.take(), Some(20 * GROUP..SIZE));
    assert_eq!(part.take(), None);
    // What did not come is wanted still.
    part.give_back(6 * GROUP..8 * GROUP);
    assert_eq!(part.take(), Some(6 * GROUP..8 * GROUP));
    part.want_all().unwrap();
    assert_eq!(part.take(), Some(0..5 * GROUP));
    assert_eq!(part.take(), Some(8 * GROUP..20 * GROUP));
}

#[test]
fn what_an_earlier_process_claims_is_read_when_it_is_proven() {
    let disk = SimDisk::new();
    let dir = dir(&disk);
    let part = Part::open(&dir, &upstream(), SIZE, true).unwrap();
    part.take().unwrap();
    fill(&part, 0..4 * GROUP);
    drop(part);
    let path = format!("/pull/{}", part_name(&upstream()));
    let mut stored = disk.read_file(&path).unwrap();
    stored[2 * GROUP as usize + 9] ^= 1;
    disk.write_file(&path, &stored);
    let part = Part::open(&dir, &upstream(), SIZE, false).unwrap();
    for group in [1, 2] {
        assert_eq!(part.readable(group * GROUP), Readable::Claimed);
        part.prove(group * GROUP).unwrap();
    }
    assert_eq!(part.readable(GROUP), Readable::Bytes(GROUP));
    assert_eq!(part.readable(2 * GROUP), Readable::Nothing, "and is fetched again");
    assert!(part.want(2 * GROUP..3 * GROUP));
    assert_eq!(part.take(), Some(2 * GROUP..3 * GROUP));
}
