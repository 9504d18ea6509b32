//! What a hub refuses or falsifies: the exit code, and a store as it was.

use crate::hub::{Entry, Fault, On, What};
use crate::support::{MODEL, WEIGHTS, World};

#[test]
fn what_is_not_there_is_told_apart() {
    let world = World::new(1000);
    for model in ["org/none", "org/name@v9", "org/name@refs/pr/7"] {
        let ran = world.run(&["pull", model]);
        assert!(matches!(ran.code, Some(3 | 6)), "{ran:?}");
        assert!(ran.stderr.contains("hint:"), "{ran:?}");
    }
    let ran = world.run(&["pull", MODEL, "--include", "*.none"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
}

#[test]
fn a_hub_that_does_not_answer_is_the_networks_fault() {
    let world = World::new(1000);
    let ran = world.run(&["pull", MODEL, "--endpoint", "http://127.0.0.1:9"]);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert_eq!(world.run(&["pull", MODEL, "--endpoint", "nonsense"]).code, Some(2));
    assert_eq!(world.run(&["pull", MODEL, "--limit-rate", "0"]).code, Some(2));
}

#[test]
fn names_that_would_leave_the_model_are_refused() {
    for name in ["../x", "/etc/x", ".git/config", "a\\b", "NUL"] {
        let world = World::new(1000);
        let _fault = world
            .hub
            .fault(Fault::new(On::Tree, What::HostileTree(vec![name.to_owned()])).forever());
        let ran = world.run(&["pull", MODEL]);
        assert!(ran.code.is_some_and(|code| code != 0), "{name}: {ran:?}");
        assert_eq!(world.hub.body_bytes_sent(WEIGHTS), 0, "{name}");
    }
}

#[test]
fn bytes_that_are_wrong_twice_are_never_published() {
    let world = World::new(3 << 20);
    let flip =
        world.hub.fault(Fault::new(On::Cdn, What::FlipBit(1_234_567)).path(WEIGHTS).forever());
    let ran = world.run(&["pull", MODEL]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains(WEIGHTS), "{ran:?}");
    assert!(flip.hits() >= 2, "it was fetched once more");
    let listed = world.ok(&["ls", "--json"]).json();
    assert!(listed["models"].as_array().unwrap().is_empty(), "{listed}");
    flip.release();
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    world.assert_whole(pulled["path"].as_str().unwrap().as_ref());
}

#[test]
fn files_of_one_name_but_for_case_are_refused_and_can_be_left_out() {
    let world = World::new(10);
    let twins = world.hub.repo(crate::hub::Kind::Model, "org/twins");
    twins.commit(&[Entry::git("README.md", "a"), Entry::git("readme.md", "b")]);
    let ran = world.run(&["pull", "org/twins"]);
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    assert!(ran.stderr.contains("README.md") && ran.stderr.contains("readme.md"), "{ran:?}");
}
