//! `ls`, `show`, `path`.

use std::fs;

use crate::support::{Home, MODEL_FIELDS, fields, tree};

#[test]
fn ls_is_a_table_of_at_most_eighty_columns() {
    let home = Home::with_models();
    let said = home.ok(["ls"]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3);
    let titles: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(titles, ["MODEL", "REVISION", "REFS", "FILES", "SIZE", "EXCLUSIVE", "LAST", "USED"]);
    assert!(lines[1].starts_with("org/a  "), "{said}");
    assert!(lines[1].contains("main      3  2.6 MB     2.5 MB  just now"), "{said}");
    assert!(lines.iter().all(|line| line.len() <= 80), "{said}");
}

#[test]
fn the_json_of_ls_has_these_fields() {
    let home = Home::with_models();
    let object = home.json(&["ls"]);
    assert_eq!(fields(&object), ["models"]);
    let model = &object["models"][0];
    assert_eq!(fields(model), MODEL_FIELDS);
    assert_eq!(model["model"], "org/a");
    assert_eq!(model["refs"], serde_json::json!(["main"]));
    assert_eq!(model["size"], 2_600_002);
    assert_eq!(model["exclusive"], 2_500_000);
    assert_eq!(model["shared"], 100_002);
    assert_eq!(model["pinned"], false);
    assert_eq!(model["path"], serde_json::Value::Null);
    let last_used = model["last_used"].as_str().unwrap();
    assert!(last_used.len() == 20 && last_used.ends_with('Z'), "{last_used}");
}

#[test]
fn ls_of_one_model_lists_that_or_says_it_is_not_there() {
    let home = Home::with_models();
    assert_eq!(home.json(&["ls", "org/b"])["models"].as_array().unwrap().len(), 1);
    home.fails(&["ls", "org/c"], 3, "not_found");
    home.fails(&["ls", "org/a@v9"], 3, "not_found");
}

#[test]
fn without_a_store_ls_says_how_to_make_one() {
    let home = Home::new();
    let said = home.fails(&["ls"], 3, "not_found");
    assert!(said.contains("no store at"), "{said}");
    assert!(said.contains("tonnage pull") && said.contains("tonnage add"), "{said}");
    assert!(!home.path("store").exists());
}

#[test]
fn an_empty_store_says_so() {
    let home = Home::with_models();
    home.ok(["rm", "org/a", "org/b"]);
    assert!(home.ok(["ls"]).starts_with("nothing is here yet"));
    assert_eq!(home.json(&["ls"])["models"], serde_json::json!([]));
}

#[test]
fn show_lists_the_files_of_a_model() {
    let home = Home::with_models();
    let said = home.ok(["show", "org/a"]);
    assert!(said.starts_with("org/a@") && said.contains("sub/shared.bin"), "{said}");
    let object = home.json(&["show", "org/a"]);
    assert_eq!(fields(&object), MODEL_FIELDS);
    let files = object["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    assert_eq!(fields(&files[0]), ["blob", "path", "sha256", "size"]);
    assert_eq!(files[0]["path"], "config.json");
    home.fails(&["show", "org/c"], 3, "not_found");
}

#[test]
fn a_revision_can_be_named_by_ref_by_digits_or_whole() {
    let home = Home::with_models();
    let revision = home.json(&["show", "org/a"])["revision"].as_str().unwrap().to_owned();
    for at in ["main", &revision[..4], &revision] {
        assert_eq!(home.json(&["show", &format!("org/a@{at}")])["revision"], *revision);
    }
}

#[test]
fn a_model_without_main_and_with_two_revisions_is_ambiguous() {
    let home = Home::new();
    home.write("a/x", b"1");
    home.ok(["add", "a", "--name", "m", "--revision", "one"]);
    home.write("a/x", b"2");
    home.ok(["add", "a", "--name", "m", "--revision", "two"]);
    home.fails(&["show", "m"], 2, "usage");
    assert_eq!(home.json(&["show", "m@one"])["refs"], serde_json::json!(["one"]));
}

#[test]
fn path_prints_a_directory_that_has_the_files() {
    let home = Home::with_models();
    let said = home.ok(["path", "org/a"]);
    let dir = std::path::Path::new(said.trim_end());
    assert_eq!(tree(dir), tree(&home.path("a")));
    assert_eq!(dir, fs::canonicalize(home.path("store/models/org--a")).unwrap());
    let object = home.json(&["path", "org/a"]);
    assert_eq!(fields(&object), ["bytes", "files", "path"]);
    assert_eq!(object["path"], *dir.to_str().unwrap());
    assert_eq!(home.json(&["ls", "org/a"])["models"][0]["path"], object["path"]);
    assert_eq!(home.json(&["ls", "org/b"])["models"][0]["path"], serde_json::Value::Null);
    assert!(home.ok(["show", "org/a"]).contains(said.trim_end()));
    home.fails(&["path", "org/c"], 3, "not_found");
}

#[test]
fn the_path_of_an_older_revision_is_its_own() {
    let home = Home::with_models();
    let old = home.json(&["show", "org/a"])["revision"].as_str().unwrap().to_owned();
    let before = tree(&home.path("a"));
    home.write("a/config.json", b"new");
    home.ok(["add", "a", "--name", "org/a"]);
    let said = home.ok(["path", &format!("org/a@{old}")]);
    assert_eq!(tree(std::path::Path::new(said.trim_end())), before);
    assert_eq!(
        tree(std::path::Path::new(home.ok(["path", "org/a"]).trim_end())),
        tree(&home.path("a"))
    );
}
