//! `space.max`, `space.low_mark`, `space.min_free`: the store keeps to its limits.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{Home, fields, models};

/// So many models of half a megabyte each, the first one the least recently used.
fn with(count: u8) -> Home {
    let home = Home::new();
    for n in 0..count {
        source(&home, n);
        home.ok(["add", &n.to_string(), "--name", &name(n)]);
        let revision = home.json(&["show", &name(n)])["revision"].as_str().unwrap().to_owned();
        let used = File::options().write(true).open(home.path("store/used").join(revision));
        let days = u64::from(count - n);
        let time = SystemTime::now() - Duration::from_secs(days * 86_400);
        used.unwrap().set_modified(time).unwrap();
    }
    home
}

fn name(n: u8) -> String {
    format!("org/{n}")
}

fn source(home: &Home, n: u8) {
    home.write(&format!("{n}/weights.bin"), &vec![n + 1; 500_000 + usize::from(n)]);
}

fn limit(home: &Home, key: &str, value: &str) {
    home.ok(["config", "set", &format!("space.{key}"), value]);
}

#[test]
fn what_does_not_fit_evicts_the_least_recently_used() {
    let home = with(3);
    let most = home.physical() + 200_000;
    limit(&home, "max", &most.to_string());
    limit(&home, "low_mark", "100%");
    source(&home, 3);
    let added = home.json(&["add", "3", "--name", "org/3"]);
    assert_eq!(models(&added["evicted"]), ["org/0"]);
    assert_eq!(home.here(), ["org/1", "org/2", "org/3"]);
    assert!(home.physical() <= most);
    // The space was needed, so nothing of it is in the trash.
    assert_eq!(home.json(&["ls", "--trash"])["trash"], json!([]));
    source(&home, 4);
    let ran = home.run(["add", "4", "--name", "org/4"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("note: evicted org/1@"), "{ran:?}");
    // Bytes that are here need no room.
    let again = home.json(&["add", "4", "--name", "org/twin"]);
    assert_eq!(again["evicted"], json!([]));
    home.is_whole();
}

#[test]
fn a_store_that_is_full_is_emptied_to_the_low_mark() {
    let home = with(4);
    let most = home.physical() + 100_000;
    limit(&home, "max", &most.to_string());
    limit(&home, "low_mark", "60%");
    source(&home, 4);
    let added = home.json(&["add", "4", "--name", "org/4"]);
    assert_eq!(models(&added["evicted"]), ["org/0", "org/1", "org/2"]);
    assert!(home.physical() <= most * 6 / 10);
    // A mark that cannot be reached is no reason to evict all that can be.
    limit(&home, "low_mark", "1%");
    limit(&home, "max", &(home.physical() + 100_000).to_string());
    source(&home, 5);
    let added = home.json(&["add", "5", "--name", "org/5"]);
    assert_eq!(models(&added["evicted"]), ["org/3"]);
}

#[test]
fn when_too_little_can_go_nothing_goes_and_what_is_in_the_way_is_named() {
    let home = with(4);
    home.ok(["pin", "org/0"]);
    home.ok(["checkout", "org/1", "out"]);
    let revision = home.json(&["show", "org/2"])["revision"].as_str().unwrap().to_owned();
    let manifest = File::open(home.path("store/manifests").join(revision)).unwrap();
    manifest.lock_shared().unwrap();
    limit(&home, "max", &(home.physical() + 100_000).to_string());
    home.write("big/weights.bin", &vec![9; 1_200_000]);
    let before = home.here();
    let said = home.fails(&["add", "big", "--name", "org/big"], 5, "no_space");
    for why in ["it is pinned", "a view of it is at", "a running process uses it", "space.max"] {
        assert!(said.contains(why), "{why}: {said}");
    }
    assert!(said.contains("1200000 bytes are needed"), "{said}");
    assert_eq!(home.here(), before);
    assert_eq!(home.names("staging"), [""; 0]);
    // Removing one that may go would do for half a megabyte.
    source(&home, 5);
    assert_eq!(models(&home.json(&["add", "5", "--name", "org/5"])["evicted"]), ["org/3"]);
    home.is_whole();
}

#[test]
fn the_trash_makes_room_before_any_model_does() {
    let home = with(3);
    home.ok(["rm", "org/2"]);
    limit(&home, "max", &(home.physical() + 100_000).to_string());
    limit(&home, "low_mark", "100%");
    source(&home, 3);
    assert_eq!(home.json(&["add", "3", "--name", "org/3"])["evicted"], json!([]));
    assert_eq!(home.here(), ["org/0", "org/1", "org/3"]);
    home.fails(&["restore", "org/2"], 3, "not_found");
}

#[test]
fn what_stays_free_on_the_disk_is_a_limit_too() {
    let home = with(2);
    limit(&home, "min_free", "1000000TB");
    source(&home, 2);
    let said = home.fails(&["add", "2", "--name", "org/2"], 5, "no_space");
    assert!(said.contains("space.min_free"), "{said}");
    assert_eq!(home.here().len(), 2);
    home.ok(["config", "unset", "space.min_free"]);
    home.ok(["add", "2", "--name", "org/2"]);
}

#[test]
fn evict_without_a_goal_keeps_to_the_limit() {
    let home = with(3);
    let said = home.fails(&["evict"], 2, "usage");
    assert!(said.contains("space.max"), "{said}");
    limit(&home, "max", &(home.physical() - 1).to_string());
    assert_eq!(models(&home.json(&["evict"])["evicted"]), ["org/0"]);
    assert_eq!(home.json(&["evict"])["evicted"], json!([]));
}

#[test]
fn limits_that_make_no_sense_are_not_set() {
    let home = with(1);
    for (key, value) in [
        ("space.max", "lots"),
        ("space.low_mark", "0%"),
        ("space.low_mark", "101%"),
        ("space.low_mark", "90"),
        ("space.min_free", "x"),
        ("space.trash", "5"),
        ("space.trash", "99999999999999999999d"),
        ("space.size", "1GB"),
    ] {
        let ran = home.run(["config", "set", key, value]);
        assert_ne!(ran.code, Some(0), "{key} {value}: {ran:?}");
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    }
    assert!(!home.path("store/config.toml").exists());
    limit(&home, "max", "1TiB");
    limit(&home, "trash", "0s");
    let settings = home.json(&["config"])["settings"].clone();
    let value = |key: &str| {
        let all = settings.as_array().unwrap();
        let one = all.iter().find(|one| one["key"] == key).unwrap();
        (one["value"].as_str().unwrap().to_owned(), one["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(value("space.max"), ("1.1 TB".into(), "file".into()));
    assert_eq!(value("space.low_mark"), ("90%".into(), "default".into()));
    assert_eq!(value("space.trash"), ("0h".into(), "file".into()));
    // Without a time in the trash, what is removed is gone.
    let freed = home.json(&["rm", "org/0"]);
    assert_eq!(freed["trashed_bytes"], 0);
    assert!(fields(&freed).contains(&"purged") && freed["freed_bytes"].as_u64().unwrap() > 500_000);
}

#[test]
fn many_processes_never_take_more_than_the_limit_together() {
    let home = with(1);
    home.ok(["pin", "org/0"]);
    for n in 1..13 {
        source(&home, n);
    }
    let most = home.physical() + 4 * 520_000 + 300_000;
    limit(&home, "max", &most.to_string());
    let mut pinned = vec![name(0)];
    for _ in 0..3 {
        let adds: Vec<_> = (1..13)
            .map(|n| {
                let args = ["add".to_owned(), n.to_string(), "--name".to_owned(), name(n)];
                home.command(args).stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for add in adds {
            let output = add.wait_with_output().unwrap();
            assert!(matches!(output.status.code(), Some(0 | 5)), "{output:?}");
        }
        assert!(home.physical() <= most, "{} of {most}", home.physical());
        home.is_whole();
        let here = home.here();
        assert!(pinned.iter().all(|model| here.contains(model)), "{pinned:?}, {here:?}");
        assert!(here.len() > pinned.len() || pinned.len() > 3, "{here:?}");
        // One more that cannot go each time, until little is left to take.
        let next = here.into_iter().find(|model| !pinned.contains(model));
        if let Some(next) = next {
            home.ok(["pin", &next]);
            pinned.push(next);
        }
    }
    assert!(fs::read_dir(home.path("store/staging")).unwrap().next().is_none());
}
