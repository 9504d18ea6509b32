//! How long a server wants to be left alone.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

use super::header;

/// `Retry-After`, in seconds or as a date, or the `t` of a `RateLimit` that is used up; the longer
/// one where there are both.
pub(in crate::hub) fn pause(headers: &HeaderMap) -> Option<Duration> {
    let after = header(headers, "retry-after").and_then(|text| retry_after(text, headers));
    let limit = header(headers, "ratelimit").and_then(rate_limit);
    after.max(limit)
}

fn retry_after(text: &str, headers: &HeaderMap) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = http_date(text)?;
    // The server's own clock, if it tells: ours may be wrong, or jump.
    let now = header(headers, "date").and_then(http_date).or_else(|| {
        Some(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
    })?;
    Some(Duration::from_secs(at.saturating_sub(now)))
}

/// `"api";r=0;t=55`, or several such with commas between: when the last one that is used up is
/// filled again.
fn rate_limit(text: &str) -> Option<Duration> {
    let number = |item: &str, name: &str| {
        item.split(';').find_map(|part| part.trim().strip_prefix(name)?.parse::<u64>().ok())
    };
    text.split(',')
        .filter(|item| number(item, "r=") == Some(0))
        .filter_map(|item| number(item, "t="))
        .max()
        .map(Duration::from_secs)
}

/// Seconds since 1970 of `Wed, 21 Oct 2015 07:28:00 GMT` (RFC 9110's IMF-fixdate).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse::<u64>().ok().filter(|day| (1..32).contains(day))?;
    let month = words.next().and_then(|name| MONTHS.iter().position(|&m| m == name))? as u64;
    let year = words.next()?.parse::<u64>().ok().filter(|y| (1970..10_000).contains(y))?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if hour > 23 || minute > 59 || second > 60 || words.next() != Some("GMT") {
        return None;
    }
    // Years that begin in March, so that the day that leap years add is the last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    // 719,469 such days end before 1970 begins.
    let days = days.checked_sub(719_469)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn dates_are_seconds_since_1970() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(1_445_412_480)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Wed, 21 Oct 2015 07:28:00", None),
            ("Wed, 21 Foo 2015 07:28:00 GMT", None),
            ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
            ("soon", None),
        ] {
            assert_eq!(http_date(text), seconds, "{text}");
        }
    }

    #[test]
    fn a_pause_is_seconds_or_a_date_or_what_the_limit_says() {
        for (given, pause_of) in [
            (&[("retry-after", "7")][..], Some(7)),
            (
                &[
                    ("date", "Wed, 21 Oct 2015 07:27:00 GMT"),
                    ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),
                ],
                Some(60),
            ),
            (&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(0)),
            (&[("ratelimit", "\"api\";r=0;t=55")], Some(55)),
            (&[("ratelimit", "\"api\";r=3;t=55")], None),
            (&[("ratelimit", "\"api\";r=0;t=5, \"pages\"; r=0; t=9")], Some(9)),
            (&[("ratelimit", "\"api\";r=0;t=55"), ("retry-after", "7")], Some(55)),
            (&[("retry-after", "-1")], None),
            (&[], None),
        ] {
            assert_eq!(pause(&headers(given)), pause_of.map(Duration::from_secs), "{given:?}");
        }
    }
}
