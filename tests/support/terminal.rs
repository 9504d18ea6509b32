//! A terminal of its own for a program that is run.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A terminal of 80 columns and 24 rows, and what was written to it.
pub struct Terminal {
    pub keyboard: File,
    seen: Vec<u8>,
    child: Child,
}

impl Terminal {
    /// Runs a program that has it for its controlling terminal. `None`, and a word about it, where
    /// nothing can give it one.
    pub fn run(program: &Command) -> Option<Self> {
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
    pub fn read_until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut bytes = [0; 4096];
        while !wanted(&self.text()) {
            match self.keyboard.read(&mut bytes) {
                Ok(n @ 1..) => self.seen.extend_from_slice(&bytes[..n]),
                _ => break,
            }
        }
        self.text()
    }

    pub fn end(mut self) -> (String, Option<i32>) {
        let text = self.read_until(|_| false);
        (text, self.child.wait().unwrap().code())
    }
}
