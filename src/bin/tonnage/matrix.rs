//! `tonnage diff --matrix`: a table, and a picture.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use tonnage::dedup::{Matrix, matrix, matrix_of_files};
use tonnage::error::ErrorKind;
use tonnage::store::{Resolved, Store};

use crate::context::Context;
use crate::diff::percent;
use crate::fail::{Exit, Failure};
use crate::out::Out;
use crate::table::Table;
use crate::text::{plain, size};
use crate::watch::watch;

pub fn run(
    store: &Store,
    of: &[Resolved],
    svg: Option<&Path>,
    context: &Context,
) -> Result<Exit, Failure> {
    let found = watch(context, "comparing", |progress| match of {
        [one] => matrix_of_files(store, one, progress),
        several => matrix(store, several, progress),
    })?;
    if let Some(path) = svg {
        std::fs::write(path, picture(&found)).map_err(|e| {
            let message = format!("cannot write {}: {e}", path.display());
            Failure::new(ErrorKind::Failure, message)
        })?;
    }
    let members = found.members.iter().map(|member| {
        json!({ "name": member.name, "bytes": member.bytes, "exclusive": member.exclusive })
    });
    let object = json!({
        "members": members.collect::<Vec<_>>(),
        "equal": found.equal,
        "bytes": found.bytes,
        "unique": found.unique,
        "physical": found.physical,
    });
    context.out.result(&object, || describe(&found, &context.out));
    Ok(Exit::Done)
}

/// How much of a row's member a column's has, in whole percent. Only all is 100.
fn share(matrix: &Matrix, row: usize, column: usize) -> u64 {
    let bytes = matrix.members.get(row).map_or(0, |member| member.bytes);
    let equal = matrix.equal.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0);
    if equal >= bytes { 100 } else { (equal as f64 / bytes as f64 * 100.0) as u64 }
}

fn describe(matrix: &Matrix, out: &Out) -> String {
    let count = matrix.members.len();
    let mut titles = vec!["MEMBER".to_owned(), ">SIZE".to_owned(), ">ONLY".to_owned()];
    titles.extend((1..=count).map(|number| format!(">{number}")));
    let mut table = Table::with_titles(titles);
    for (row, member) in matrix.members.iter().enumerate() {
        let name = format!("{} {}", row + 1, plain(&member.name));
        let cells = (0..count).map(|column| {
            if row == column { "-".to_owned() } else { share(matrix, row, column).to_string() }
        });
        table.row([name, size(member.bytes), size(member.exclusive)].into_iter().chain(cells));
    }
    let mut text = table.render(out);
    let _ = writeln!(text, "{}\n", out.dim(MEANING));
    let saved = percent(matrix.bytes - matrix.unique.min(matrix.bytes), matrix.bytes);
    let less = format!("with nothing kept twice: {saved} less");
    for (what, bytes, meaning) in [
        ("apparent", matrix.bytes, "all members"),
        ("unique", matrix.unique, less.as_str()),
        ("physical", matrix.physical, "what they take on disk"),
    ] {
        let _ = writeln!(text, "{what:<9}  {:>8}  {}", size(bytes), out.dim(meaning));
    }
    text
}

/// What a cell tells.
const MEANING: &str = "percent of the row's bytes that the column has, too";

/// Points of a cell's side, of a letter's width, and around everything.
const CELL: usize = 40;
const LETTER: usize = 8;
const EDGE: usize = 16;

/// The matrix as SVG. It has no scripts, no fonts and no colours of the reader's own to fail on.
fn picture(matrix: &Matrix) -> String {
    let count = matrix.members.len();
    let names: Vec<_> = matrix.members.iter().map(|member| plain(&member.name)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = EDGE + (longest + 4) * LETTER;
    let top = EDGE + 2 * CELL;
    let about = format!(
        "{} in all, {} with nothing kept twice, {} on disk",
        size(matrix.bytes),
        size(matrix.unique),
        size(matrix.physical)
    );
    let widest = about.len().max(MEANING.len()) * LETTER + 2 * EDGE;
    let (width, height) = (widest.max(left + count * CELL + EDGE), top + count * CELL + EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"monospace\" font-size=\"13\">\n\
         <title>How much of each row's bytes each column has, in percent</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (line, text) in [about.as_str(), MEANING].into_iter().enumerate() {
        let y = EDGE + 12 + line * 18;
        let _ = writeln!(svg, "<text x=\"{EDGE}\" y=\"{y}\">{}</text>", escape(text));
    }
    for (index, name) in names.iter().enumerate() {
        let along = index * CELL + CELL / 2;
        let (x, y) = (left - LETTER, top + along + 4);
        let name = escape(name);
        let number = index + 1;
        let _ =
            writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{name} {number}</text>");
        let (x, y) = (left + along, top - LETTER);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{number}</text>");
    }
    for row in 0..count {
        for column in 0..count {
            let share = share(matrix, row, column);
            // From white to a dark blue; letters as light as the cell is dark.
            let (r, g, b) = (255 - share * 23 / 10, 255 - share * 17 / 10, 255 - share * 9 / 10);
            let ink = if share > 50 { "#fff" } else { "#222" };
            let (x, y) = (left + column * CELL, top + row * CELL);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" \
                 fill=\"rgb({r},{g},{b})\" stroke=\"#ccc\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\">{share}</text>",
                x + CELL / 2,
                y + CELL / 2 + 4
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text in XML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
