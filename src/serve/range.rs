//! Which bytes of a file a request is for (RFC 9110 13 and 14).

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// These bytes; `rest`: the client wants all from there on.
    Bytes { range: Range<u64>, rest: bool },
    /// Bytes that the file does not have.
    Beyond,
}

impl Part {
    /// Reads the headers. What is not understood asks for the whole file, and so do several ranges.
    pub fn of(headers: &HeaderMap, size: u64, etag: &str) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(range) = text(RANGE) else { return Self::Whole };
        // A date says nothing about bytes that never change.
        if text(IF_RANGE).is_some_and(|condition| condition.trim() != etag) {
            return Self::Whole;
        }
        let Some((unit, range)) = range.trim().split_once('=') else { return Self::Whole };
        let Some((first, last)) = range.trim().split_once('-') else { return Self::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            // More than fits is more than any file has.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match (first.trim(), last.trim()) {
            ("", suffix) => match number(suffix) {
                None => Self::Whole,
                Some(0) => Self::Beyond,
                Some(_) if size == 0 => Self::Beyond,
                Some(len) => {
                    Self::Bytes { range: size.saturating_sub(len)..size, rest: len >= size }
                }
            },
            (first, "") => match number(first) {
                None => Self::Whole,
                Some(first) if first >= size => Self::Beyond,
                Some(first) => Self::Bytes { range: first..size, rest: true },
            },
            (first, last) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first > last => Self::Whole,
                (Some(first), Some(_)) if first >= size => Self::Beyond,
                // Clients ask for more than there is.
                (Some(first), Some(last)) => {
                    Self::Bytes { range: first..last.saturating_add(1).min(size), rest: false }
                }
                _ => Self::Whole,
            },
        }
    }
}

/// Whether the client has this version.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(size: u64, headers: &[(&'static str, &str)]) -> Part {
        let headers = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), value.parse().unwrap())
        });
        Part::of(&headers.collect(), size, "\"e\"")
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        let bytes = |range: Range<u64>, rest| Part::Bytes { range, rest };
        for (range, expected) in [
            ("bytes=0-0", bytes(0..1, false)),
            ("bytes=5-", bytes(5..10, true)),
            ("bytes=-3", bytes(7..10, false)),
            ("bytes=-30", bytes(0..10, true)),
            ("bytes=5-99", bytes(5..10, false)),
            ("bytes=5-99999999999999999999999", bytes(5..10, false)),
            ("BYTES = 5-6", bytes(5..7, false)),
            ("bytes=10-", Part::Beyond),
            ("bytes=99999999999999999999999-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=6-5", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("x", Part::Whole),
        ] {
            assert_eq!(part(10, &[("range", range)]), expected, "{range}");
        }
        assert_eq!(part(0, &[("range", "bytes=0-0")]), Part::Beyond);
        assert_eq!(part(0, &[("range", "bytes=-1")]), Part::Beyond);
    }

    #[test]
    fn a_range_of_another_version_is_the_whole_file() {
        let range = ("range", "bytes=1-2");
        assert_eq!(part(9, &[range, ("if-range", "\"other\"")]), Part::Whole);
        assert_eq!(part(9, &[range, ("if-range", "Wed, 01 Jan 2025 00:00:00 GMT")]), Part::Whole);
        assert_ne!(part(9, &[range, ("if-range", "\"e\"")]), Part::Whole);
    }

    #[test]
    fn a_version_is_known_by_any_of_its_tags() {
        let known = |value: &str| {
            let headers = [(IF_NONE_MATCH, value.parse().unwrap())];
            is_known(&headers.into_iter().collect(), "\"e\"")
        };
        assert!(known("\"e\"") && known("W/\"e\"") && known("\"a\", \"e\"") && known("*"));
        assert!(!known("\"a\"") && !known("e"));
    }
}
