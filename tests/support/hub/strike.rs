//! Which faults strike a request, and what they make of its answer.

use std::io;

use super::answer::{Answer, Body, content_range};
use super::encode::{gzip, matches};
use super::fault::{At, Live, On, What};
use super::plan::{End, How, Place, Plan};
use super::route::{Asked, Route};

/// A request, as faults look at it.
pub(super) struct Facts<'a> {
    pub asked: &'a Asked,
    pub target: &'a str,
    pub method: &'a str,
    pub file: Option<&'a str>,
    pub is_cdn: bool,
    /// The number of the request: what differs between answers is made of it.
    pub number: usize,
}

/// The fault, by its index, and an effect of it.
pub(super) type Strike = (usize, What);

/// Effects that exclude each other are of one class.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Early,
    Pace,
    Replace,
    End,
    Range,
    Length,
    Flip(u64),
    Encoding,
    Etag,
}

fn class(what: &What) -> Class {
    match what {
        What::Delay(_)
        | What::MoveBranch { .. }
        | What::ExpireLinks
        | What::HostileTree(_)
        | What::NextLink(_) => Class::Early,
        What::SlowBytes(_) => Class::Pace,
        What::Status(..)
        | What::Html
        | What::RedirectLoop
        | What::RedirectForever
        | What::RedirectTo(_) => Class::Replace,
        What::Close(_) | What::Reset(_) | What::Stall(_) => Class::End,
        What::IgnoreRange
        | What::ShortRange(_)
        | What::WrongContentRange { .. }
        | What::NoContentRange
        | What::Multipart => Class::Range,
        What::LyingLength(_) | What::TruncatedConsistent(_) => Class::Length,
        What::FlipBit(offset) => Class::Flip(*offset),
        What::Gzip | What::Chunked => Class::Encoding,
        What::EtagChanges => Class::Etag,
    }
}

fn exclude(a: Class, b: Class) -> bool {
    let neutral = |class| matches!(class, Class::Early | Class::Pace);
    let replaces = a == Class::Replace || b == Class::Replace;
    (a == b && a != Class::Early) || (replaces && !neutral(a) && !neutral(b))
}

fn is_asked(live: &Live, facts: &Facts<'_>, is_content: bool) -> bool {
    let fault = &live.fault;
    let on = match fault.on {
        On::Any => true,
        On::Cdn => facts.is_cdn,
        On::Content => is_content,
        On::Info => matches!(facts.asked.route, Route::Info(..)),
        On::Tree => matches!(facts.asked.route, Route::Tree(..)),
        On::Refs => matches!(facts.asked.route, Route::Refs(_)),
        On::Resolve => matches!(facts.asked.route, Route::Resolve(..) | Route::Raw(..)),
        On::Cache => matches!(facts.asked.route, Route::Cache(..)),
    };
    let path = fault.path.as_deref().is_none_or(|pattern| {
        matches(pattern, &facts.asked.path) || facts.file.is_some_and(|f| matches(pattern, f))
    });
    !live.is_over() && on && path && fault.method.as_deref().is_none_or(|m| m == facts.method)
}

/// The faults that change what there is to answer.
pub(super) fn early(faults: &mut [Live], facts: &Facts<'_>) -> Vec<Strike> {
    let is_content = facts.is_cdn || facts.asked.route.file().is_some();
    let mut out = Vec::new();
    for (index, live) in faults.iter_mut().enumerate() {
        let is_early = live.fault.whats.iter().any(|what| class(what) == Class::Early);
        if is_early && is_asked(live, facts, is_content) && live.strikes() {
            out.extend(live.fault.whats.iter().map(|what| (index, what.clone())));
        }
    }
    out
}

/// The faults that change an answer, after those that struck early.
pub(super) fn late(
    faults: &mut [Live],
    facts: &Facts<'_>,
    answer: &Answer,
    mut struck: Vec<Strike>,
) -> Vec<Strike> {
    let is_content = matches!(answer.body, Body::File { .. });
    for (index, live) in faults.iter_mut().enumerate() {
        let whats = &live.fault.whats;
        let replaces = whats.iter().any(|what| class(what) == Class::Replace);
        let fits = !whats.iter().any(|what| class(what) == Class::Early)
            && whats.iter().all(|what| replaces || fits(what, facts, answer))
            && !whats.iter().any(|a| struck.iter().any(|(_, b)| exclude(class(a), class(b))));
        if fits && is_asked(live, facts, is_content) && live.strikes() {
            struck.extend(live.fault.whats.iter().map(|what| (index, what.clone())));
        }
    }
    struck
}

/// Whether an effect would show.
fn fits(what: &What, facts: &Facts<'_>, answer: &Answer) -> bool {
    let has_body = facts.method != "HEAD" && matches!(answer.status, 200 | 206);
    let len = answer.body.len();
    let sends = |offset| match &answer.body {
        Body::File { range, .. } => has_body && range.contains(&offset),
        Body::Bytes(_) => false,
    };
    let is_partial = has_body && answer.status == 206;
    match what {
        What::Close(at) | What::Reset(at) | What::Stall(at) => match at {
            At::Head(_) => true,
            At::Body(after) => has_body && *after <= len,
            At::File(offset) => sends(*offset),
        },
        What::FlipBit(offset) => sends(*offset),
        What::ShortRange(bytes) => is_partial && *bytes < len,
        What::IgnoreRange
        | What::WrongContentRange { .. }
        | What::NoContentRange
        | What::Multipart => is_partial,
        What::LyingLength(_) | What::Gzip | What::Chunked => has_body,
        What::TruncatedConsistent(bytes) => has_body && *bytes < len,
        What::EtagChanges => answer.header("etag").or(answer.header("x-linked-etag")).is_some(),
        _ => true,
    }
}

