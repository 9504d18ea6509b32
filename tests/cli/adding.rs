//! `add`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::{Home, fields, noise};

#[test]
fn a_directory_becomes_a_model() {
    let home = Home::new();
    home.write("a/weights.bin", &noise(1, 200_000));
    home.write("a/config.json", b"{}");
    let said = home.ok(["add", "a", "--name", "org/a"]);
    assert!(said.starts_with("added org/a@"), "{said}");
    assert!(said.contains("2 files, 200 kB (200 kB new)"), "{said}");
    assert_eq!(home.names("blobs").len(), 2);
    home.is_whole();
}

#[test]
fn the_json_of_add_has_these_fields() {
    let home = Home::new();
    home.write("a/x", b"abc");
    let added = home.json(&["add", "a", "--name", "a", "--revision", "v1"]);
    assert_eq!(
        fields(&added),
        [
            "bytes",
            "evicted",
            "files",
            "known_files",
            "model",
            "new_bytes",
            "ref",
            "revision",
            "seconds",
            "shared_bytes"
        ]
    );
    assert_eq!(added["ref"], "v1");
    assert_eq!((&added["files"], &added["bytes"]), (&1.into(), &3.into()));
}

#[test]
fn the_second_add_of_the_same_files_brings_nothing_new() {
    let home = Home::with_models();
    let blobs = home.names("blobs");
    let again = home.json(&["add", "a", "--name", "org/a"]);
    assert_eq!(again["new_bytes"], 0);
    assert_eq!(again["known_files"], 3);
    assert_eq!(home.names("blobs"), blobs);
    assert_eq!(home.json(&["ls", "org/a"])["models"].as_array().unwrap().len(), 1);
    assert!(home.ok(["add", "a", "--name", "org/a"]).contains("nothing new"));
    home.is_whole();
}

#[test]
fn an_edit_makes_a_second_revision_and_main_moves_to_it() {
    let home = Home::with_models();
    home.write("a/config.json", b"{\"edited\":true}");
    let added = home.json(&["add", "a", "--name", "org/a"]);
    let models = home.json(&["ls", "org/a"])["models"].clone();
    assert_eq!(models.as_array().unwrap().len(), 2);
    assert_eq!(home.json(&["show", "org/a"])["revision"], added["revision"]);
}

#[test]
fn a_file_without_a_name_is_called_as_its_name_says() {
    let home = Home::new();
    home.write("tiny-Q4.gguf", b"weights");
    let added = home.json(&["add", "tiny-Q4.gguf"]);
    assert_eq!(added["model"], "tiny-Q4");
    assert_eq!(home.json(&["show", "tiny-Q4"])["files"][0]["path"], "tiny-Q4.gguf");
}

#[test]
fn a_directory_without_a_name_is_a_usage_error_that_helps() {
    let home = Home::new();
    home.write("snapshot/x", b"x");
    let said = home.fails(&["add", "snapshot"], 2, "usage");
    assert!(said.contains("--name org/snapshot"), "{said}");
    assert!(!home.path("store").exists());
}

#[test]
fn moving_takes_the_source_away_when_the_model_is_safe() {
    let home = Home::new();
    home.write("a/x", &noise(1, 70_000));
    let inode = fs::metadata(home.path("a/x")).unwrap().ino();
    home.ok(["add", "a", "--name", "a", "--take", "move"]);
    assert!(!home.path("a/x").exists());
    assert_eq!(fs::metadata(home.blob("a", "x")).unwrap().ino(), inode);
    home.is_whole();
}

#[test]
fn hardlinking_makes_the_source_the_stored_file() {
    let home = Home::new();
    home.write("a/x", b"abc");
    home.ok(["add", "a", "--name", "a", "--take", "hardlink"]);
    let source = fs::metadata(home.path("a/x")).unwrap();
    assert_eq!(source.ino(), fs::metadata(home.blob("a", "x")).unwrap().ino());
    assert_eq!(source.permissions().mode() & 0o777, 0o444);
}

#[test]
fn with_sha256_a_blob_is_found_by_it() {
    let home = Home::new();
    home.write("a/x", b"abc");
    home.ok(["add", "a", "--name", "a", "--sha256"]);
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(home.json(&["show", "a"])["files"][0]["sha256"], digest);
    let why = home.json(&["why", &format!("sha256:{digest}")]);
    assert_eq!(why["needed_by"][0]["paths"][0], "x");
}

#[test]
fn a_missing_path_makes_no_store() {
    let home = Home::new();
    let said = home.fails(&["add", "nowhere", "--name", "a"], 3, "not_found");
    assert!(said.contains("nowhere does not exist"), "{said}");
    assert!(!home.path("store").exists());
}

#[test]
fn a_directory_that_is_something_else_is_no_store() {
    let home = Home::new();
    home.write("store/letter.txt", b"dear");
    home.write("a/x", b"x");
    let said = home.fails(&["add", "a", "--name", "a"], 1, "failure");
    assert!(said.contains("not empty and not a store"), "{said}");
    assert_eq!(home.names(""), ["letter.txt"]);
}

#[test]
fn a_store_cannot_be_a_file() {
    let home = Home::new();
    home.write("store", b"a file");
    home.write("a/x", b"x");
    home.fails(&["add", "a", "--name", "a"], 1, "failure");
    home.fails(&["ls"], 1, "failure");
    assert_eq!(fs::read(home.path("store")).unwrap(), b"a file");
}
