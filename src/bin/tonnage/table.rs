//! Plain aligned columns.

use unicode_width::UnicodeWidthStr;

use crate::out::Out;
use crate::text::plain;

/// Between two columns.
const GAP: &str = "  ";
/// The first column does not get narrower than this.
const NARROWEST: usize = 8;

/// Columns with titles. A title that begins with `>` is of a column aligned to the right.
pub struct Table {
    titles: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(titles: &[&str]) -> Self {
        Self::with_titles(titles.iter().map(|title| (*title).to_owned()).collect())
    }

    pub fn with_titles(titles: Vec<String>) -> Self {
        Self { titles, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines. On a terminal too narrow for it, a first cell that does not fit gets a
    /// line of its own: names are never cut. For a program, a row is always one line.
    pub fn render(&self, out: &Out) -> String {
        let right: Vec<_> = self.titles.iter().map(|title| title.starts_with('>')).collect();
        let titles: Vec<_> =
            self.titles.iter().map(|title| title.trim_start_matches('>')).collect();
        let mut widths: Vec<_> = titles.iter().map(|title| width_of(title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(width_of(cell));
            }
        }
        if let (Some(room), [first, others @ ..]) = (out.width, widths.as_mut_slice()) {
            let taken: usize = others.iter().map(|width| width + GAP.len()).sum();
            *first = (*first).min(room.saturating_sub(taken).max(NARROWEST));
        }
        let mut text = String::new();
        let mut header = String::new();
        line(&mut header, titles.iter().copied(), &widths, &right);
        text.push_str(&out.dim(header.trim_end()));
        text.push('\n');
        for row in &self.rows {
            line(&mut text, row.iter().map(String::as_str), &widths, &right);
        }
        text
    }
}

fn line<'c>(
    text: &mut String,
    cells: impl Iterator<Item = &'c str>,
    widths: &[usize],
    right: &[bool],
) {
    for (index, ((cell, width), right)) in cells.zip(widths).zip(right).enumerate() {
        let cell = plain(cell);
        if index > 0 {
            text.push_str(GAP);
        }
        let wide = width_of(&cell);
        let missing = width.saturating_sub(wide);
        if index == 0 && wide > *width {
            text.push_str(&cell);
            text.push('\n');
            pad(text, *width);
            continue;
        }
        if *right {
            pad(text, missing);
        }
        text.push_str(&cell);
        if !*right {
            pad(text, missing);
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn pad(text: &mut String, spaces: usize) {
    const SPACES: &str = "                                                                ";
    match SPACES.get(..spaces) {
        Some(spaces) => text.push_str(spaces),
        None => text.extend(std::iter::repeat_n(' ', spaces)),
    }
}

/// Nearly all cells are ASCII, and a listing has thousands.
fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}
