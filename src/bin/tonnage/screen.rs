//! Lines at the bottom of a terminal that replace each other.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use unicode_width::UnicodeWidthStr;

use crate::text::cut;

/// What the terminal itself writes behind the cursor when somebody interrupts: `^C`. A line must
/// not wrap for it, because what wrapped is not found again.
const ECHO: usize = 4;

/// How large a terminal is that does not say.
const USUAL: (usize, usize) = (80, 24);

/// Where progress is shown. The cursor stays behind the last line.
#[derive(Debug, Default)]
pub struct Screen {
    /// The widths of the lines that are there.
    drawn: Vec<usize>,
}

impl Screen {
    /// How long lines may be, and how many.
    pub fn room() -> (usize, usize) {
        let (columns, rows) = size();
        (columns.saturating_sub(ECHO), rows.saturating_sub(1).max(1))
    }

    /// Shows `lines` in the place of those before; without any, nothing is left.
    pub fn show(&mut self, lines: &[String]) {
        if !lines.is_empty() || !self.drawn.is_empty() {
            let text = self.replace(lines, size().0);
            let mut terminal = io::stderr().lock();
            let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
        }
    }

    /// What a terminal of so many columns is told. It is one piece, and overwrites before it clears,
    /// so that nothing flickers.
    fn replace(&mut self, lines: &[String], columns: usize) -> String {
        // A terminal that became narrower has broken the lines that were too long for it.
        let rows = self.drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1));
        let mut text = "\r".to_owned();
        match rows.sum::<usize>() {
            0 | 1 => {}
            rows => {
                let _ = write!(text, "\x1b[{}A", rows - 1);
            }
        }
        self.drawn.clear();
        for (index, line) in lines.iter().enumerate() {
            let line = cut(line, columns.saturating_sub(ECHO));
            let end = if index == 0 { "" } else { "\r\n" };
            let _ = write!(text, "{end}{line}\x1b[K");
            self.drawn.push(line.width());
        }
        text.push_str("\x1b[J");
        text
    }
}

/// Columns and rows.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    size.ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of a terminal as is needed to see what is left on it.
    struct Terminal {
        columns: usize,
        rows: Vec<String>,
        at: (usize, usize),
    }

    impl Terminal {
        fn new(columns: usize, before: &[&str]) -> Self {
            let mut rows: Vec<_> = before.iter().map(|row| (*row).to_owned()).collect();
            rows.push(String::new());
            Self { columns, at: (rows.len() - 1, 0), rows }
        }

        fn write(&mut self, text: &str) {
            let mut text = text.chars().peekable();
            while let Some(c) = text.next() {
                match c {
                    '\r' => self.at.1 = 0,
                    '\n' => self.down(),
                    '\x1b' => {
                        assert_eq!(text.next(), Some('['));
                        let mut number = String::new();
                        while let Some(digit) = text.next_if(char::is_ascii_digit) {
                            number.push(digit);
                        }
                        match text.next() {
                            Some('A') => self.at.0 -= number.parse::<usize>().unwrap(),
                            Some('K') => self.rows[self.at.0].truncate(self.at.1),
                            Some('J') => {
                                self.rows[self.at.0].truncate(self.at.1);
                                self.rows.truncate(self.at.0 + 1);
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                    c => {
                        if self.at.1 == self.columns {
                            self.down();
                            self.at.1 = 0;
                        }
                        let (row, column) = self.at;
                        if column < self.rows[row].len() {
                            self.rows[row].replace_range(column..=column, &c.to_string());
                        } else {
                            self.rows[row].push(c);
                        }
                        self.at.1 += 1;
                    }
                }
            }
        }

        fn down(&mut self) {
            self.at.0 += 1;
            if self.at.0 == self.rows.len() {
                self.rows.push(String::new());
            }
        }

        /// As terminals do that keep what they show.
        fn narrow(&mut self, columns: usize) {
            self.columns = columns;
            let rows = std::mem::take(&mut self.rows);
            for row in rows {
                let pieces = row.as_bytes().chunks(columns);
                self.rows.extend(pieces.map(|piece| String::from_utf8(piece.to_vec()).unwrap()));
                if row.is_empty() {
                    self.rows.push(row);
                }
            }
            self.at = (self.rows.len() - 1, self.rows.last().unwrap().len());
        }
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lines_replace_those_before_and_leave_what_is_above() {
        let mut terminal = Terminal::new(20, &["$ tonnage"]);
        let mut screen = Screen::default();
        terminal.write(&screen.replace(&lines(&["one is long", "two", "total"]), 20));
        assert_eq!(terminal.rows, ["$ tonnage", "one is long", "two", "total"]);
        terminal.write(&screen.replace(&lines(&["two", "total"]), 20));
        assert_eq!(terminal.rows, ["$ tonnage", "two", "total"]);
        terminal.write(&screen.replace(&lines(&["two", "three", "four", "total"]), 20));
        assert_eq!(terminal.rows, ["$ tonnage", "two", "three", "four", "total"]);
        terminal.write(&screen.replace(&[], 20));
        assert_eq!(terminal.rows, ["$ tonnage", ""]);
    }

    #[test]
    fn an_interruption_leaves_nothing_of_what_was_shown() {
        for text in ["total", "a total that is as long as the terminal is wide, and more"] {
            let mut terminal = Terminal::new(20, &["$ tonnage"]);
            let mut screen = Screen::default();
            terminal.write(&screen.replace(&lines(&["file", text]), 20));
            terminal.write("^C");
            terminal.write(&screen.replace(&lines(&["file", text]), 20));
            terminal.write("^C");
            terminal.write(&screen.replace(&[], 20));
            terminal.write("error: cancelled\r\n");
            assert_eq!(terminal.rows, ["$ tonnage", "error: cancelled", ""]);
        }
    }

    #[test]
    fn a_terminal_that_becomes_narrower_or_wider_keeps_nothing_either() {
        let mut terminal = Terminal::new(40, &["$ tonnage"]);
        let mut screen = Screen::default();
        let shown = lines(&["a line of more than twenty columns", "and another one of those"]);
        terminal.write(&screen.replace(&shown, 40));
        terminal.narrow(15);
        terminal.write(&screen.replace(&shown, 15));
        assert_eq!(terminal.rows, ["$ tonnage", "a line of m", "and another"]);
        terminal.columns = 40;
        terminal.write(&screen.replace(&shown, 40));
        terminal.write(&screen.replace(&[], 40));
        assert_eq!(terminal.rows, ["$ tonnage", ""]);
    }
}
