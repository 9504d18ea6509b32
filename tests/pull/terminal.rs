//! What a person sees of a pull: on a terminal of its own, and when they interrupt it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::hub::{At, Entry, Fault, Kind, On, What};
use crate::support::{World, noise};

const MIB: usize = 1 << 20;

/// A terminal of 80 columns and 24 rows, and what was written to it.
struct Terminal {
    keyboard: File,
    seen: Vec<u8>,
    child: Child,
}

impl Terminal {
    /// Runs a program that has it for its controlling terminal. `None`, and a word about it, where
    /// nothing can give it one.
    fn run(program: &Command) -> Option<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_col: 80, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = OsStr::from_bytes(name.as_bytes());
        let open = || OwnedFd::from(File::options().read(true).write(true).open(path).unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.current_dir(program.get_current_dir().unwrap());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(open()).stdout(open()).stderr(open());
        let spawned = command.spawn();
        // The descriptors of the terminal in `command` would keep it open.
        drop(command);
        match spawned {
            Ok(child) => Some(Self { keyboard: master.into(), seen: Vec::new(), child }),
            Err(e) => {
                let _ = writeln!(std::io::stderr().lock(), "SKIPPED: a terminal: setsid: {e}");
                None
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads until `wanted` is content, or nobody can write any more.
    fn read_until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut bytes = [0; 4096];
        while !wanted(&self.text()) {
            match self.keyboard.read(&mut bytes) {
                Ok(n @ 1..) => self.seen.extend_from_slice(&bytes[..n]),
                _ => break,
            }
        }
        self.text()
    }

    fn end(mut self) -> (String, Option<i32>) {
        let text = self.read_until(|_| false);
        (text, self.child.wait().unwrap().code())
    }
}

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
