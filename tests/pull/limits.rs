//! Pulls under the store's limit.

use crate::hub::{At, Fault, On, What};
use crate::support::{MODEL, WEIGHTS, World};

const MIB: u64 = 1 << 20;

fn physical(world: &World) -> u64 {
    world.ok(&["du", "--json"]).json()["physical"].as_u64().unwrap()
}

/// A local model of so many bytes.
fn add(world: &World, name: &str, byte: u8, bytes: u64) {
    std::fs::write(world.path(name), vec![byte; bytes as usize]).unwrap();
    world.ok(&["add", name, "--name", &format!("org/{name}")]);
}

#[test]
fn a_pull_evicts_what_has_to_go_and_says_so_before() {
    let world = World::new(8 << 20);
    add(&world, "old", 1, 4 * MIB);
    add(&world, "new", 2, 4 * MIB);
    let most = (physical(&world) + 5 * MIB).to_string();
    world.ok(&["config", "set", "space.max", &most]);
    world.ok(&["config", "set", "space.low_mark", "100%"]);
    let plan = world.ok(&["pull", MODEL, "--dry-run", "--json"]).json();
    assert_eq!(plan["evicted"][0]["model"], "org/old", "{plan}");
    assert!(world.ok(&["pull", MODEL, "--dry-run"]).stdout.contains("would evict org/old@"));
    assert_eq!(world.ok(&["ls", "--json"]).json()["models"].as_array().unwrap().len(), 2);
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    assert_eq!(pulled["evicted"], plan["evicted"]);
    world.assert_whole(pulled["path"].as_str().unwrap().as_ref());
    assert!(physical(&world) <= most.parse().unwrap());
    world.ok(&["fsck"]);
}

#[test]
fn a_pull_that_cannot_fit_fetches_nothing() {
    let world = World::new(8 << 20);
    add(&world, "kept", 1, 4 * MIB);
    world.ok(&["pin", "org/kept"]);
    world.ok(&["config", "set", "space.max", &(physical(&world) + MIB).to_string()]);
    let ran = world.run(&["pull", MODEL]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("org/kept@") && ran.stderr.contains("it is pinned"), "{ran:?}");
    assert_eq!(world.hub.body_bytes_sent(WEIGHTS), 0);
    assert_eq!(world.run(&["pull", MODEL, "--dry-run"]).code, Some(5));
}

#[test]
fn what_a_running_pull_reserved_is_not_given_away_and_a_killed_one_holds_nothing() {
    let world = World::new(16 << 20);
    add(&world, "pinned", 1, MIB);
    world.ok(&["pin", "org/pinned"]);
    world.ok(&["config", "set", "space.max", &(physical(&world) + 20 * MIB).to_string()]);
    let stall = world
        .hub
        .fault(Fault::new(On::Cdn, What::Stall(At::File(MIB / 2))).path(WEIGHTS).forever());
    let mut child = world.start(&["pull", MODEL]);
    stall.wait_hits(1);
    std::fs::write(world.path("other"), vec![2; 8 << 20]).unwrap();
    let refused = world.run(&["add", "other", "--name", "org/other"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    world.ok(&["rm", MODEL]);
    world.ok(&["add", "other", "--name", "org/other"]);
    stall.release();
    world.ok(&["fsck"]);
}
