//! Damaged files of pulled models: mended by ranges from the hub.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};

use crate::hub::{Fault, On, What};
use crate::support::{MODEL, WEIGHTS, World};

const MIB: u64 = 1 << 20;

#[test]
fn the_hub_gives_the_damaged_mebibytes_and_no_others() {
    let world = World::new(16 << 20);
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    let view = std::path::PathBuf::from(pulled["path"].as_str().unwrap());
    let sent = world.hub.body_bytes_sent(WEIGHTS);
    fs::set_permissions(view.join(WEIGHTS), Permissions::from_mode(0o644)).unwrap();
    let file = File::options().write(true).open(view.join(WEIGHTS)).unwrap();
    file.write_all_at(b"written through the view", 3 * MIB + 5).unwrap();
    file.write_all_at(b"and again", 9 * MIB).unwrap();
    drop(file);
    assert_eq!(world.run(&["verify"]).code, Some(4));
    let repaired = world.ok(&["verify", "--repair", "--json"]).json();
    let ranges = &repaired["repaired"][0]["ranges"];
    assert_eq!(*ranges, serde_json::json!([[3 * MIB, 4 * MIB], [9 * MIB, 10 * MIB]]));
    assert_eq!(world.hub.body_bytes_sent(WEIGHTS) - sent, 2 * MIB);
    // The view had the damaged inode.
    world.assert_whole(&view);
    world.ok(&["verify", "--full"]);
    world.ok(&["verify", "--view", view.to_str().unwrap()]);
}

#[test]
fn a_hub_that_fails_leaves_the_damage_and_the_next_try_mends_it() {
    let world = World::new(4 << 20);
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    let view = std::path::PathBuf::from(pulled["path"].as_str().unwrap());
    fs::set_permissions(view.join(WEIGHTS), Permissions::from_mode(0o644)).unwrap();
    File::options().write(true).open(view.join(WEIGHTS)).unwrap().write_all_at(b"x", MIB).unwrap();
    let ran = world.run(&["verify", "--repair", "--offline", "--json"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    // A flipped bit on the way is no repair.
    world.hub.fault(Fault::new(On::Cdn, What::FlipBit(MIB + 7)).path(WEIGHTS));
    let ran = world.run(&["verify", "--repair", "--json"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    // What is in quarantine by now is fetched again by a pull, and by nothing else than that.
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    assert_eq!(pulled["fetched_bytes"], 4 * MIB);
    world.ok(&["verify", "--full"]);
    world.assert_whole(&world.path("store/models/org--name"));
}
