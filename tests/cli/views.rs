//! `checkout`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::{Home, fields, tree};

#[test]
fn a_checkout_has_the_bytes_and_says_how_they_came() {
    let home = Home::with_models();
    let object = home.json(&["checkout", "org/a", "out"]);
    assert_eq!(
        fields(&object),
        ["bytes", "copied", "files", "linked", "path", "reflinked", "unchanged"]
    );
    assert_eq!((&object["files"], &object["linked"]), (&3.into(), &2.into()));
    assert_eq!((&object["copied"], &object["unchanged"]), (&1.into(), &false.into()));
    assert_eq!(tree(&home.path("out")), tree(&home.path("a")));
    let said = home.ok(["checkout", "org/b", "deep/er/out"]);
    assert!(said.contains("3 files, 400 kB (2 hardlinks, 1 copy)"), "{said}");
}

#[test]
fn the_second_checkout_finds_it_complete() {
    let home = Home::with_models();
    home.ok(["checkout", "org/a", "out"]);
    assert!(home.ok(["checkout", "org/a", "out"]).contains("is already complete"));
    assert_eq!(home.json(&["checkout", "org/a", "out"])["unchanged"], true);
}

#[test]
fn a_writable_checkout_never_reaches_the_store() {
    let home = Home::with_models();
    home.ok(["checkout", "org/a", "mine", "--writable"]);
    let path = home.path("mine/weights.bin");
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
    assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o200, 0);
    fs::write(path, b"mine now").unwrap();
    assert_eq!(home.json(&["verify", "--full"])["ok"], true);
}

#[test]
fn a_hardlink_cannot_be_writable() {
    let home = Home::with_models();
    home.fails(&["checkout", "org/a", "out", "--mode", "hardlink", "--writable"], 2, "usage");
    assert!(!home.path("out").exists());
}

#[test]
fn every_mode_gives_the_same_files() {
    let home = Home::with_models();
    for mode in ["auto", "hardlink", "reflink", "copy"] {
        let ran = home.run(["checkout", "org/a", mode, "--mode", mode]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(tree(&home.path(mode)), tree(&home.path("a")), "{mode}");
    }
}

#[test]
fn who_asked_for_reflinks_is_told_when_there_were_none() {
    let home = Home::with_models();
    let object = home.json(&["checkout", "org/a", "out", "--mode", "reflink"]);
    let ran = home.run(["checkout", "org/a", "other", "--mode", "reflink"]);
    let told = ran.stderr.starts_with("note: 3 of 3 files are no reflink");
    assert_eq!(told, object["copied"] == 3, "{ran:?}");
}

#[test]
fn a_changed_view_is_listed_and_replaced_only_by_force() {
    let home = Home::with_models();
    home.ok(["checkout", "org/a", "out"]);
    fs::remove_file(home.path("out/weights.bin")).unwrap();
    fs::write(home.path("out/config.json"), b"mine").unwrap();
    for index in 0..12 {
        fs::write(home.path("out").join(format!("note-{index:02}")), b"note").unwrap();
    }
    let changed = tree(&home.path("out"));
    let said = home.fails(&["checkout", "org/a", "out"], 1, "failure");
    for line in ["  changed  config.json", "  missing  weights.bin", "  added    note-09"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("  added    and 2 more") && !said.contains("note-10"), "{said}");
    assert!(said.contains("hint: --force"), "{said}");
    let object = home.json_exit(&["checkout", "org/a", "out"], 1);
    assert_eq!(object["error"]["differences"]["missing"][0], "weights.bin");
    assert_eq!(tree(&home.path("out")), changed, "nothing was touched");
    home.ok(["checkout", "org/a", "out", "--force"]);
    assert_eq!(tree(&home.path("out")), tree(&home.path("a")));
}

#[test]
fn what_is_no_view_is_never_replaced() {
    let home = Home::with_models();
    home.write("precious/thesis.txt", b"years of work");
    home.fails(&["checkout", "org/a", "precious"], 1, "failure");
    home.fails(&["checkout", "org/a", "precious", "--force"], 1, "failure");
    home.fails(&["checkout", "org/a", "a/config.json"], 1, "failure");
    assert_eq!(fs::read(home.path("precious/thesis.txt")).unwrap(), b"years of work");
}

#[test]
fn a_view_cannot_be_inside_the_store() {
    let home = Home::with_models();
    let said = home.fails(&["checkout", "org/a", "store/out"], 2, "usage");
    assert!(said.contains("tonnage path"), "{said}");
    home.fails(&["checkout", "org/c", "out"], 3, "not_found");
}

#[test]
fn a_missing_blob_is_damage() {
    let home = Home::with_models();
    fs::remove_file(home.blob("org/a", "weights.bin")).unwrap();
    home.fails(&["checkout", "org/a", "out"], 4, "damaged");
    assert!(!home.path("out").exists());
}
