//! Sizes, ages and names as people read them.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Decimal units, as disks are sold and as `10GB` is read: `664 B`, `1.1 MB`, `123 GB`.
pub fn size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if value < 99.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// How long ago, at most nine characters.
pub fn age(then: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(then);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{minutes} min ago"),
        3600..86_400 => format!("{hours} h ago"),
        86_400..5_184_000 => format!("{days} d ago"),
        5_184_000..63_072_000 => format!("{} mo ago", days / 30),
        _ => format!("{} y ago", days / 365),
    }
}

/// How far ahead.
pub fn until(then: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = then.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
    match seconds {
        ..60 => "soon".to_owned(),
        60..3600 => format!("in {} min", seconds / 60),
        3600..172_800 => format!("in {} h", seconds / 3600),
        _ => format!("in {} d", seconds / 86_400),
    }
}

/// RFC 3339 in UTC.
pub fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// `1 file`, `2 files`.
pub fn count(number: u64, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

/// Names are other people's: what a terminal would obey is written as an escape.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) || !text.chars().any(char::is_control) {
        return text.into();
    }
    let escape = |c: char| {
        if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
    };
    text.chars().map(escape).collect::<String>().into()
}

/// `text` up to so many columns.
pub fn cut(text: &str, columns: usize) -> &str {
    let end = ends(text.char_indices(), columns).last().map_or(0, |(at, c)| at + c.len_utf8());
    text.get(..end).unwrap_or_default()
}

/// `text` in at most so many columns, its middle left out where it is longer: the ends of file names
/// tell them apart.
pub fn shorten(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return text.into();
    }
    let Some(room) = columns.checked_sub(3) else { return cut(text, columns).into() };
    let head = cut(text, room / 2);
    let tail = ends(text.char_indices().rev(), room - head.width()).last();
    let tail = tail.and_then(|(at, _)| text.get(at..)).unwrap_or_default();
    format!("{head}...{tail}").into()
}

/// The characters that fit.
fn ends(
    chars: impl Iterator<Item = (usize, char)>,
    columns: usize,
) -> impl Iterator<Item = (usize, char)> {
    let mut taken = 0;
    chars.take_while(move |(_, c)| {
        taken += c.width().unwrap_or(0);
        taken <= columns
    })
}

/// How much is done, in so many characters: `[====    ]`.
pub fn meter((done, all): (u64, u64), characters: usize) -> String {
    let part = if all == 0 { 0.0 } else { (done as f64 / all as f64).min(1.0) };
    let full = (part * characters as f64) as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(characters.saturating_sub(full)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_at_most_three_digits_or_a_point() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_951, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (4_920_734_272, "4.9 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(plain("a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(plain("grün"), "grün");
    }

    #[test]
    fn a_long_name_keeps_its_ends() {
        assert_eq!(shorten("model.safetensors", 17), "model.safetensors");
        assert_eq!(shorten("model-00001-of-00002.safetensors", 20), "model-00...fetensors");
        assert_eq!(shorten("abcdef", 3), "...");
        assert_eq!(shorten("abcdef", 2), "ab");
        assert_eq!(shorten("模型模型模型.bin", 11), "模型....bin");
        for columns in 0..30 {
            let name = "grün/模型-é́-00001-of-00002.safetensors";
            assert!(shorten(name, columns).width() <= columns, "{columns}");
            assert!(cut(name, columns).width() <= columns, "{columns}");
        }
    }

    #[test]
    fn a_meter_is_as_full_as_its_part_is() {
        let meters = [(0, 0), (0, 10), (5, 10), (10, 10), (11, 10)].map(|part| meter(part, 4));
        assert_eq!(meters, ["[    ]", "[    ]", "[==  ]", "[====]", "[====]"]);
    }
}