/// What is sent in the end.
pub(super) fn plan(answer: Answer, struck: &[Strike], facts: &Facts<'_>) -> io::Result<Plan> {
    let mut plan = Plan::new(answer);
    for (_, what) in struck {
        replace(&mut plan, what, facts);
    }
    for (_, what) in struck {
        change_range(&mut plan.answer, what);
        if let What::FlipBit(offset) = what {
            plan.flips.push(*offset);
        }
    }
    let start = match &plan.answer.body {
        Body::File { range, .. } => range.start,
        Body::Bytes(_) => 0,
    };
    for (index, what) in struck {
        change_body(&mut plan, what, facts.number)?;
        let (how, at) = match what {
            What::Close(at) => (How::Close, at),
            What::Reset(at) => (How::Reset, at),
            What::Stall(at) => (How::Stall, at),
            _ => continue,
        };
        let place = match at {
            At::Head(bytes) => Place::Head(*bytes),
            At::Body(bytes) => Place::Body(*bytes),
            At::File(offset) => Place::Body(offset.saturating_sub(start)),
        };
        plan.end = Some(End { fault: *index, how, place });
    }
    Ok(plan)
}

fn replace(plan: &mut Plan, what: &What, facts: &Facts<'_>) {
    let answer = match what {
        What::Status(status, headers) => {
            let mut answer = Answer::text(*status, "text/plain; charset=utf-8", "a fault");
            for (name, value) in headers {
                answer.set(name, Some(value.clone()));
            }
            answer
        }
        What::Html => {
            let page = "<!DOCTYPE html><html><body>Please log in to this network.</body></html>";
            Answer::text(200, "text/html; charset=utf-8", page)
        }
        What::RedirectLoop => Answer::redirect(302, facts.target),
        What::RedirectForever => {
            let mark = if facts.target.contains('?') { '&' } else { '?' };
            let (target, _) = facts.target.split_once("hop=").unwrap_or((facts.target, ""));
            let mark = if target.len() < facts.target.len() { String::new() } else { mark.into() };
            Answer::redirect(302, &format!("{target}{mark}hop={}", facts.number))
        }
        What::RedirectTo(to) => Answer::redirect(302, to),
        _ => return,
    };
    (plan.answer, plan.is_content) = (answer, false);
}

fn change_range(answer: &mut Answer, what: &What) {
    let Body::File { content, range } = &mut answer.body else { return };
    let total = content.len();
    match what {
        What::IgnoreRange => {
            *range = 0..total;
            answer.status = 200;
            answer.set("Content-Range", None);
        }
        What::ShortRange(bytes) => {
            range.end = range.end.min(range.start + bytes);
            let said = content_range(range, total);
            answer.set("Content-Range", Some(said));
        }
        What::WrongContentRange { start, total: off } => {
            let said =
                range.start.saturating_add_signed(*start)..range.end.saturating_add_signed(*start);
            let said = content_range(&said, total.saturating_add_signed(*off));
            answer.set("Content-Range", Some(said));
        }
        What::NoContentRange => answer.set("Content-Range", None),
        _ => {}
    }
}

fn change_body(plan: &mut Plan, what: &What, number: usize) -> io::Result<()> {
    match what {
        What::Multipart => {
            let said = plan.answer.header("content-range").unwrap_or_default().to_owned();
            let mut body = format!(
                "--edge\r\nContent-Type: application/octet-stream\r\nContent-Range: {said}\r\n\r\n"
            )
            .into_bytes();
            body.extend(plan.take_bytes()?);
            body.extend(b"\r\n--edge--\r\n");
            plan.answer.body = Body::Bytes(body);
            plan.answer.set("Content-Range", None);
            let kind = "multipart/byteranges; boundary=edge";
            plan.answer.set("Content-Type", Some(kind.into()));
        }
        What::Gzip => {
            plan.answer.body = Body::Bytes(gzip(&plan.take_bytes()?));
            plan.answer.set("Content-Encoding", Some("gzip".into()));
        }
        What::TruncatedConsistent(bytes) => plan.answer.body.truncate(*bytes),
        What::LyingLength(off) => plan.length_off = *off,
        What::Chunked => plan.chunked = true,
        What::SlowBytes(per_second) => plan.pace = Some((*per_second).max(1)),
        What::EtagChanges => {
            for name in ["ETag", "X-Linked-ETag"] {
                if plan.answer.header(name).is_some() {
                    plan.answer.set(name, Some(format!("\"changed-{number}\"")));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

impl Body {
    fn truncate(&mut self, len: u64) {
        match self {
            Self::Bytes(bytes) => bytes.truncate(len as usize),
            Self::File { range, .. } => range.end = range.end.min(range.start + len),
        }
    }
}
