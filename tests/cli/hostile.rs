//! Sources that nobody should meet, and somebody does.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::{Home, noise};

/// Adding `a` fails with this in its message, and leaves nothing in the store.
fn refused(home: &Home, what: &str) {
    let said = home.fails(&["add", "a", "--name", "a"], 1, "failure");
    assert!(said.contains(what), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert!(!said.trim_end().chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    assert_eq!(said.lines().count(), 2, "{said:?}");
    assert_eq!(home.names("blobs"), [""; 0]);
    assert_eq!(home.names("staging"), [""; 0]);
}

#[test]
fn a_name_with_a_newline_is_refused_and_shown_escaped() {
    let home = Home::new();
    home.write("a/two\nlines", b"x");
    refused(&home, "two\\nlines");
}

#[test]
fn a_name_that_is_not_utf8_is_refused() {
    let home = Home::new();
    fs::create_dir(home.path("a")).unwrap();
    fs::write(home.path("a").join(OsStr::from_bytes(b"\xff\xfe")), b"x").unwrap();
    refused(&home, "not UTF-8");
}

#[test]
fn a_directory_that_is_called_so_that_a_terminal_would_obey_is_shown_escaped() {
    let home = Home::new();
    fs::create_dir(home.path("\x1b[2J")).unwrap();
    let ran = home.run(["add", "\x1b[2J", "--name", "a"]);
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
}

#[test]
fn names_that_are_none_are_usage_errors() {
    let home = Home::new();
    home.write("a/x", b"x");
    let long = "n".repeat(300);
    for name in ["..", "../x", "a/b/c", "", "a\nb", "a b", &long] {
        home.fails(&["add", "a", "--name", name], 2, "usage");
        home.fails(&["show", name], 2, "usage");
    }
    home.fails(&["add", "a", "--name", "a", "--revision", "../x"], 2, "usage");
    assert!(!home.path("store").exists());
}

#[test]
fn a_socket_and_a_fifo_are_refused() {
    let home = Home::new();
    fs::create_dir(home.path("a")).unwrap();
    let socket = UnixListener::bind(home.path("a/socket")).unwrap();
    refused(&home, "neither a file nor a directory");
    drop(socket);
    fs::remove_file(home.path("a/socket")).unwrap();
    assert!(Command::new("mkfifo").arg(home.path("a/fifo")).status().unwrap().success());
    refused(&home, "neither a file nor a directory");
}

#[test]
fn a_link_that_leaves_the_directory_is_followed_only_on_demand() {
    let home = Home::new();
    home.write("elsewhere/secret", b"secret");
    home.write("a/x", b"x");
    symlink("../elsewhere/secret", home.path("a/link")).unwrap();
    refused(&home, "leaves the directory");
    home.ok(["add", "a", "--name", "a", "--follow-links"]);
    assert_eq!(fs::read(home.blob("a", "link")).unwrap(), b"secret");
}

#[test]
fn a_link_that_stays_in_the_directory_is_followed() {
    let home = Home::new();
    home.write("a/x", b"x");
    symlink("x", home.path("a/link")).unwrap();
    assert_eq!(home.json(&["add", "a", "--name", "a"])["files"], 2);
}

#[test]
fn a_link_that_loops_or_dangles_is_refused() {
    let home = Home::new();
    home.write("a/x", b"x");
    symlink(".", home.path("a/loop")).unwrap();
    refused(&home, "loops");
    fs::remove_file(home.path("a/loop")).unwrap();
    symlink("me", home.path("a/me")).unwrap();
    refused(&home, "loops");
    fs::remove_file(home.path("a/me")).unwrap();
    symlink("nothing", home.path("a/dangling")).unwrap();
    refused(&home, "symbolic link to nothing");
}

#[test]
fn a_link_to_nothing_as_the_source_is_not_found() {
    let home = Home::new();
    symlink("nothing", home.path("a")).unwrap();
    home.fails(&["add", "a", "--name", "a"], 3, "not_found");
}

#[test]
fn an_empty_directory_is_no_model() {
    let home = Home::new();
    fs::create_dir_all(home.path("a/sub")).unwrap();
    refused(&home, "has no files");
}

#[test]
fn empty_files_are_files() {
    let home = Home::new();
    home.write("a/one", b"");
    home.write("a/two", b"");
    let added = home.json(&["add", "a", "--name", "a"]);
    assert_eq!((&added["files"], &added["bytes"]), (&2.into(), &0.into()));
    home.ok(["checkout", "a", "out"]);
    assert_eq!(fs::read(home.path("out/two")).unwrap(), b"");
    assert_eq!(home.json(&["verify", "--full"])["ok"], true);
    home.is_whole();
}

#[test]
fn an_unreadable_file_fails_the_whole_add() {
    let home = Home::new();
    home.write("a/x", &noise(1, 70_000));
    home.write("a/y", b"y");
    fs::set_permissions(home.path("a/x"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(home.path("a/x")).is_ok() {
        return; // root reads everything
    }
    let said = home.fails(&["add", "a", "--name", "a"], 1, "failure");
    assert!(said.contains("a/x"), "{said}");
    assert_eq!(home.names("blobs"), [""; 0]);
}
