//! `diff`, its matrix and picture, `dedup`, and `show --tensors`.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::{Home, fields};

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    path.to_str().unwrap().to_owned()
}

/// A store with two quantizations of one model.
fn two() -> Home {
    let home = Home::new();
    for name in ["Q4_K_S", "Q4_K_M"] {
        let file = fixture(&format!("tiny-llama-GGUF/tiny-llama-{name}.gguf"));
        home.ok(["add", &file, "--name", &format!("tiny/{name}")]);
    }
    home
}

#[test]
fn the_json_of_diff_has_these_fields() {
    let home = two();
    let found = home.json(&["diff", "tiny/Q4_K_S", "tiny/Q4_K_M"]);
    let names = [
        "a",
        "able",
        "b",
        "equal",
        "equal_tensors",
        "groups",
        "same_files",
        "shareable",
        "shared",
        "unshareable",
    ];
    assert_eq!(fields(&found), names);
    let side = ["bytes", "exclusive", "exclusive_tensors", "model", "revision", "tensors"];
    assert_eq!(fields(&found["a"]), side);
    assert_eq!(found["b"]["model"], "tiny/Q4_K_M");
    let group = ["a", "b", "bytes", "dtype", "equal", "equal_bytes", "name"];
    assert_eq!(fields(&found["groups"][0]), group);
    assert!(found["equal_tensors"].as_u64().unwrap() > 0);

    let said = home.ok(["diff", "tiny/Q4_K_S", "tiny/Q4_K_M"]);
    assert!(!said.contains("blk.*.attn_q.weight"), "{said}");
    let said = home.ok(["diff", "-v", "tiny/Q4_K_S", "tiny/Q4_K_M"]);
    assert!(said.contains("blk.*.attn_q.weight"), "{said}");
}

#[test]
fn the_matrix_is_a_table_an_object_and_a_picture() {
    let home = two();
    let matrix = home.json(&["diff", "--matrix", "tiny/Q4_K_S", "tiny/Q4_K_M"]);
    assert_eq!(fields(&matrix), ["bytes", "equal", "members", "physical", "unique"]);
    assert_eq!(fields(&matrix["members"][0]), ["bytes", "exclusive", "name"]);
    assert_eq!(matrix["equal"][0][0], matrix["members"][0]["bytes"]);

    // Of one model, its files; whose names are text.
    fs::create_dir(home.path("odd")).unwrap();
    for name in ["a<b>&\"c\".gguf", "d.gguf"] {
        let from = fixture("tiny-llama-GGUF/tiny-llama-Q4_K_S.gguf");
        fs::copy(from, home.path("odd").join(name)).unwrap();
    }
    home.ok(["add", "odd", "--name", "tiny/odd"]);
    let said = home.ok(["diff", "--matrix", "tiny/odd", "--svg", "odd.svg"]);
    assert!(said.contains("a<b>&\"c\".gguf") && said.contains("100"), "{said}");
    let svg = fs::read_to_string(home.path("odd.svg")).unwrap();
    assert!(svg.contains("a&lt;b&gt;&amp;&quot;c&quot;.gguf"), "{svg}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(home.run(["diff", "--matrix", "tiny/odd", "--svg", "no/where.svg"]).code, Some(1));
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let home = two();
    assert_eq!(home.run(["diff", "tiny/Q4_K_S"]).code, Some(2));
    assert_eq!(home.run(["diff"]).code, Some(2));
    assert_eq!(home.run(["diff", "tiny/Q4_K_S", "--svg", "x.svg"]).code, Some(2));
    assert_eq!(home.run(["diff", "tiny/Q4_K_S", "tiny/none"]).code, Some(3));
    let nowhere = Home::new();
    assert_eq!(nowhere.run(["dedup"]).code, nowhere.run(["gc"]).code);
}

#[test]
fn the_json_of_dedup_has_these_fields() {
    let home = two();
    let done = home.json(&["dedup"]);
    let names = [
        "able",
        "checked_blobs",
        "checked_bytes",
        "damaged",
        "duplicate_bytes",
        "freed_bytes",
        "physical",
        "read_bytes",
        "shared_bytes",
        "skipped",
    ];
    assert_eq!(fields(&done), names);
    assert_eq!((&done["checked_blobs"], &done["read_bytes"]), (&json!(2), &json!(0)));
    assert!(done["duplicate_bytes"].as_u64().unwrap() > 500_000, "{done}");
    // After a rebuild nobody knows the segments, and they are read for once.
    home.ok(["fsck", "--rebuild-index"]);
    assert_eq!(home.json(&["dedup"])["read_bytes"], done["checked_bytes"]);
    assert_eq!(home.json(&["dedup"])["read_bytes"], 0);
}

#[test]
fn tensors_are_shown_as_their_headers_have_them() {
    let home = two();
    let shown = home.json(&["show", "--tensors", "tiny/Q4_K_S"]);
    assert_eq!(fields(&shown), ["doubts", "model", "revision", "tensors"]);
    let first = &shown["tensors"][0];
    assert_eq!(fields(first), ["bytes", "dtype", "file", "name", "offset", "shape"]);
    let said = home.ok(["show", "--tensors", "tiny/Q4_K_S"]);
    assert!(said.contains(first["name"].as_str().unwrap()), "{said}");
}
