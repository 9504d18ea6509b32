//! This test binary as another process, and how the two talk: in lines.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

pub const ROLE: &str = "TONNAGE_TORTURE_ROLE";

/// Says a line to the process that started this one.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@{line}").unwrap();
    out.flush().unwrap();
}

/// Waits for a line from the process that started this one.
pub fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// This test binary as another process.
pub struct Peer {
    pub child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Peer {
    pub fn start(role: &str, arguments: &[&OsStr]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "role_of_another_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (index, argument) in arguments.iter().enumerate() {
            command.env(format!("{ROLE}_{index}"), argument);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line it says; `None` when it is gone.
    pub fn line(&mut self) -> Option<String> {
        loop {
            // A killed process may leave half a line that is not text.
            let line = self.lines.next()?.ok()?;
            if let Some(said) = line.strip_prefix('@') {
                return Some(said.to_owned());
            }
        }
    }

    pub fn expect(&mut self, wanted: &str) {
        assert_eq!(self.line().as_deref(), Some(wanted));
    }

    pub fn tell(&mut self, line: &str) {
        let to = self.child.stdin.as_mut().unwrap();
        writeln!(to, "{line}").unwrap();
        to.flush().unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it end by itself.
    pub fn finish(mut self) {
        while self.line().is_some() {}
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {told}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn argument(index: usize) -> PathBuf {
    std::env::var_os(format!("{ROLE}_{index}")).unwrap().into()
}

pub fn number(index: usize) -> u64 {
    argument(index).to_str().unwrap().parse().unwrap()
}
