//! `restore`, `ls --trash`, `clear`: what is removed comes back, or goes for good.

use std::fs;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::support::{Home, fields};

fn in_trash(home: &Home) -> Vec<String> {
    names(&home.json(&["ls", "--trash"])["trash"])
}

fn names(of: &Value) -> Vec<String> {
    let all = of.as_array().unwrap().iter();
    all.map(|one| one["model"].as_str().unwrap().to_owned()).collect()
}

fn number(of: &Value, field: &str) -> u64 {
    of[field].as_u64().unwrap()
}

#[test]
fn what_was_removed_comes_back_as_it_was() {
    let home = Home::with_models();
    let weights = fs::read(home.blob("org/a", "weights.bin")).unwrap();
    let before = home.json(&["show", "org/a"]);
    home.ok(["path", "org/a"]);
    let said = home.ok(["rm", "org/a"]);
    assert!(said.contains("and 2.5 MB when it leaves the trash"), "{said}");
    assert_eq!((home.here(), in_trash(&home)), (vec!["org/b".into()], vec!["org/a".into()]));
    assert!(!home.path("store/models/org--a").exists(), "its view goes at once");
    home.fails(&["path", "org/a"], 3, "not_found");
    home.fails(&["verify", "org/a"], 3, "not_found");
    home.is_whole();
    let trashed = &home.json(&["ls", "--trash"])["trash"][0];
    let fields_of_one = ["files", "model", "refs", "revision", "size", "until"];
    assert_eq!((fields(trashed), &trashed["refs"]), (fields_of_one.to_vec(), &json!(["main"])));
    assert!(home.ok(["ls", "--trash"]).contains("  in 2"));
    let du = home.json(&["du"]);
    assert_eq!(number(&du, "trashed"), 2_500_000, "what org/b needs too is not in the trash");
    assert_eq!(number(&du, "exclusive"), 400_002);

    home.json(&["gc"]);
    let blob = blake3::hash(&weights).to_hex().to_string();
    let why = home.json(&["why", &blob]);
    assert_eq!((&why["needed_by"], &why["in_trash"][0]["model"]), (&json!([]), &json!("org/a")));
    assert!(home.ok(["why", &blob]).contains("in the trash; `tonnage restore`"));
    assert!(home.ok(["restore", "org/a"]).starts_with("restored org/a@"));
    assert_eq!((home.here().len(), in_trash(&home).len()), (2, 0));
    let after = home.json(&["show", "org/a"]);
    for field in ["revision", "refs", "files", "size", "exclusive"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    assert_eq!(fs::read(home.blob("org/a", "weights.bin")).unwrap(), weights);
    assert_eq!(home.json(&["verify", "--full"])["ok"], true);
    home.is_whole();
}

#[test]
fn a_dry_run_says_what_goes_to_the_trash_and_what_comes_back_now() {
    let home = Home::with_models();
    home.ok(["path", "org/a"]);
    for options in [&["rm", "org/a"][..], &["rm", "org/b", "--now"]] {
        let plan = home.json(&[options, &["--dry-run"]].concat());
        assert_eq!(plan, home.json(options), "{options:?}");
        let names = ["evicted", "failures", "freed_bytes", "kept", "purged", "trashed_bytes"];
        assert_eq!(fields(&plan), names);
        let trashed = number(&plan, "trashed_bytes");
        assert_eq!(trashed > 0, !options.contains(&"--now"), "{plan}");
    }
    home.is_whole();
}

#[test]
fn the_trash_goes_first_when_space_is_needed() {
    let home = Home::with_models();
    home.ok(["rm", "org/a"]);
    let most = (number(&home.json(&["du"]), "physical") - 1).to_string();
    let plan = home.json(&["evict", "--max-size", &most, "--dry-run"]);
    assert_eq!((names(&plan["purged"]), &plan["evicted"]), (vec!["org/a".into()], &json!([])));
    assert_eq!(in_trash(&home).len(), 1, "a dry run");
    let done = home.json(&["evict", "--max-size", &most]);
    for field in ["purged", "evicted", "freed_bytes", "trashed_bytes", "size_before"] {
        assert_eq!(plan[field], done[field], "{field}");
    }
    assert!(number(&done, "freed_bytes") >= 2_500_000);
    assert_eq!(in_trash(&home), [""; 0]);
    home.fails(&["restore", "org/a"], 3, "not_found");
    home.is_whole();
}

#[test]
fn what_is_evicted_for_its_age_can_be_restored_and_for_space_cannot() {
    let home = Home::with_models();
    for used in home.names("used") {
        let file = fs::File::options().write(true).open(home.path("store/used").join(used));
        file.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let old = home.json(&["evict", "--older-than", "30d"]);
    assert_eq!((names(&old["evicted"]).len(), number(&old, "trashed_bytes") > 0), (2, true));
    home.ok(["restore", "org/a", "org/b"]);
    // Restoring is a use.
    assert_eq!(home.json(&["evict", "--older-than", "30d"])["evicted"], json!([]));
    let done = home.json_exit(&["evict", "--max-size", "0"], 5);
    assert_eq!((names(&done["evicted"]).len(), number(&done, "trashed_bytes")), (2, 0));
    assert_eq!((home.here().len(), in_trash(&home).len()), (0, 0));
}

#[test]
fn what_comes_anew_is_no_longer_in_the_trash() {
    let home = Home::with_models();
    home.ok(["rm", "org/a"]);
    home.ok(["add", "a", "--name", "org/a", "--revision", "v2"]);
    assert_eq!((home.here().len(), in_trash(&home).len()), (2, 0));
    let said = home.fails(&["restore", "org/a"], 3, "not_found");
    assert!(said.contains("org/a is not in the trash"), "{said}");
    assert_eq!(home.json(&["show", "org/a@v2"])["refs"], json!(["v2"]));
    home.is_whole();
}

#[test]
fn a_ref_that_points_elsewhere_by_now_stays_there() {
    let home = Home::with_models();
    home.ok(["rm", "org/a"]);
    home.write("a/config.json", b"new");
    home.ok(["add", "a", "--name", "org/a"]);
    let new = home.json(&["show", "org/a"])["revision"].clone();
    assert!(home.ok(["restore", "org/a@main"]).ends_with("  main points elsewhere by now\n"));
    let revisions = home.json(&["ls", "org/a"]);
    assert_eq!(revisions["models"].as_array().unwrap().len(), 2);
    assert_eq!(home.json(&["show", "org/a"])["revision"], new);
    // All of a model's revisions come back, as all of them went.
    home.ok(["rm", "org/a"]);
    assert_eq!(home.json(&["restore", "org/a"])["restored"].as_array().unwrap().len(), 2);
    home.is_whole();
}

#[test]
fn a_new_index_has_what_was_in_the_trash_as_models() {
    let home = Home::with_models();
    home.ok(["rm", "org/a"]);
    fs::remove_file(home.path("store/index.redb")).unwrap();
    home.ok(["fsck", "--rebuild-index"]);
    assert_eq!((home.here().len(), in_trash(&home).len()), (2, 0));
    home.is_whole();
}

#[test]
fn clear_asks_and_without_a_terminal_says_so() {
    let home = Home::with_models();
    home.ok(["pin", "org/b"]);
    let said = home.fails(&["clear"], 2, "usage");
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(home.here().len(), 2);
    let plan = home.json(&["clear", "--dry-run"]);
    let done = home.json(&["clear", "-y"]);
    for field in ["purged", "evicted", "freed_bytes", "trashed_bytes", "kept", "size_before"] {
        assert_eq!(plan[field], done[field], "{field}");
    }
    assert_eq!(
        (names(&done["evicted"]), names(&done["kept"])),
        (vec!["org/a".into()], vec!["org/b".into()])
    );
    assert_eq!(home.here(), ["org/b"]);
    // The trash stays, but for --now.
    home.json(&["clear", "--yes"]);
    assert_eq!(in_trash(&home), ["org/a"]);
    let done = home.json(&["clear", "--yes", "--now"]);
    assert_eq!(names(&done["purged"]), ["org/a"]);
    assert!(number(&done, "freed_bytes") >= 2_500_000);
    home.ok(["unpin", "org/b"]);
    home.ok(["clear", "--yes", "--now"]);
    assert_eq!((home.here().len(), home.names("blobs").len(), home.names("used").len()), (0, 0, 0));
    assert_eq!(home.json(&["clear"])["evicted"], json!([]), "nothing to ask about");
    home.is_whole();
}

#[test]
fn names_that_are_in_no_trash_change_nothing() {
    let home = Home::with_models();
    home.ok(["rm", "org/a"]);
    home.fails(&["restore", "org/a", "org/typo"], 3, "not_found");
    home.fails(&["restore", "org/a@v9"], 3, "not_found");
    home.fails(&["restore"], 2, "usage");
    assert_eq!(in_trash(&home), ["org/a"]);
    let empty = Home::new();
    for args in [&["restore", "a"][..], &["clear", "--yes"], &["ls", "--trash"]] {
        if args[0] != "ls" {
            empty.fails(args, 3, "not_found");
        }
    }
    assert!(!empty.path("store").exists());
}
