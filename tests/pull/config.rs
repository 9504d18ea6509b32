//! `config.toml`: where the hub is, and short names of one's own.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::hub::{Entry, Hub, Kind};
use crate::support::{MODEL, Ran, World};

fn write(world: &World, text: &str) {
    fs::create_dir_all(world.path("store")).unwrap();
    fs::write(world.path("store/config.toml"), text).unwrap();
}

/// Without a hub in the environment.
fn plain(world: &World, args: &[&str]) -> Command {
    let mut command = world.command(args);
    command.env_remove("HF_ENDPOINT");
    command
}

/// A setting as `config --json` tells of it: value and origin.
fn setting(ran: &Ran, key: &str) -> (Value, Value) {
    let object = ran.json();
    let all = object["settings"].as_array().unwrap();
    let one = all.iter().find(|one| one["key"] == key).unwrap_or_else(|| panic!("{key}: {object}"));
    (one["value"].clone(), one["from"].clone())
}

#[test]
fn the_hub_is_the_flags_then_the_environments_then_the_files() {
    let world = World::new(100);
    let [flag, env, file] = [Hub::start(), Hub::start(), Hub::start()];
    for hub in [&flag, &env, &file] {
        hub.repo(Kind::Model, MODEL).commit(&[Entry::git("config.json", "{}")]);
    }
    write(&world, &format!("[hub]\nendpoint = \"{}\"\n", file.url()));
    let asked = |mut command: Command| {
        for hub in [&flag, &env, &file] {
            hub.forget_log();
        }
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        [&flag, &env, &file].map(|hub| !hub.log().is_empty())
    };
    let pull = ["pull", MODEL, "--dry-run"];
    assert_eq!(asked(plain(&world, &pull)), [false, false, true]);
    let mut command = world.command(&pull);
    command.env("HF_ENDPOINT", env.url());
    assert_eq!(asked(command), [false, true, false]);
    let mut command = world.command(&[&pull[..], &["--endpoint", &flag.url()]].concat());
    command.env("HF_ENDPOINT", env.url());
    assert_eq!(asked(command), [true, false, false]);
    assert_eq!(asked(plain(&world, &["pull", MODEL])), [false, false, true]);
    assert_eq!(asked(plain(&world, &["outdated"])), [false, false, true]);
}

#[test]
fn config_tells_each_setting_and_where_it_comes_from() {
    let world = World::new(100);
    let shown = Ran::of(&mut plain(&world, &["config", "--json"]));
    assert_eq!(shown.json()["exists"], false, "{shown:?}");
    assert_eq!(shown.json()["path"], json!(world.path("store/config.toml")));
    assert!(!world.path("store").exists(), "looking makes no store");
    assert_eq!(setting(&shown, "store"), (json!(world.path("store")), json!("env")));
    assert_eq!(setting(&shown, "hub.endpoint").1, "default");
    write(&world, "[hub]\nendpoint = 'http://file.example'\n[names]\nmine = 'org/name@v1'\n");
    let shown = Ran::of(&mut plain(&world, &["config", "--json"]));
    assert_eq!(shown.json()["exists"], true);
    assert_eq!(setting(&shown, "hub.endpoint"), (json!("http://file.example"), json!("file")));
    assert_eq!(setting(&shown, "names.mine"), (json!("org/name@v1"), json!("file")));
    let shown = world.ok(&["config", "--json"]);
    assert_eq!(setting(&shown, "hub.endpoint"), (json!(world.hub.url()), json!("env")));
    let shown = world.ok(&["config", "--json", "--store", "store"]);
    assert_eq!(setting(&shown, "store").1, "flag");
    let text = world.ok(&["config"]).stdout;
    assert!(text.contains("store/config.toml") && text.contains("names.mine"), "{text}");
}

#[test]
fn a_short_name_of_ones_own_is_its_model_everywhere() {
    let world = World::new(1000);
    world.repo.tag("v1", &world.commit);
    world.repo.commit(&[Entry::git("config.json", "{}")]);
    let data = world.hub.repo(Kind::Dataset, "org/data");
    data.commit(&[Entry::git("train.csv", "a\n")]);
    write(&world, "[names]\nmine = 'org/name@v1'\nphi-4 = 'org/name'\nd = 'datasets/org/data'\n");
    let pulled = world.ok(&["pull", "mine", "--json"]).json();
    assert_eq!((&pulled["model"], &pulled["ref"]), (&json!(MODEL), &json!("v1")));
    assert_eq!(pulled["revision"], world.commit);
    assert_eq!(world.ok(&["pull", "d", "--json"]).json()["model"], "datasets/org/data");
    let pulled = world.ok(&["pull", "phi-4", "--json"]).json();
    assert_eq!(pulled["model"], MODEL, "before the built-in name");
    let pulled = world.ok(&["pull", "mine@main", "--json"]).json();
    assert_eq!(pulled["ref"], "main", "what is written behind the @ holds");
    for args in [
        &["show", "mine"][..],
        &["ls", "mine"],
        &["verify", "mine"],
        &["path", "d"],
        &["outdated", "d"],
        &["pin", "mine"],
        &["unpin", "mine"],
    ] {
        world.ok(args);
    }
    world.ok(&["checkout", "mine", "out"]);
    world.assert_whole(&world.path("out"));
    fs::write(world.path("file"), "own").unwrap();
    world.ok(&["add", "file", "--name", "mine"]);
    let path = world.ok(&["path", "mine"]).stdout;
    assert!(path.trim_end().ends_with("models/mine"), "a model of that name comes first: {path}");
    world.ok(&["rm", "d"]);
}

