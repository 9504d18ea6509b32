//! `evict`, `pin`, `unpin`.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{Home, fields, models};

/// Three models of half a megabyte each, last used three, two and one days ago.
fn three() -> Home {
    let home = Home::new();
    for (n, name) in ["old", "mid", "new"].into_iter().enumerate() {
        home.write(&format!("{name}/weights.bin"), &vec![n as u8 + 1; 500_000]);
        home.ok(["add", name, "--name", &format!("org/{name}")]);
        used(&home, &format!("org/{name}"), 3 - n as u64);
    }
    home
}

/// Has a model be last used so many days ago.
fn used(home: &Home, model: &str, days: u64) {
    // The revision of local content is its manifest's name.
    let file =
        File::options().write(true).open(home.path("store/used").join(revision(home, model)));
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    file.unwrap().set_modified(time).unwrap();
}

fn revision(home: &Home, model: &str) -> String {
    home.json(&["show", model])["revision"].as_str().unwrap().to_owned()
}

#[test]
fn the_least_recently_used_go_first_and_only_until_it_fits() {
    let home = three();
    // A use makes the oldest the newest.
    home.ok(["path", "org/old"]);
    let most = (home.physical() - 1).to_string();
    let plan = home.json(&["evict", "--max-size", &most, "--dry-run"]);
    let names = [
        "evicted",
        "failures",
        "freed_bytes",
        "kept",
        "purged",
        "size_after",
        "size_before",
        "trashed_bytes",
    ];
    assert_eq!(fields(&plan), names);
    assert_eq!(models(&plan["evicted"]), ["org/mid"]);
    assert_eq!(plan["size_before"], home.physical());
    assert_eq!(home.here().len(), 3, "a dry run");
    assert!(home.ok(["evict", "--max-size", &most, "--dry-run"]).contains("would evict org/mid@"));
    let done = home.json(&["evict", "--max-size", &most]);
    for field in ["evicted", "freed_bytes", "kept", "size_before"] {
        assert_eq!(plan[field], done[field], "{field}");
    }
    // The index gives back some of its pages when it is closed.
    let (after, now) = (done["size_after"].as_u64().unwrap(), home.physical());
    assert!((now..now + 64_000).contains(&after), "{after}, {now}");
    assert_eq!(home.here(), ["org/new", "org/old"]);
    home.is_whole();
}

#[test]
fn a_store_that_is_as_large_as_it_may_be_fits() {
    let home = three();
    let most = home.physical().to_string();
    assert_eq!(home.json(&["evict", "--max-size", &most])["evicted"], json!([]));
    assert_eq!(home.here().len(), 3);
}

#[test]
fn what_was_not_used_for_long_goes() {
    let home = three();
    assert_eq!(home.json(&["evict", "--older-than", "4d"])["evicted"], json!([]));
    let done = home.json(&["evict", "--older-than", "36h", "--now"]);
    assert_eq!(models(&done["evicted"]), ["org/old", "org/mid"]);
    assert!(done["freed_bytes"].as_u64().unwrap() >= 1_000_000);
    assert_eq!(home.here(), ["org/new"]);
}

