//! Whether an answer is the bytes that were asked for.

use std::error::Error;
use std::io;
use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::hub::answer::{encoding, header, is_html};

/// The bytes that an answer says it has, by their offsets in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
}

/// Which bytes of a file of `size` bytes the answer to a request for `range`, or for all, has.
/// `page`: whether the file may be a page in HTML.
///
/// # Errors
/// Why it is not what was asked for.
pub(super) fn span(
    (status, length): (StatusCode, Option<u64>),
    headers: &HeaderMap,
    range: Option<&Range<u64>>,
    size: u64,
    page: bool,
) -> Result<Span, String> {
    if let Some(encoding) = encoding(headers) {
        return Err(format!("the file is encoded ({encoding:?}), which was not asked for"));
    }
    // A portal's or a proxy's page, mostly.
    if is_html(headers) && !page {
        return Err("an HTML page instead of the file".to_owned());
    }
    let fits = |expected: u64, what: &str| match length {
        Some(length) if length != expected => {
            Err(format!("{length} bytes announced where {what} {expected}"))
        }
        _ => Ok(()),
    };
    match status.as_u16() {
        200 => {
            fits(size, "the file has")?;
            Ok(Span { start: 0, end: size })
        }
        206 => {
            let kind = header(headers, "content-type").unwrap_or_default();
            if kind.to_ascii_lowercase().starts_with("multipart/") {
                return Err("several ranges instead of one".to_owned());
            }
            let text = header(headers, "content-range").unwrap_or_default();
            let (span, total) = content_range(text)
                .ok_or_else(|| format!("a part without a usable Content-Range ({text:?})"))?;
            if total.is_some_and(|total| total != size) {
                return Err(format!("Content-Range {text:?} of a file of {size} bytes"));
            }
            let start = range.map_or(0, |range| range.start);
            if span.start != start || span.end > size {
                return Err(format!("Content-Range {text:?} instead of bytes from {start}"));
            }
            fits(span.end - span.start, "its range has")?;
            Ok(span)
        }
        status => Err(format!("status {status} instead of the file")),
    }
}

/// `bytes 0-99/1000`, or `*` for the total. At least one byte.
fn content_range(text: &str) -> Option<(Span, Option<u64>)> {
    let (unit, rest) = text.split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        // parse() would take a "+" before it.
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?
    };
    let (start, end) = (number(first)?, number(last)?.checked_add(1)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    (unit.eq_ignore_ascii_case("bytes") && start < end).then_some((Span { start, end }, total))
}

/// Whether an answer broke off before the length it announced.
pub(super) fn is_short(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::UnexpectedEof;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(
        status: u16,
        length: Option<u64>,
        pairs: &[(&'static str, &str)],
        range: Option<Range<u64>>,
    ) -> Result<(u64, u64), String> {
        let headers: HeaderMap = pairs
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let what = (StatusCode::from_u16(status).unwrap(), length);
        span(what, &headers, range.as_ref(), 1000, false).map(|span| (span.start, span.end))
    }

    #[test]
    fn honest_answers_are_taken_for_what_they_say() {
        let part = |text| [("content-range", text)];
        let asked = Some(100..200);
        assert_eq!(answer(200, Some(1000), &[], None), Ok((0, 1000)));
        assert_eq!(answer(200, None, &[], None), Ok((0, 1000)));
        assert_eq!(answer(200, Some(1000), &[], asked.clone()), Ok((0, 1000)), "no ranges here");
        for (text, length, span) in [
            ("bytes 100-199/1000", Some(100), (100, 200)),
            ("bytes 100-199/1000", None, (100, 200)),
            ("bytes 100-199/*", Some(100), (100, 200)),
            ("bytes 100-149/1000", Some(50), (100, 150)),
            ("bytes 100-999/1000", Some(900), (100, 1000)),
        ] {
            assert_eq!(answer(206, length, &part(text), asked.clone()), Ok(span), "{text}");
        }
        assert_eq!(answer(206, None, &part("bytes 0-999/1000"), None), Ok((0, 1000)));
    }

    #[test]
    fn answers_that_do_not_fit_are_refused() {
        let asked = Some(100..200);
        for (text, length) in [
            ("bytes 0-99/1000", Some(100)),
            ("bytes 101-199/1000", Some(99)),
            ("bytes 100-199/1001", Some(100)),
            ("bytes 100-1000/*", Some(901)),
            ("bytes 100-199/1000", Some(101)),
            ("bytes 100-199/1000", Some(99)),
            ("bytes 199-100/1000", None),
            ("bytes +100-199/1000", Some(100)),
            ("bytes 100-18446744073709551615/1000", None),
            ("items 100-199/1000", Some(100)),
            ("bytes */1000", None),
            ("", Some(100)),
        ] {
            let given = [("content-range", text)];
            assert!(answer(206, length, &given, asked.clone()).is_err(), "{text:?} {length:?}");
        }
        let multipart = [
            ("content-type", "multipart/byteranges; boundary=x"),
            ("content-range", "bytes 100-199/1000"),
        ];
        assert!(answer(206, Some(100), &multipart, asked.clone()).is_err());
        for header in [("content-encoding", "gzip"), ("content-type", "text/HTML; charset=utf-8")] {
            assert!(answer(200, Some(1000), &[header], None).is_err(), "{header:?}");
        }
        assert!(answer(200, Some(999), &[], None).is_err());
        assert!(answer(200, Some(999), &[], asked.clone()).is_err());
        for status in [201, 203, 204] {
            assert!(answer(status, None, &[], asked.clone()).is_err(), "{status}");
        }
    }
}
