//! Ctrl-C and kill while a large file is being added.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Home;

/// Long enough to be caught at, and without blocks of its own.
const LARGE: u64 = 4 << 30;

/// An `add` of a large file that has begun to write.
fn adding(home: &Home, flags: &[&str]) -> Child {
    fs::create_dir_all(home.path("large")).unwrap();
    File::create(home.path("large/zeros")).unwrap().set_len(LARGE).unwrap();
    let args = ["add", "large", "--name", "large", "--take", "copy"];
    let mut child = home
        .command(args.iter().chain(flags))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let staged = home.names("staging");
        let part =
            |dir: &String| home.names(&format!("staging/{dir}")).iter().any(|n| n == "0.part");
        if staged.iter().any(part) {
            return child;
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "it never staged: {ended:?}");
        std::thread::yield_now();
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[test]
fn an_interrupted_add_leaves_nothing() {
    let home = Home::with_models();
    let before = home.names("blobs");
    for name in ["-INT", "-TERM"] {
        let child = adding(&home, &[]);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{name}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "error: cancelled\n");
        assert_eq!(home.names("staging"), [""; 0]);
        assert_eq!(home.names("blobs"), before);
        home.is_whole();
    }
    home.fails(&["show", "large"], 3, "not_found");
}

#[test]
fn an_interrupted_add_tells_a_program_that_it_was_cancelled() {
    let home = Home::new();
    let child = adding(&home, &["--json"]);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["error"]["kind"], "cancelled");
}

#[test]
fn a_killed_add_is_swept_by_the_next_command() {
    let home = Home::with_models();
    let before = home.names("blobs");
    let child = adding(&home, &[]);
    signal(&child, "-KILL");
    assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(9));
    assert_eq!(home.json(&["fsck"])["dead_imports"], 1);
    assert!(home.ok(["fsck"]).contains("left for `tonnage gc`: 1 unfinished import"));
    home.ok(["gc"]);
    assert_eq!(home.names("staging"), [""; 0]);
    assert_eq!(home.names("blobs"), before);
    assert_eq!(home.json(&["fsck"])["dead_imports"], 0);
    home.is_whole();
}
