//! How far a pull is, in lines: one for each file under way, and below them one for all.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::text::{duration, meter, plain, shorten, size};

/// No more files than this are shown.
pub const MOST: usize = 8;

/// A terminal narrower than this shows no meter for each file.
const METERS: usize = 60;
/// Characters of a file's meter, and the most of that for all.
const METER: usize = 16;
const LONGEST: usize = 24;
/// The meter for all is left out before it gets shorter.
const SHORTEST: usize = 6;
/// `99.9 MB of 99.9 GB`
const FIGURES: usize = 18;

/// A file, its name as the hub gives it.
pub struct Row<'n> {
    pub name: &'n str,
    pub bytes: u64,
    pub size: u64,
}

/// All files.
pub struct Total {
    /// Something to say first, with a space behind it.
    pub what: &'static str,
    pub bytes: u64,
    pub size: u64,
    pub files: u64,
    pub all_files: u64,
    /// Bytes a second.
    pub speed: f64,
}

/// The lines for a terminal of so many columns and rows. Files of which bytes come are preferred to
/// those that wait for the end of their digest.
pub fn lines(total: &Total, files: &[Row<'_>], most: usize, room: (usize, usize)) -> Vec<String> {
    let (columns, rows) = room;
    let most = most.min(MOST).min(rows.saturating_sub(1));
    let comes = |row: &&Row<'_>| row.bytes < row.size;
    let mut shown: Vec<_> = files.iter().enumerate().filter(|(_, row)| comes(row)).collect();
    shown.extend(files.iter().enumerate().filter(|(_, row)| !comes(row)));
    shown.truncate(most);
    shown.sort_unstable_by_key(|(index, _)| *index);
    let mut lines: Vec<_> = shown.into_iter().map(|(_, row)| file(row, columns)).collect();
    lines.push(all(total, columns));
    lines
}

/// `model-0000...safetensors  [====    ]   1.2 GB of 4.9 GB`
fn file(row: &Row<'_>, columns: usize) -> String {
    let figures = format!("{} of {}", size(row.bytes.min(row.size)), size(row.size));
    let mut end = format!("  {figures:>FIGURES$}");
    if columns >= METERS {
        end = format!("  {}{end}", meter((row.bytes, row.size), METER));
    }
    let wide = columns.saturating_sub(end.len());
    let name = plain(row.name);
    let name = shorten(&name, wide);
    format!("{name}{}{end}", " ".repeat(wide.saturating_sub(name.width())))
}

/// `[====    ] 52%, 1.2 GB of 2.4 GB, 600 MB/s, 2.0 s left, 3 of 20 files`
fn all(total: &Total, columns: usize) -> String {
    let text = figures(total, columns);
    // In steps, so that the meter does not change its length with each digit.
    let taken = text.len().next_multiple_of(8);
    match columns.saturating_sub(taken + 3).min(LONGEST) {
        room @ SHORTEST.. => format!("{} {text}", meter((total.bytes, total.size), room)),
        _ => text,
    }
}

/// `52%, 1.2 GB of 2.4 GB, 600 MB/s, 2.0 s left, 3 of 20 files`, or what fits of it.
pub fn figures(total: &Total, columns: usize) -> String {
    let bytes = total.bytes.min(total.size);
    let percent = (u128::from(bytes) * 100).checked_div(u128::from(total.size)).unwrap_or(0);
    let mut text = format!("{}{percent}%", total.what);
    let left = (bytes < total.size && total.speed >= 1.0).then(|| {
        let seconds = (total.size - bytes) as f64 / total.speed;
        format!("{} left", duration(Duration::from_secs_f64(seconds.min(1e6))))
    });
    let files =
        (total.all_files > 1).then(|| format!("{} of {} files", total.files, total.all_files));
    let figures = [
        Some(format!("{} of {}", size(bytes), size(total.size))),
        Some(format!("{}/s", size(total.speed as u64))),
        left,
        files,
    ];
    for figure in figures.into_iter().flatten() {
        if text.len() + 2 + figure.len() <= columns {
            text = format!("{text}, {figure}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total() -> Total {
        let (bytes, size) = (6_200_000_000, 9_800_000_000);
        Total { what: "", bytes, size, files: 3, all_files: 20, speed: 6e8 }
    }

    fn rows<'n>(names: &[&'n str]) -> Vec<Row<'n>> {
        let row = |name: &&'n str| Row { name, bytes: 1_200_000_000, size: 4_900_000_000 };
        names.iter().map(row).collect()
    }

    #[test]
    fn each_file_has_a_line_and_the_last_one_is_for_all() {
        let files = rows(&["config.json", "model-00001-of-00004-with-a-long-name.safetensors"]);
        assert_eq!(
            lines(&total(), &files, 8, (76, 23)),
            [
                "config.json                           [===             ]    1.2 GB of 4.9 GB",
                "model-00001-of-0...-name.safetensors  [===             ]    1.2 GB of 4.9 GB",
                "[=====    ] 63%, 6.2 GB of 9.8 GB, 600 MB/s, 6.0 s left, 3 of 20 files",
            ]
        );
        assert_eq!(
            lines(&total(), &files, 8, (36, 9)),
            [
                "config.json         1.2 GB of 4.9 GB",
                "model-...tensors    1.2 GB of 4.9 GB",
                "63%, 6.2 GB of 9.8 GB, 600 MB/s",
            ]
        );
    }

    #[test]
    fn no_line_is_longer_and_there_are_no_more_than_fit() {
        let names: Vec<_> = (0..40).map(|n| format!("型{n}/\u{e9}/model.safetensors")).collect();
        let files = rows(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for columns in 24..200 {
            for rows in 1..30 {
                let lines = lines(&total(), &files, 64, (columns, rows));
                assert_eq!(lines.len(), rows.min(MOST + 1));
                assert!(lines.iter().all(|line| line.width() <= columns), "{lines:?}");
            }
        }
        assert_eq!(lines(&total(), &files, 2, (76, 23)).len(), 3, "no more than connections");
    }

    #[test]
    fn files_of_which_bytes_come_are_preferred_and_stay_in_their_order() {
        let mut files = rows(&["a", "b", "c", "d"]);
        for whole in [0, 2] {
            files[whole].bytes = files[whole].size;
        }
        let names = |most| -> Vec<_> {
            let lines = lines(&total(), &files, most, (76, 23));
            lines.iter().filter_map(|line| line.chars().next()).collect()
        };
        assert_eq!(names(2), ['b', 'd', '[']);
        assert_eq!(names(3), ['a', 'b', 'd', '[']);
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        let shown = lines(&total(), &rows(&["\x1b]0;gotcha\x07\r\n\u{9b}2J"]), 8, (76, 23));
        assert!(shown.iter().flat_map(|line| line.chars()).all(|c| !c.is_control()), "{shown:?}");
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        let idle = Total { bytes: 0, speed: 0.0, all_files: 1, ..total() };
        assert_eq!(figures(&idle, 80), "0%, 0 B of 9.8 GB, 0 B/s");
        let none = Total { bytes: 0, size: 0, ..idle };
        assert_eq!(figures(&none, 80), "0%, 0 B of 0 B, 0 B/s");
    }
}
