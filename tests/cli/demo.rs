//! The demonstration: what it shows is so, and nothing of it stays.

use std::fs;
use std::io::Write;
use std::process::Command;

use serde_json::Value;

use crate::screen::Terminal;
use crate::support::{Home, Ran, fields};

/// The demonstration, with a place of its own for temporary directories.
fn demo(home: &Home, args: &[&str]) -> Command {
    let _ = fs::create_dir(home.path("tmp"));
    let mut command = home.command(["demo"].iter().chain(args));
    command.env("TMPDIR", home.path("tmp"));
    // What would lead it elsewhere, or nowhere.
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("HF_HUB_OFFLINE", "1");
    command.env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9");
    command
}

fn left(home: &Home) -> usize {
    fs::read_dir(home.path("tmp")).unwrap().count()
}

#[test]
fn the_demonstration_keeps_its_promises() {
    let home = Home::new();
    let ran = Ran::of(&mut demo(&home, &[]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let said = ran.stdout;
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert!(said.lines().count() < 90, "two screens are enough: {said}");
    assert!(said.contains("MiB 1") && said.contains("in all"), "{said}");
    for shown in ["tiny-llama-Q4_K_M.gguf  1.1 MB", "1.1 MB of 1.1 MB to fetch", "2 files there"] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    assert_eq!(left(&home), 0);
    assert!(!home.path("store").exists(), "it has a store of its own");
}

#[test]
fn the_demonstration_is_one_object_for_a_program() {
    let home = Home::new();
    let ran = Ran::of(&mut demo(&home, &["--json"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let object = ran.json();
    let all = [
        "added_bytes",
        "apparent",
        "arrived",
        "checkouts",
        "damage",
        "exclusive",
        "kept",
        "new_bytes",
        "physical",
        "plan",
        "pull",
        "removed",
        "shared",
        "steps",
    ];
    assert_eq!(fields(&object), all);
    assert_eq!(object["kept"], Value::Null);
    assert_eq!(object["damage"]["ok"], false);
    assert_eq!(object["checkouts"][0]["linked"], 1);
    assert!(object["steps"].as_array().unwrap().len() > 12);
    // One that another needs frees little, one that shares nothing all that it has.
    let freed = |at: usize| object["removed"][at]["freed_bytes"].as_u64().unwrap();
    assert!(freed(0) < 100_000 && freed(1) > 1_200_000, "{}", object["removed"]);
    let (plan, pulled, arrived) = (&object["plan"], &object["pull"], &object["arrived"]);
    let files = plan["files"].as_array().unwrap();
    let names: Vec<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["config.json", "tiny-llama-Q4_K_M.gguf"]);
    assert!(files.iter().all(|file| file["state"] == "missing"), "{plan}");
    assert_eq!(pulled["revision"].as_str().map(str::len), Some(40), "a hub's commit: {pulled}");
    assert_eq!(pulled["fetched_bytes"], plan["new_bytes"]);
    assert_eq!((&arrived["ok"], &arrived["checked_files"]), (&true.into(), &2.into()));
    assert_eq!(arrived["hashed_bytes"], plan["total_bytes"]);
}

#[test]
fn the_demonstration_can_be_kept() {
    let home = Home::new();
    let object = Ran::of(&mut demo(&home, &["--keep", "--json"])).json();
    let kept = object["kept"].as_str().unwrap();
    for (store, models) in [("store", 5), ("second", 1)] {
        let store = format!("{kept}/{store}");
        let listed = home.json(&["--store", &store, "ls"]);
        assert_eq!(listed["models"].as_array().unwrap().len(), models);
        assert_eq!(home.json(&["--store", &store, "verify", "--full"])["ok"], true);
        assert_eq!(home.json(&["--store", &store, "fsck"])["ok"], true);
    }
}

#[test]
fn a_person_sees_its_pull_and_can_interrupt_it() {
    let home = Home::new();
    let mut command = demo(&home, &[]);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    let Some(mut terminal) = Terminal::run(&command) else { return };
    let bar = |text: &str| {
        text.split("\x1b[J").any(|frame| {
            ["tiny-llama-Q4_K_M.gguf ", "[==", " of 1.1 MB", " left, 1 of 2 files"]
                .iter()
                .all(|shown| frame.contains(shown))
        })
    };
    let text = terminal.read_until(bar);
    assert!(bar(&text), "{text:?}");
    terminal.keyboard.write_all(b"\x03").unwrap();
    let (text, code) = terminal.end();
    assert_eq!(code, Some(130), "{text:?}");
    assert!(text.ends_with("\x1b[Jerror: cancelled\r\n"), "{text:?}");
    assert_eq!(left(&home), 0);
}
