//! What a person sees of a pull: on a terminal of its own, and when they interrupt it.

use std::io::Write;

use crate::hub::{At, Entry, Fault, Kind, On, What};
use crate::screen::Terminal;
use crate::support::{World, noise};

const MIB: usize = 1 << 20;

/// A repository whose two large files both hang before their end.
fn hanging() -> World {
    let world = World::new(10);
    world.hub.repo(Kind::Model, "org/two").commit(&[
        Entry::lfs("a/first-and-with-a-long-name-00001-of-00002.bin", noise(1, 3 * MIB)),
        Entry::lfs("second.bin", noise(2, 3 * MIB)),
    ]);
    let stall = What::Stall(At::File(2 * MIB as u64 + 5));
    world.hub.fault(Fault::new(On::Cdn, stall).forever());
    world
}

#[test]
fn each_file_has_a_line_and_an_interruption_leaves_a_clean_terminal() {
    let world = hanging();
    let mut command = world.command(&["pull", "org/two", "--jobs", "2"]);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    let Some(mut terminal) = Terminal::run(&command) else { return };
    let both = |text: &str| {
        // One frame, from a return to the first column to what clears behind it.
        text.split("\x1b[J").any(|frame| {
            ["a/first", "...", "00002.bin ", "second.bin ", "66%, 4.2 MB of 6.3 MB"]
                .iter()
                .all(|t| frame.contains(t))
        })
    };
    let text = terminal.read_until(both);
    assert!(both(&text), "{text:?}");
    assert!(!text.contains("\x1b[0m"), "{text:?}");
    terminal.keyboard.write_all(b"\x03").unwrap();
    let (text, code) = terminal.end();
    assert_eq!(code, Some(130), "{text:?}");
    // Two lines for files and one for all: the cursor goes up to the first, and all is cleared.
    assert!(text.ends_with("\r\x1b[2A\x1b[Jerror: cancelled\r\n"), "{text:?}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let world = World::new(1_000_000);
    let mut command = world.command(&["pull", crate::support::MODEL, "--limit-rate", "900kB"]);
    command.env("TERM", "dumb");
    let Some(terminal) = Terminal::run(&command) else { return };
    let (text, code) = terminal.end();
    assert_eq!(code, Some(0), "{text:?}");
    assert!(text.contains("fetched") && !text.contains('\x1b'), "{text:?}");
}