#[test]
fn what_is_pinned_checked_out_or_in_use_stays_and_the_rest_goes() {
    let home = three();
    home.write("free/weights.bin", &[9; 500_000]);
    home.ok(["add", "free", "--name", "org/free"]);
    home.ok(["pin", "org/old"]);
    home.ok(["checkout", "org/mid", "out"]);
    // I6: a lease is a shared lock on the revision's manifest.
    let manifest = home.path("store/manifests").join(revision(&home, "org/new"));
    let manifest = File::open(manifest).unwrap();
    manifest.lock_shared().unwrap();
    let plan = home.json_exit(&["evict", "--max-size", "1kB", "--dry-run"], 5);
    let ran = home.run(["evict", "--max-size", "1kB"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    for why in ["it is pinned", "a view of it is at", "a running process uses it"] {
        assert!(ran.stderr.contains(why), "{why}: {ran:?}");
    }
    assert!(ran.stderr.contains("hint: the store is "), "{ran:?}");
    assert_eq!(models(&plan["evicted"]), ["org/free"]);
    assert_eq!(models(&plan["kept"]).len(), 3);
    assert_eq!(home.here(), ["org/mid", "org/new", "org/old"]);
    home.is_whole();
}

#[test]
fn bytes_that_others_need_are_not_counted_as_freed() {
    let home = three();
    // The same weights under another name, pinned: of `old` only its manifest comes back.
    home.ok(["add", "old", "--name", "org/twin"]);
    home.ok(["pin", "org/twin"]);
    let most = (home.physical() - 100_000).to_string();
    let plan = home.json(&["evict", "--max-size", &most, "--dry-run"]);
    assert_eq!(models(&plan["evicted"]), ["org/old", "org/mid"]);
    assert!(plan["freed_bytes"].as_u64().unwrap() < 600_000, "{plan}");
    let done = home.json(&["evict", "--max-size", &most]);
    assert_eq!(plan["freed_bytes"], done["freed_bytes"]);
    assert_eq!(fs::read(home.blob("org/twin", "weights.bin")).unwrap(), vec![1; 500_000]);
}

#[test]
fn a_pin_is_seen_holds_against_rm_and_survives_a_new_index() {
    let home = three();
    let plan = home.json(&["pin", "org/old", "--dry-run"]);
    assert_eq!(fields(&plan["models"][0]), ["changed", "model", "pinned", "revision"]);
    assert_eq!(home.json(&["ls", "org/old"])["models"][0]["pinned"], false);
    assert!(home.ok(["pin", "org/old"]).starts_with("pinned org/old@"));
    assert!(home.ok(["pin", "org/old"]).starts_with("already pinned: org/old@"));
    fs::remove_file(home.path("store/index.redb")).unwrap();
    home.ok(["fsck", "--rebuild-index"]);
    assert_eq!(home.json(&["ls", "org/old"])["models"][0]["pinned"], true);
    let plan = home.json_exit(&["rm", "org/old", "--dry-run"], 1);
    assert_eq!(plan, home.json_exit(&["rm", "org/old"], 1));
    let ran = home.run(["rm", "org/old"]);
    assert!(ran.stderr.contains("stays: it is pinned"), "{ran:?}");
    assert!(ran.stderr.contains("hint: `tonnage unpin` it first"), "{ran:?}");
    home.ok(["unpin", "org/old"]);
    assert!(home.ok(["unpin", "org/old"]).starts_with("not pinned: org/old@"));
    fs::remove_file(home.path("store/index.redb")).unwrap();
    home.ok(["fsck", "--rebuild-index"]);
    home.ok(["rm", "org/old"]);
    // What comes again is not pinned because it was.
    home.ok(["pin", "org/mid"]);
    home.ok(["rm", "org/mid", "--force"]);
    home.ok(["add", "mid", "--name", "org/mid"]);
    fs::remove_file(home.path("store/index.redb")).unwrap();
    home.ok(["fsck", "--rebuild-index"]);
    assert_eq!(home.json(&["ls", "org/mid"])["models"][0]["pinned"], false);
    home.is_whole();
}

#[test]
fn sizes_and_ages_that_make_no_sense_change_nothing() {
    let home = three();
    for bad in [
        &["evict"][..],
        &["evict", "--max-size", "-1"],
        &["evict", "--max-size", "lots"],
        &["evict", "--older-than", "30"],
        &["evict", "--older-than", "d"],
        &["evict", "--older-than", "-3d"],
        &["evict", "--older-than", "99999999999999999999d"],
        &["evict", "--older-than", "99999999999999999w"],
        &["evict", "--older-than", "1d", "--max-size", "1GB"],
        &["pin"],
    ] {
        home.fails(bad, 2, "usage");
    }
    home.fails(&["pin", "org/old", "org/typo"], 3, "not_found");
    assert_eq!(home.json(&["ls", "org/old"])["models"][0]["pinned"], false);
    // Longer than there have been clocks: nothing is as old.
    assert_eq!(home.json(&["evict", "--older-than", "1000000d"])["evicted"], json!([]));
    assert_eq!(home.here().len(), 3);
}

#[test]
fn without_a_store_nothing_is_evicted_or_pinned() {
    let home = Home::new();
    for args in [&["evict", "--max-size", "0"][..], &["pin", "a"], &["unpin", "a"]] {
        home.fails(args, 3, "not_found");
    }
    assert!(!home.path("store").exists());
}
