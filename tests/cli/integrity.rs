//! `verify`, `fsck`, and stores that something happened to.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use serde_json::json;

use crate::support::{Home, fields};

/// Changes a byte as a bad disk does: size, time, mode and inode stay.
fn rot(path: &Path, at: u64) {
    let before = fs::metadata(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    fs::set_permissions(path, before.permissions()).unwrap();
}

#[test]
fn a_whole_store_verifies() {
    let home = Home::with_models();
    let object = home.json(&["verify"]);
    assert_eq!(
        fields(&object),
        ["checked_bytes", "checked_files", "damaged", "hashed_bytes", "ok", "repaired"]
    );
    assert_eq!(object["checked_files"], 6);
    assert_eq!(object["checked_bytes"], 2_500_000 + 300_000 + 100_002);
    assert_eq!(object["hashed_bytes"], 0);
    assert_eq!(home.json(&["verify", "--full", "org/b"])["hashed_bytes"], 400_002);
    assert!(home.ok(["verify", "--full"]).contains("all whole"));
    home.fails(&["verify", "org/c"], 3, "not_found");
}

#[test]
fn full_verification_names_the_mebibyte() {
    let home = Home::with_models();
    rot(&home.blob("org/a", "weights.bin"), (1 << 20) + 5);
    assert_eq!(home.json(&["verify"])["ok"], true, "a fingerprint does not tell");
    let object = home.json_exit(&["verify", "--full"], 4);
    assert_eq!(object["ok"], false);
    let damaged = &object["damaged"][0];
    assert_eq!(fields(damaged), ["blob", "model", "path", "ranges", "revision", "why"]);
    assert_eq!(damaged["path"], "weights.bin");
    assert_eq!(damaged["ranges"], json!([[1 << 20, 2 << 20]]));
    let ran = home.run(["verify", "--full"]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.stdout.contains("MiB 1: bytes 1048576 to 2097152"), "{ran:?}");
    assert!(ran.stderr.contains("hint: "), "{ran:?}");
    assert_eq!(home.json(&["verify", "--full", "org/b"])["ok"], true);
}

#[test]
fn quick_verification_sees_a_file_that_was_replaced_or_lost() {
    let home = Home::with_models();
    let blob = home.blob("org/a", "sub/shared.bin");
    let mut bytes = fs::read(&blob).unwrap();
    fs::remove_file(&blob).unwrap();
    let object = home.json_exit(&["verify"], 4);
    assert_eq!(object["damaged"].as_array().unwrap().len(), 2, "both models need it");
    bytes[0] ^= 1;
    fs::write(&blob, bytes).unwrap();
    assert_eq!(home.json_exit(&["verify"], 4)["hashed_bytes"], 100_000);
}

#[test]
fn a_touched_file_is_read_once_and_then_known_again() {
    let home = Home::with_models();
    let blob = File::open(home.blob("org/a", "weights.bin")).unwrap();
    blob.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(home.json(&["verify"])["hashed_bytes"], 2_500_000);
    assert_eq!(home.json(&["verify"])["hashed_bytes"], 0);
}

#[test]
fn fsck_counts_and_finds() {
    let home = Home::with_models();
    let object = home.json(&["fsck"]);
    assert_eq!(
        fields(&object),
        ["blobs", "dead_imports", "dead_views", "garbage", "ok", "problems", "revisions"]
    );
    assert_eq!((&object["revisions"], &object["blobs"]), (&2.into(), &4.into()));
    assert!(home.ok(["fsck"]).starts_with("the store is whole: 2 revisions, 4 blobs"));
    fs::remove_file(home.blob("org/b", "weights.bin")).unwrap();
    let object = home.json_exit(&["fsck"], 4);
    assert_eq!(object["problems"][0]["invariant"], "I2");
    let ran = home.run(["fsck"]);
    assert!(ran.stdout.contains("I2 ") && ran.stderr.contains("hint: "), "{ran:?}");
}

#[test]
fn a_rebuild_leaves_out_what_is_not_whole_and_says_so() {
    let home = Home::with_models();
    fs::remove_file(home.blob("org/b", "weights.bin")).unwrap();
    let object = home.json_exit(&["fsck", "--rebuild-index"], 4);
    assert_eq!(fields(&object["rebuilt"]), ["blobs", "left_out", "refs", "revisions"]);
    assert_eq!(object["rebuilt"]["revisions"], 1);
    assert!(object["rebuilt"]["left_out"][0].as_str().unwrap().contains("org/b"));
    home.is_whole();
}

#[test]
fn without_its_index_no_model_is_lost() {
    let garbage = vec![0x5a; 1 << 20];
    type Harm<'h> = &'h dyn Fn(&Path);
    let breaks: [(&str, Harm<'_>); 5] = [
        ("garbage", &|index| fs::write(index, &garbage).unwrap()),
        ("short garbage", &|index| fs::write(index, b"oops").unwrap()),
        ("truncated", &|index| {
            let file = File::options().write(true).open(index).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }),
        ("empty", &|index| fs::write(index, b"").unwrap()),
        ("missing", &|index| fs::remove_file(index).unwrap()),
    ];
    for (what, harm) in breaks {
        let home = Home::with_models();
        home.ok(["add", "b", "--name", "org/b", "--revision", "v1"]);
        let before = home.json(&["ls"]);
        harm(&home.path("store/index.redb"));
        for args in [&["ls"][..], &["verify"], &["gc"], &["fsck"], &["add", "b", "--name", "c"]] {
            let said = home.fails(args, 4, "damaged");
            assert!(said.contains("fsck --rebuild-index"), "{what}: {said}");
        }
        let rebuilt = home.json(&["fsck", "--rebuild-index"])["rebuilt"].clone();
        assert_eq!(rebuilt, json!({"revisions": 2, "refs": 3, "blobs": 4, "left_out": []}));
        let mut after = home.json(&["ls"]);
        for (new, old) in after["models"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(before["models"].as_array().unwrap())
        {
            new["last_used"] = old["last_used"].clone();
        }
        assert_eq!(after, before, "{what}");
        home.is_whole();
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let home = Home::with_models();
    fs::write(home.path("store/FORMAT"), "tonnage store 99\n").unwrap();
    for args in [&["ls"][..], &["gc"], &["add", "a", "--name", "c"], &["fsck", "--rebuild-index"]] {
        let said = home.fails(args, 1, "failure");
        assert!(said.contains("tonnage store 99") && said.contains("newer tonnage"), "{said}");
    }
}

#[test]
fn a_view_is_compared_with_its_revision() {
    let home = Home::with_models();
    home.ok(["checkout", "org/a", "view"]);
    let whole = home.json(&["verify", "--view", "view"]);
    assert_eq!(
        fields(&whole),
        [
            "changed",
            "checked_bytes",
            "checked_files",
            "extra",
            "missing",
            "mode",
            "model",
            "ok",
            "revision",
            "view"
        ]
    );
    assert_eq!((&whole["ok"], &whole["checked_files"]), (&json!(true), &json!(3)));
    assert!(home.ok(["verify", "--view", "view", "--full"]).ends_with("as it was made\n"));
    // Each sort of change, by its name.
    fs::remove_file(home.path("view/sub/shared.bin")).unwrap();
    fs::write(home.path("view/notes.txt"), "x").unwrap();
    fs::write(home.path("view/config.json"), "[]").unwrap();
    fs::set_permissions(home.path("view/weights.bin"), Permissions::from_mode(0o755)).unwrap();
    let found = home.json_exit(&["verify", "--view", "view"], 4);
    for (what, path) in [
        ("missing", "sub/shared.bin"),
        ("extra", "notes.txt"),
        ("changed", "config.json"),
        ("mode", "weights.bin"),
    ] {
        assert_eq!(found[what], json!([path]), "{what}");
    }
    let ran = home.run(["verify", "--view", "view"]);
    assert!(ran.stdout.contains("4 differ") && ran.stderr.contains("--writable"), "{ran:?}");
    // Bytes that changed behind the store's back: only a full look reads a hardlink.
    home.ok(["checkout", "org/b", "other"]);
    assert_eq!(home.json(&["verify", "--view", "other"])["ok"], true);
    rot(&home.path("other/weights.bin"), 99);
    assert_eq!(home.json(&["verify", "--view", "other"])["ok"], true);
    let full = home.json_exit(&["verify", "--view", "other", "--full"], 4);
    assert_eq!(full["changed"], json!(["weights.bin"]));
    // The store's own view, and what is none.
    let managed = home.ok(["path", "org/a"]);
    assert_eq!(
        home.json_exit(&["verify", "--view", managed.trim()], 4)["mode"],
        json!(["weights.bin"])
    );
    for no_view in ["a", "nowhere", "view/sub"] {
        home.fails(&["verify", "--view", no_view], 3, "not_found");
    }
    home.fails(&["verify", "org/a", "--view", "view"], 2, "usage");
}

#[test]
fn a_file_that_was_written_through_a_hardlink_is_found_by_its_time() {
    let home = Home::with_models();
    home.ok(["checkout", "org/a", "view"]);
    let path = home.path("view/weights.bin");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(b"edit", 7).unwrap();
    let found = home.json_exit(&["verify"], 4);
    assert_eq!(found["damaged"][0]["path"], "weights.bin");
    assert_eq!(found["damaged"][0]["ranges"], json!([[0, 1 << 20]]));
    let ran = home.run(["verify"]);
    assert!(ran.stderr.contains("checkout --writable"), "{ran:?}");
}

#[test]
fn repair_mends_from_a_directory_and_says_what_it_could_not() {
    let home = Home::with_models();
    let blob = home.blob("org/a", "weights.bin");
    let whole = fs::read(&blob).unwrap();
    rot(&blob, (1 << 20) + 5);
    let done = home.json(&["verify", "--full", "--repair", "--from", "a", "--offline"]);
    assert_eq!((&done["ok"], &done["damaged"]), (&json!(true), &json!([])));
    let repaired = &done["repaired"][0];
    let names = ["blob", "from", "model", "path", "ranges", "relinked", "revision"];
    assert_eq!(fields(repaired), names);
    assert_eq!(repaired["ranges"], json!([[1 << 20, 2 << 20]]));
    assert!(fs::read(&blob).unwrap() == whole);
    rot(&blob, 5);
    let said = home.ok(["verify", "--full", "--repair", "--from", "a", "--offline"]);
    assert!(said.contains("mended org/a@") && said.contains("weights.bin: 1.0 MB from"), "{said}");
    home.is_whole();
    home.fails(&["verify", "--from", "a"], 2, "usage");
    rot(&blob, 5);
    home.fails(&["verify", "--full", "--repair", "--from", "nowhere", "--offline"], 3, "not_found");
}

#[test]
fn scrub_takes_what_was_not_read_for_the_longest_time_and_remembers() {
    let home = Home::with_models();
    // What has just been read is not the oldest.
    home.ok(["verify", "--full", "org/b"]);
    let first = home.json(&["scrub", "--budget", "2.5MB"]);
    let names = ["checked_blobs", "checked_bytes", "damaged", "left_bytes", "ok", "oldest"];
    assert_eq!(fields(&first), names);
    assert_eq!((&first["checked_bytes"], &first["checked_blobs"]), (&json!(2_500_000), &json!(1)));
    assert_eq!(first["left_bytes"], 400_002);
    assert!(first["oldest"].is_string(), "each was read once: {first}");
    rot(&home.blob("org/a", "weights.bin"), (2 << 20) + 5);
    let all = home.json_exit(&["scrub"], 4);
    assert_eq!((&all["checked_bytes"], &all["left_bytes"]), (&json!(2_900_002), &json!(0)));
    assert_eq!(all["damaged"][0]["path"], "weights.bin");
    assert_eq!(all["damaged"][0]["ranges"], json!([[2 << 20, 2_500_000]]));
    let ran = home.run(["scrub"]);
    assert!(ran.stdout.contains("read 4 blobs, 2.9 MB in"), "{ran:?}");
    assert!(ran.stderr.contains("hint: `tonnage verify --repair`"), "{ran:?}");
    home.ok(["verify", "--repair", "--from", "a", "--offline"]);
    assert_eq!(home.json(&["scrub", "--budget", "1h"])["checked_blobs"], 4);
    // One blob is read, however small the budget.
    assert_eq!(home.json(&["scrub", "--budget", "1B"])["checked_blobs"], 1);
    assert_eq!(home.json(&["scrub", "--budget", "0s"])["checked_blobs"], 0);
    for bad in ["lots", "-1", "5x", "9999999999999999999999w"] {
        home.fails(&["scrub", "--budget", bad], 2, "usage");
    }
    home.is_whole();
}

#[test]
fn what_cannot_be_mended_is_quarantined_until_its_bytes_come_again() {
    let home = Home::with_models();
    let blob = home.blob("org/a", "sub/shared.bin");
    let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
    rot(&blob, 7);
    let left = home.json_exit(&["verify", "--full", "--repair", "--offline"], 4);
    assert_eq!((&left["ok"], &left["repaired"]), (&json!(false), &json!([])));
    assert_eq!(home.names("quarantine"), [name.as_str()]);
    assert!(!blob.exists());
    // Known damage is no surprise to the books, and both models say so.
    home.is_whole();
    for model in ["org/a", "org/b"] {
        assert_eq!(home.json(&["ls", model])["models"][0]["degraded"], true);
        home.fails(&["path", model], 4, "damaged");
    }
    let ran = home.run(["ls"]);
    assert!(ran.stderr.contains("is degraded") && ran.stderr.contains("hint: "), "{ran:?}");
    let found = home.json_exit(&["verify"], 4);
    assert_eq!(found["damaged"][0]["why"], "it is in quarantine");
    home.json(&["gc"]);
    assert_eq!(home.names("quarantine"), [name.as_str()], "kept for who wants to look");
    // Whoever brings the bytes heals both.
    home.ok(["add", "b", "--name", "org/b"]);
    for model in ["org/a", "org/b"] {
        assert_eq!(home.json(&["ls", model])["models"][0]["degraded"], false);
        home.ok(["path", model]);
    }
    assert_eq!(home.json(&["verify", "--full"])["ok"], true);
    home.json(&["gc"]);
    assert_eq!(home.names("quarantine"), [""; 0]);
    // And so does a repair.
    rot(&blob, 9);
    home.json_exit(&["verify", "--full", "--repair", "--offline"], 4);
    let done = home.json(&["verify", "--repair", "--from", "a", "--offline"]);
    assert_eq!(done["ok"], true);
    assert_eq!(home.json(&["verify", "--full"])["hashed_bytes"], 2_900_002);
    // A revision that is removed takes its quarantined blobs along.
    rot(&blob, 9);
    home.json_exit(&["verify", "--full", "--repair", "--offline"], 4);
    home.ok(["rm", "org/a", "org/b", "--now"]);
    assert_eq!((home.names("quarantine"), home.names("blobs")), (vec![], vec![]));
    home.is_whole();
}