#[test]
fn names_lists_both_sorts_and_where_they_come_from() {
    let world = World::new(10);
    write(&world, "[names]\nmine = 'datasets/org/name@v1'\nphi-4 = 'org/other'\n");
    let object = world.ok(&["names", "--json"]).json();
    let names = object["names"].as_array().unwrap();
    assert_eq!(names.len(), 7, "{object}");
    let named = |name: &str| {
        let mut found = names.iter().filter(|one| one["name"] == name);
        (found.next().unwrap(), found.count())
    };
    let (mine, others) = named("mine");
    assert_eq!((&mine["model"], &mine["ref"]), (&json!("datasets/org/name"), &json!("v1")));
    assert_eq!((&mine["from"], others), (&json!("config.toml"), 0));
    let (phi, others) = named("phi-4");
    assert_eq!((&phi["model"], &phi["from"]), (&json!("org/other"), &json!("config.toml")));
    assert_eq!(others, 0, "the built-in one is hidden");
    assert_eq!(named("mistral-7b").0["from"], "built-in");
    let text = world.ok(&["names"]).stdout;
    assert!(text.contains("datasets/org/name@v1") && text.contains("config.toml"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_broken_file_stops_what_uses_it_and_nothing_else() {
    let world = World::new(1000);
    world.ok(&["pull", MODEL]);
    write(&world, "# mine\n[hub]\nendpiont = 'http://x'\n");
    world.hub.forget_log();
    for args in [
        &["pull", MODEL][..],
        &["pull", MODEL, "--offline"],
        &["pull", MODEL, "--endpoint", "http://127.0.0.1:9"],
        &["outdated"],
        &["names"],
        &["config"],
        &["config", "set", "names.a", "org/a"],
        &["show", "short"],
        &["rm", "short"],
    ] {
        let ran = world.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("store/config.toml, line 3: "), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("`endpoint`") && ran.stderr.contains("hint: "), "{ran:?}");
    }
    assert!(world.hub.log().is_empty());
    for args in [
        &["ls"][..],
        &["show", MODEL],
        &["path", MODEL],
        &["rm", MODEL, "--dry-run"],
        &["checkout", MODEL, "out"],
        &["verify"],
        &["fsck"],
        &["du"],
        &["gc"],
    ] {
        world.ok(args);
    }
    let error = world.run(&["names", "--json"]).json();
    assert_eq!(error["error"]["kind"], "failure", "{error}");
    world.ok(&["config", "unset", "hub.endpiont"]);
}

#[test]
fn set_and_unset_change_one_setting_and_keep_the_users_words() {
    let world = World::new(1000);
    let written = "# mine\n[names]\na = 'org/a' # first\n";
    write(&world, written);
    world.ok(&["config", "set", "names.mine", "org/name@main"]);
    assert_eq!(world.ok(&["pull", "mine", "--json"]).json()["model"], MODEL);
    let text = fs::read_to_string(world.path("store/config.toml")).unwrap();
    assert_eq!(text, format!("{written}mine = \"org/name@main\"\n"));
    world.ok(&["config", "set", "hub.endpoint", &world.hub.url()]);
    assert_eq!(Ran::of(&mut plain(&world, &["pull", MODEL])).code, Some(0));
    world.ok(&["config", "unset", "hub.endpoint"]);
    let unset = world.run(&["config", "unset", "hub.endpoint"]);
    assert!(unset.code == Some(3) && unset.stderr.contains("hub.endpoint"), "{unset:?}");
    for args in [
        ["config", "set", "hub.endpoint", "nonsense"],
        ["config", "set", "names.a/b", "org/a"],
        ["config", "set", "nonsense", "1"],
    ] {
        let ran = world.run(&args);
        assert!(ran.code == Some(2) && ran.stderr.contains("error: "), "{ran:?}");
    }
    world.ok(&["fsck"]);
}

#[test]
fn a_password_in_an_address_is_refused_and_not_shown() {
    let world = World::new(10);
    let address = "https://me:secret@hub.example";
    let mut show = plain(&world, &["config"]);
    show.env("HF_ENDPOINT", address);
    for mut command in [show, world.command(&["config", "set", "hub.endpoint", address])] {
        let ran = Ran::of(&mut command);
        assert!(ran.code == Some(2) && ran.stderr.contains("password"), "{ran:?}");
        assert!(!ran.stderr.contains("secret") && ran.stdout.is_empty(), "{ran:?}");
    }
    assert!(!world.path("store/config.toml").exists());
}

#[test]
fn a_store_that_is_not_there_is_made_by_set_and_not_by_unset() {
    let world = World::new(1000);
    let ran = world.run(&["config", "unset", "hub.endpoint"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(!world.path("store").exists());
    let object = world.ok(&["config", "set", "names.a", MODEL, "--json"]).json();
    assert_eq!(object, json!({ "key": "names.a", "value": MODEL }));
    world.ok(&["pull", "a"]);
    world.ok(&["fsck"]);
}
