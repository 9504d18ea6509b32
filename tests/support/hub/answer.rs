//! An answer before anything goes wrong with it.

use std::ops::Range;

use super::content::Content;
use super::wire::Incoming;

pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

pub(super) enum Body {
    Bytes(Vec<u8>),
    /// Bytes of a file.
    File {
        content: Content,
        range: Range<u64>,
    },
}

impl Body {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end - range.start,
        }
    }
}

impl Answer {
    pub fn text(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".into(), kind.into())];
        Self { status, headers, body: Body::Bytes(body.into()) }
    }

    pub fn json(body: &serde_json::Value) -> Self {
        Self::text(200, "application/json; charset=utf-8", body.to_string())
    }

    pub fn redirect(status: u16, to: &str) -> Self {
        let reason = reason(status);
        let body = format!("{reason}. Redirecting to {to}");
        Self::text(status, "text/plain; charset=utf-8", body).with("Location", to)
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets a header, or takes it away.
    pub fn set(&mut self, name: &str, value: Option<String>) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value)));
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A file or the range of it that is asked for. A range that begins behind the end is
    /// answered 416, one that only ends there is cut short.
    pub fn file(incoming: &Incoming, content: Content, etag: &str) -> Self {
        let len = content.len();
        let etag = format!("\"{etag}\"");
        let whole = |status| Self {
            status,
            headers: vec![
                ("Accept-Ranges".into(), "bytes".into()),
                ("ETag".into(), etag.clone()),
                ("Content-Type".into(), "application/octet-stream".into()),
            ],
            body: Body::File { content: content.clone(), range: 0..len },
        };
        if incoming.header("if-none-match") == Some(&etag) {
            return Self { body: Body::Bytes(Vec::new()), ..whole(304) };
        }
        let same = incoming.header("if-range").is_none_or(|asked| asked == etag);
        let Some(asked) = incoming.range().filter(|_| same && !incoming.is_head()) else {
            return whole(200);
        };
        if len == 0 {
            return whole(200).with("Content-Range", "bytes */0");
        }
        let range = match asked {
            (Some(first), last) => first..last.map_or(len, |last| last.saturating_add(1).min(len)),
            (None, last) => len.saturating_sub(last.unwrap_or(0))..len,
        };
        if range.start >= range.end {
            let unsatisfied = format!("bytes */{len}");
            return Self { body: Body::Bytes(Vec::new()), ..whole(416) }
                .with("Content-Range", unsatisfied);
        }
        let said = content_range(&range, len);
        let body = Body::File { content: content.clone(), range };
        Self { body, ..whole(206) }.with("Content-Range", said)
    }
}

pub(super) fn content_range(range: &Range<u64>, total: u64) -> String {
    format!("bytes {}-{}/{total}", range.start, range.end.wrapping_sub(1))
}

pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
