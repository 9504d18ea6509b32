//! `lease`: a program that holds what it uses.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use crate::support::Home;

/// A program that leases `org/a`, says so, waits for a line and ends with 7.
fn holder(home: &Home, script: &str) -> (Child, String) {
    let mut child = home
        .command(["lease", "org/a", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

#[test]
fn a_model_stays_as_long_as_the_program_runs() {
    let home = Home::with_models();
    let (mut child, said) = holder(&home, "echo \"$TONNAGE_MODEL_PATH\"; read line; exit 7");
    assert!(std::path::Path::new(said.trim()).join("weights.bin").is_file(), "{said}");
    let kept = home.json_exit(&["rm", "org/a", "--now"], 1);
    assert_eq!(kept["kept"][0]["why"], "a running process uses it");
    home.json_exit(&["evict", "--max-size", "0"], 5);
    assert_eq!(home.json(&["ls"])["models"].as_array().unwrap().len(), 1, "only org/b went");
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    home.ok(["rm", "org/a"]);
    home.is_whole();
}

#[test]
fn a_program_that_is_killed_holds_nothing_and_one_it_started_does() {
    let home = Home::with_models();
    let (mut child, _) = holder(&home, "echo; read line");
    child.kill().unwrap();
    child.wait().unwrap();
    home.ok(["rm", "org/a", "--dry-run"]);
    // The shell is killed, and what it started waits for the end of its input.
    let (mut child, _) = holder(&home, "exec 3<&0; (echo; cat <&3 >/dev/null) & wait");
    child.kill().unwrap();
    let stdin = child.stdin.take();
    child.wait().unwrap();
    home.json_exit(&["rm", "org/a", "--dry-run"], 1);
    drop(stdin);
    // It ends on its own; how soon is not ours to say.
    while home.run(["rm", "org/a"]).code != Some(0) {
        std::thread::yield_now();
    }
}

#[test]
fn the_place_of_its_files_is_filled_into_the_arguments() {
    let home = Home::with_models();
    let path = home.ok(["path", "org/a"]);
    let path = path.trim();
    let said = home.ok(["lease", "org/a", "--", "printf", "%s|", "{}", "{}/x{}", "--json", "{"]);
    assert_eq!(said, format!("{path}|{path}/x{path}|--json|{{|"));
}

#[test]
fn a_program_that_cannot_be_run_is_told_as_shells_do() {
    let home = Home::with_models();
    for (program, code) in [("no-such-program", 127), ("./a", 126), ("./a/config.json", 126)] {
        let ran = home.run(["lease", "org/a", "--", program]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: cannot run {program}")), "{ran:?}");
    }
    assert_eq!(home.run(["lease", "org/typo", "--", "true"]).code, Some(3));
    home.fails(&["lease", "org/a"], 2, "usage");
    home.fails(&["lease", "org/a", "true"], 2, "usage");
}
