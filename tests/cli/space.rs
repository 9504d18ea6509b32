//! `rm`, `gc`, `du`, `why`.

use std::fs;

use serde_json::json;

use crate::support::{Home, MODEL_FIELDS, fields};

#[test]
fn rm_frees_what_only_that_model_needs() {
    let home = Home::with_models();
    let said = home.ok(["rm", "org/a", "--now"]);
    assert!(said.starts_with("removed org/a@") && said.contains("freed 2.5 MB"), "{said}");
    assert_eq!(home.names("blobs").len(), 3, "those of org/b");
    assert_eq!(home.names("trash"), [""; 0]);
    home.fails(&["rm", "org/a"], 3, "not_found");
    home.is_whole();
}

#[test]
fn a_dry_run_of_rm_agrees_with_the_real_one() {
    let home = Home::with_models();
    home.ok(["path", "org/a"]);
    for model in ["org/a", "org/b"] {
        let plan = home.json(&["rm", model, "--dry-run"]);
        assert_eq!(
            fields(&plan),
            ["evicted", "failures", "freed_bytes", "kept", "purged", "trashed_bytes"]
        );
        assert_eq!(home.json(&["ls", model])["models"].as_array().unwrap().len(), 1);
        assert!(home.ok(["rm", model, "--dry-run"]).contains("would remove"));
        assert_eq!(plan, home.json(&["rm", model]), "{model}");
        assert_eq!(fields(&plan["evicted"][0]), ["model", "revision"]);
    }
    home.is_whole();
}

