//! What holds of every command: usage, help, pipes, silence, who may write.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{Home, Ran, fields};

const COMMANDS: [&str; 24] = [
    "pull",
    "outdated",
    "names",
    "add",
    "ls",
    "show",
    "path",
    "checkout",
    "verify",
    "scrub",
    "rm",
    "restore",
    "clear",
    "evict",
    "pin",
    "unpin",
    "lease",
    "gc",
    "fsck",
    "du",
    "why",
    "config",
    "completions",
    "demo",
];

#[test]
fn every_command_has_help_with_an_example_in_eighty_columns() {
    let home = Home::new();
    for command in COMMANDS {
        let said = home.ok([command, "--help"]);
        assert!(said.contains("Example") && said.contains("tonnage "), "{said}");
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    }
    let said = home.ok(["--help"]);
    assert!(COMMANDS.iter().all(|command| said.contains(command)), "{said}");
    assert_eq!(home.ok(["--version"]), concat!("tonnage ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_arguments_are_usage_errors_for_people_and_programs() {
    let home = Home::new();
    for args in [
        &["nonsense"][..],
        &["ls", "--nonsense"],
        &["add"],
        &["show"],
        &["checkout", "org/a"],
        &["checkout", "org/a", "x", "--mode", "magic"],
        &["add", "x", "--name", "y", "--take", "steal"],
        &["why"],
        &["completions", "cobol"],
    ] {
        home.fails(args, 2, "usage");
    }
    assert_eq!(home.run([""; 0]).code, Some(2));
}

#[test]
fn without_a_home_the_store_must_be_named() {
    let home = Home::new();
    let mut command = home.command(["ls"]);
    command.env_remove("TONNAGE_HOME").env("XDG_CACHE_HOME", home.path("cache"));
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("cache/tonnage"), "{ran:?}");
}

#[test]
fn the_flag_wins_over_the_environment() {
    let home = Home::with_models();
    let said = home.fails(&["ls", "--store", "elsewhere"], 3, "not_found");
    assert!(said.contains("elsewhere"), "{said}");
    let mut command = home.command(["--store", "store", "ls"]);
    assert_eq!(Ran::of(command.env("TONNAGE_HOME", "elsewhere")).code, Some(0));
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let home = Home::with_models();
    for args in [&["ls"][..], &["ls", "--json"], &["--help"], &["demo"], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = home.command(args).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn quiet_prints_results_and_errors_only() {
    let home = Home::with_models();
    for args in [
        &["add", "a", "--name", "c", "-q"][..],
        &["checkout", "c", "out", "-q"],
        &["verify", "-q"],
        &["gc", "-q"],
        &["fsck", "-q"],
    ] {
        assert_eq!(home.ok(args), "", "{args:?}");
    }
    assert!(home.ok(["ls", "-q"]).contains("org/a"));
    assert!(home.ok(["path", "c", "-q"]).ends_with("models/c\n"));
    assert!(home.fails(&["show", "org/z", "-q"], 3, "not_found").contains("org/z"));
}

#[test]
fn nothing_is_coloured_for_a_program() {
    let home = Home::with_models();
    for args in [&["ls"][..], &["show", "org/a"], &["du"], &["demo"], &["show", "nope"]] {
        let ran = home.run(args);
        assert!(!ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'), "{ran:?}");
    }
}

#[test]
fn reading_commands_leave_the_index_alone() {
    let home = Home::with_models();
    let index = home.path("store/index.redb");
    let look = || (fs::read(&index).unwrap(), fs::metadata(&index).unwrap().mtime_nsec());
    let before = look();
    for args in [
        &["ls"][..],
        &["show", "org/a"],
        &["path", "org/a"],
        &["checkout", "org/a", "out"],
        &["du"],
        &["fsck"],
        &["gc", "--dry-run"],
        &["rm", "org/b", "--dry-run"],
    ] {
        home.ok(args);
    }
    assert!(look() == before);
}

/// A store that belongs to somebody else: another user when this is root, else without write bits.
#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let home = Home::with_models();
    let store = home.path("store");
    let root = fs::metadata(&store).unwrap().uid() == 0;
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let chmod = |mode| Command::new("chmod").args(["-R", mode]).arg(&store).status().unwrap();
    chmod("a+rX,a-w");
    let run = |args: &[&str]| {
        let mut command = home.command(args);
        if root {
            command.uid(65_534).gid(65_534);
        }
        command.output()
    };
    if run(&["--version"]).is_err() {
        return; // that user may not even start the program
    }
    for args in
        [&["ls"][..], &["show", "org/a"], &["verify"], &["verify", "--full"], &["fsck"], &["du"]]
    {
        let output = run(args).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    }
    for args in [&["add", "a", "--name", "c"][..], &["rm", "org/a"], &["gc"]] {
        let output = run(args).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("cannot be written") && said.contains("hint: "), "{said}");
    }
    chmod("u+w");
    home.is_whole();
}

#[test]
fn completions_are_scripts() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.ok(["completions", shell]).contains("checkout"), "{shell}");
    }
    let object = home.json(&["completions", "bash"]);
    assert_eq!(fields(&object), ["script", "shell"]);
}
