//! Processes that die, by a signal or by another's will, and those that go on with their work.

use crate::hub::{At, Fault, On, What};
use crate::support::{MODEL, WEIGHTS, World};

const MIB: u64 = 1 << 20;

#[test]
fn a_killed_pull_is_gone_on_with_by_the_next() {
    let size = 48 * MIB;
    let world = World::new(size as usize);
    // All that comes after the stall comes over other connections, and is there at the first kill.
    for (at, have) in [(3 * MIB, 35 * MIB), (10 * MIB, 42 * MIB), (14 * MIB, 46 * MIB)] {
        let stall = world
            .hub
            .fault(Fault::new(On::Cdn, What::Stall(At::File(at + 12_345))).path(WEIGHTS).forever());
        let mut child = world.start(&["pull", MODEL]);
        stall.wait_hits(1);
        until_there_are(&world, have);
        child.kill().unwrap();
        child.wait().unwrap();
        stall.release();
        world.ok(&["fsck"]);
        let listed = world.ok(&["ls", "--json"]).json();
        assert!(listed["models"].as_array().unwrap().is_empty(), "{listed}");
    }
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    world.assert_whole(pulled["path"].as_str().unwrap().as_ref());
    // A kill loses the group that was on its way, and no more.
    let sent = world.hub.body_bytes_sent(WEIGHTS);
    assert!(sent <= size + 3 * MIB, "{sent} bytes of {size} were sent");
    assert!(pulled["fetched_bytes"].as_u64().unwrap() <= 2 * MIB, "{pulled}");
    let partial = world.ok(&["ls", "--partial", "--json"]).json();
    assert!(partial["partial"].as_array().unwrap().is_empty(), "{partial}");
}

/// Looks again and again until the pull under way has so many bytes: they are sent, so they come.
fn until_there_are(world: &World, bytes: u64) {
    let have = || {
        let partial = world.ok(&["ls", "--partial", "--json"]).json();
        partial["partial"][0]["have"].as_u64().unwrap_or_default()
    };
    while have() < bytes {}
}

#[test]
fn an_interrupted_pull_says_so_and_keeps_what_it_has() {
    let world = World::new(16 << 20);
    let stall = world
        .hub
        .fault(Fault::new(On::Cdn, What::Stall(At::File(9 * MIB + 1))).path(WEIGHTS).forever());
    let child = world.start(&["pull", MODEL]);
    stall.wait_hits(1);
    until_there_are(&world, 8 * MIB);
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    stall.release();
    let partial = world.ok(&["ls", "--partial", "--json"]).json();
    assert_eq!(partial["partial"][0]["in_use"], false, "{partial}");
    let said = world.ok(&["rm", MODEL, "--dry-run", "--json"]).json();
    assert!(said["freed_bytes"].as_u64().unwrap() >= 8 * MIB, "{said}");
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    assert!(pulled["fetched_bytes"].as_u64().unwrap() <= 8 * MIB, "{pulled}");
    world.assert_whole(pulled["path"].as_str().unwrap().as_ref());
}

#[test]
fn a_download_that_nobody_wants_any_more_can_be_removed() {
    let world = World::new(16 << 20);
    let stall = world
        .hub
        .fault(Fault::new(On::Cdn, What::Stall(At::File(9 * MIB + 1))).path(WEIGHTS).forever());
    let mut child = world.start(&["pull", MODEL]);
    stall.wait_hits(1);
    until_there_are(&world, 8 * MIB);
    let busy = world.run(&["rm", MODEL]);
    assert_eq!(busy.code, Some(7), "{busy:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let freed = world.ok(&["rm", MODEL, "--json"]).json();
    assert!(freed["freed_bytes"].as_u64().unwrap() >= 8 * MIB, "{freed}");
    let partial = world.ok(&["ls", "--partial", "--json"]).json();
    assert!(partial["partial"].as_array().unwrap().is_empty(), "{partial}");
    assert_eq!(world.run(&["rm", MODEL]).code, Some(3));
}

#[test]
fn two_processes_that_pull_one_model_fetch_it_once() {
    let size = 24 * MIB;
    let world = World::new(size as usize);
    let stall = world
        .hub
        .fault(Fault::new(On::Cdn, What::Stall(At::File(5 * MIB + 1))).path(WEIGHTS).forever());
    let first = world.start(&["pull", MODEL, "--json"]);
    stall.wait_hits(1);
    let second = world.start(&["pull", MODEL, "--json"]);
    // The second asked what there is; only the first one's lock keeps it from fetching.
    world
        .hub
        .wait_for(|log| log.iter().filter(|r| r.path.contains("/tree/") && r.done).count() >= 2);
    stall.release();
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(world.hub.body_bytes_sent(WEIGHTS), size);
    let path = world.ok(&["path", MODEL]).stdout;
    world.assert_whole(path.trim_end().as_ref());
}