#[test]
fn rm_without_an_at_sign_removes_all_revisions() {
    let home = Home::with_models();
    home.write("a/config.json", b"new");
    home.ok(["add", "a", "--name", "org/a", "--revision", "v2"]);
    let one = home.json(&["rm", "org/a@v2", "--dry-run"]);
    assert_eq!(one["evicted"].as_array().unwrap().len(), 1);
    let all = home.json(&["rm", "org/a", "org/a@v2"]);
    assert_eq!(all["evicted"].as_array().unwrap().len(), 2);
    assert_eq!(home.json(&["ls"])["models"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_removed_when_one_name_is_wrong() {
    let home = Home::with_models();
    home.fails(&["rm", "org/a", "org/typo"], 3, "not_found");
    home.fails(&["rm"], 2, "usage");
    assert_eq!(home.json(&["ls"])["models"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_checked_out_stays_unless_forced() {
    let home = Home::with_models();
    home.ok(["checkout", "org/a", "out"]);
    let ran = home.run(["rm", "org/a"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("stays: a view of it is at"), "{ran:?}");
    assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("--force"), "{ran:?}");
    let object = home.json_exit(&["rm", "org/a"], 1);
    assert_eq!(object["evicted"], json!([]));
    assert_eq!(fields(&object["kept"][0]), ["model", "revision", "why"]);
    let plan = home.json(&["rm", "org/a", "--force", "--dry-run"]);
    assert_eq!(plan, home.json(&["rm", "org/a", "--force"]));
    assert!(plan["freed_bytes"].as_u64().unwrap() < 2_500_000, "the view keeps the bytes");
    assert_eq!(fs::read(home.path("out/weights.bin")).unwrap().len(), 2_500_000);
    home.is_whole();
}

#[test]
fn what_a_running_program_uses_stays() {
    let home = Home::with_models();
    // I6: a lease is a shared lock on the revision's manifest, which local content is named by.
    let revision = home.json(&["show", "org/a"])["revision"].as_str().unwrap().to_owned();
    let manifest = fs::File::open(home.path("store/manifests").join(revision)).unwrap();
    manifest.lock_shared().unwrap();
    let blob = home.blob("org/a", "weights.bin");
    let why = home.json(&["why", blob.file_name().unwrap().to_str().unwrap()]);
    assert_eq!(why["needed_by"][0]["leased"], true);
    let plan = home.json_exit(&["rm", "org/a", "--force", "--dry-run"], 1);
    assert_eq!(plan, home.json_exit(&["rm", "org/a", "--force"], 1));
    let ran = home.run(["rm", "org/a"]);
    assert!(ran.stderr.contains("stays: a running process uses it"), "{ran:?}");
    assert!(ran.stderr.contains("hint: try again"), "{ran:?}");
    manifest.unlock().unwrap();
    home.ok(["rm", "org/a"]);
}

#[test]
fn a_dry_run_of_gc_agrees_with_the_real_one() {
    let home = Home::with_models();
    // What an import that died behind its links leaves: a blob without a row.
    let bytes = vec![7; 10_000];
    let name = tonnage::digest::BlobHash::of(&bytes).to_string();
    fs::write(home.path("store/blobs").join(name), bytes).unwrap();
    assert_eq!(home.json(&["fsck"])["garbage"], 1);
    let plan = home.json(&["gc", "--dry-run"]);
    assert_eq!(
        fields(&plan),
        [
            "blobs",
            "evicted",
            "failures",
            "freed_bytes",
            "imports",
            "kept",
            "purged",
            "trashed_bytes"
        ]
    );
    assert!(home.ok(["gc", "--dry-run"]).starts_with("would free "));
    assert_eq!(plan["blobs"], 1);
    assert_eq!(plan, home.json(&["gc"]));
    assert_eq!(home.json(&["gc"])["freed_bytes"], 0);
    assert!(home.ok(["gc"]).starts_with("freed 0 B"));
    home.is_whole();
}

#[test]
fn a_second_collector_is_told_that_it_is_busy() {
    let home = Home::with_models();
    let lock = fs::File::options().write(true).open(home.path("store/gc.lock")).unwrap();
    lock.lock().unwrap();
    let said = home.fails(&["gc"], 7, "busy");
    assert!(said.contains("another process is collecting"), "{said}");
    lock.unlock().unwrap();
    home.ok(["gc"]);
}

#[test]
fn without_a_store_nothing_is_removed_and_none_is_made() {
    let home = Home::new();
    for args in
        [&["gc"][..], &["rm", "a"], &["verify"], &["fsck"], &["du"], &["fsck", "--rebuild-index"]]
    {
        home.fails(args, 3, "not_found");
    }
    assert!(!home.path("store").exists());
}

#[test]
fn du_counts_shared_bytes_once() {
    let home = Home::with_models();
    let object = home.json(&["du"]);
    assert_eq!(
        fields(&object),
        ["apparent", "exclusive", "models", "physical", "shared", "shared_physical", "trashed"]
    );
    assert_eq!(object["apparent"], 2_600_002 + 400_002);
    assert_eq!(object["exclusive"], 2_500_000 + 300_000);
    assert_eq!(object["shared"], 100_002);
    assert!(object["physical"].as_u64().unwrap() >= 2_900_002);
    assert_eq!(fields(&object["models"][0]), MODEL_FIELDS);
    assert_eq!(object["models"][0]["model"], "org/a", "the largest first");
    let said = home.ok(["du"]);
    assert!(said.contains("shared       100 kB"), "{said}");
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
}

#[test]
fn du_of_one_model_tells_with_whom_it_shares_and_what_its_removal_frees() {
    let home = Home::with_models();
    let object = home.json(&["du", "org/b"]);
    let names = [
        "apparent",
        "exclusive",
        "freed_if_removed",
        "model",
        "physical",
        "revision",
        "shared",
        "shared_physical",
        "shared_with",
    ];
    assert_eq!(fields(&object), names);
    assert_eq!((&object["exclusive"], &object["shared"]), (&json!(300_000), &json!(100_002)));
    assert_eq!(object["shared_with"][0]["model"], "org/a");
    assert_eq!(object["shared_with"][0]["bytes"], 100_002);
    let said = home.ok(["du", "org/b"]);
    assert!(said.contains("org/a") && said.contains("removal"), "{said}");
    assert_eq!(home.json(&["rm", "org/b", "--now"])["freed_bytes"], object["freed_if_removed"]);
    assert_eq!(home.json(&["du", "org/a"])["shared_with"], json!([]));
    // What a link outside the store keeps does not come back.
    let before = home.json(&["du", "org/a"])["freed_if_removed"].as_u64().unwrap();
    home.ok(["checkout", "org/a", "out"]);
    let after = home.json(&["du", "org/a"])["freed_if_removed"].as_u64().unwrap();
    assert!(before - after >= 2_500_000, "{before}, {after}");
    home.fails(&["du", "org/typo"], 3, "not_found");
}

#[test]
fn why_names_who_needs_a_blob_and_where_it_is_shown() {
    let home = Home::with_models();
    home.ok(["checkout", "org/b", "out"]);
    let blob = home.blob("org/a", "sub/shared.bin");
    let name = blob.file_name().unwrap().to_str().unwrap();
    let object = home.json(&["why", name]);
    assert_eq!(fields(&object), ["blob", "in_trash", "links", "needed_by", "size"]);
    assert_eq!((&object["size"], &object["links"]), (&100_000.into(), &2.into()));
    let needs = object["needed_by"].as_array().unwrap();
    assert_eq!(needs.len(), 2);
    assert_eq!(fields(&needs[0]), ["leased", "model", "paths", "revision", "views"]);
    let said = home.ok(["why", &name[..8].to_uppercase()]);
    assert!(said.contains("org/a@") && said.contains("file  sub/shared.bin"), "{said}");
    assert!(said.contains("view  ") && said.contains("/out"), "{said}");
}

#[test]
fn why_knows_no_blob_from_no_hash() {
    let home = Home::with_models();
    home.fails(&["why", "00000000000000"], 3, "not_found");
    for bad in ["abc", "weights", "sha256:12", "sha256:", ""] {
        home.fails(&["why", bad], 2, "usage");
    }
}

#[test]
fn one_failure_does_not_hide_what_was_done() {
    let home = Home::with_models();
    let blob = home.blob("org/a", "weights.bin");
    // Not even root can unlink it then.
    let immutable = |how: &str| {
        let done = std::process::Command::new("chattr").arg(how).arg(&blob).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !immutable("+i") {
        println!("SKIPPED: this file system or user has no immutable files");
        return;
    }
    let object = home.json_exit(&["rm", "org/a", "org/b", "--now"], 1);
    assert!(immutable("-i"));
    assert_eq!(object["evicted"].as_array().unwrap().len(), 2, "{object}");
    let failure = object["failures"][0].as_str().unwrap();
    assert!(failure.contains(blob.to_str().unwrap()), "{failure}");
    assert_eq!(home.json(&["ls"])["models"], json!([]));
    home.json(&["gc"]);
    assert_eq!(home.names("blobs"), [""; 0]);
    home.is_whole();
}
