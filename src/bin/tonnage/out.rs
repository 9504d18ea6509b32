//! The one place that writes to stdout and stderr.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::fail::{Exit, Failure};
use crate::text::plain;

/// The width that is kept to where nobody says another.
const WIDTH: usize = 80;

/// Whom we talk to and how.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    pub json: bool,
    pub quiet: bool,
    /// The terminal's width, when stdout is one.
    pub width: Option<usize>,
    colour: bool,
    colour_errors: bool,
    /// Whether stderr is a terminal on which the cursor can be moved.
    moves: bool,
}

impl Out {
    pub fn new(json: bool, quiet: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let plain = set("NO_COLOR") || dumb;
        let (terminal, errors) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let width = terminal.then(|| {
            rustix::termios::tcgetwinsize(io::stdout())
                .map(|size| usize::from(size.ws_col))
                .ok()
                .filter(|&columns| columns > 0)
                .unwrap_or(WIDTH)
        });
        Self {
            json,
            quiet,
            width,
            colour: terminal && !plain,
            colour_errors: errors && !plain,
            moves: errors && !dumb,
        }
    }

    /// Whether somebody sees lines on stderr that replace each other.
    pub fn draws(&self) -> bool {
        self.moves && !self.quiet && !self.json
    }

    /// For a program that reads.
    pub fn json() -> Self {
        Self::new(true, true)
    }

    /// Prints what the command was run for: the object for a program, the text for a person.
    pub fn result(&self, object: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            self.object(object);
        } else {
            write_all(io::stdout(), text().as_bytes());
        }
    }

    /// Prints what came of it; a person who wants quiet does not see it.
    pub fn summary(&self, object: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json || !self.quiet {
            self.result(object, text);
        }
    }

    /// Text for a person as the work goes on.
    pub fn say(&self, text: &str) {
        if !self.json && !self.quiet {
            write_all(io::stdout(), text.as_bytes());
        }
    }

    /// An object that tells of work under way, for a program that asked for such.
    pub fn event(&self, object: &impl Serialize) {
        self.object(object);
    }

    /// How far work is, as a line of a log.
    pub fn log(&self, text: &str) {
        write_all(io::stderr(), format!("{text}\n").as_bytes());
    }

    /// A word on stderr about something that is no error.
    pub fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            let label = paint(self.colour_errors, "1;33", "note:");
            write_all(io::stderr(), format!("{label} {}\n", plain(text)).as_bytes());
        }
    }

    pub fn hint(&self, text: &str) {
        if !self.json {
            let label = paint(self.colour_errors, "1;36", "hint:");
            write_all(io::stderr(), format!("{label} {}\n", plain(text)).as_bytes());
        }
    }

    /// Bytes as they are: completion scripts.
    pub fn bytes(&self, bytes: &[u8]) {
        write_all(io::stdout(), bytes);
    }

    /// Says why the command failed, if it did, and how the process ends.
    pub fn end(&self, done: Result<Exit, Failure>) -> Exit {
        let failure = match done {
            Ok(exit) => return exit,
            Err(failure) => failure,
        };
        if self.json {
            self.object(&failure.to_json());
        } else {
            let label = paint(self.colour_errors, "1;31", "error:");
            let mut text = format!("{label} {}\n", plain(&failure.message));
            for line in failure.details() {
                let _ = writeln!(text, "{}", plain(&line));
            }
            write_all(io::stderr(), text.as_bytes());
            if let Some(hint) = &failure.hint {
                self.hint(hint);
            }
        }
        Exit::Failed(failure.kind)
    }

    pub fn bold(&self, text: &str) -> String {
        paint(self.colour, "1", text)
    }

    pub fn dim(&self, text: &str) -> String {
        paint(self.colour, "2", text)
    }

    pub fn red(&self, text: &str) -> String {
        paint(self.colour, "31", text)
    }

    fn object(&self, object: &impl Serialize) {
        // Serializing our own structs cannot fail: their keys are strings.
        let mut text = serde_json::to_vec(object).unwrap_or_default();
        text.push(b'\n');
        write_all(io::stdout(), &text);
    }
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Writes all at once. A reader who has gone, as in `tonnage ls | head -1`, has seen enough: that
/// is no error, and the command still ends as it would have.
fn write_all(mut to: impl Write, bytes: &[u8]) {
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}
