//! The way to a file: `resolve`, where it redirects to, and the content network.

use super::answer::{Answer, Body};
use super::content::{Content, Entry, sha256};
use super::encode::quote;
use super::log::Origin;
use super::refusal::{Refusal, admit, commit};
use super::repo::Repo;
use super::route::{Asked, RepoName};
use super::server::{Link, Shared, State};
use super::wire::Incoming;

const EXPOSED: &str = "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,\
    Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash";

pub(super) fn resolve(
    shared: &Shared,
    state: &mut State,
    incoming: &Incoming,
    asked: &Asked,
    (name, revision, path): (&RepoName, &str, &str),
) -> Result<Answer, Refusal> {
    let repo = admit(state, incoming, name, true)?;
    let commit = commit(repo, revision)?;
    let entry = commit.tree.file(path).ok_or_else(|| Refusal::no_entry(&commit.id))?;
    let commit = commit.id.clone();
    if incoming.header("if-none-match") == Some(&format!("\"{}\"", entry.digest())) {
        return Ok(finish(direct(incoming, &entry), &commit));
    }
    if entry.lfs.is_some() && !state.settings.serve_directly {
        return Ok(finish(to_the_cdn(shared, state, name, &entry, &commit), &commit));
    }
    let answer = if state.settings.serve_directly || is_served_at_once(repo, &entry) {
        direct(incoming, &entry)
    } else {
        to_the_cache(asked, repo, &entry, &commit)
    };
    Ok(finish(answer, &commit))
}

/// Whether a small file comes without a redirect.
fn is_served_at_once(repo: &Repo, entry: &Entry) -> bool {
    let bare = !repo.id.contains('/');
    entry.content.len() == 0 || repo.private || repo.gate.is_some() || bare
}

fn finish(answer: Answer, commit: &str) -> Answer {
    answer.with("X-Repo-Commit", commit).with("Access-Control-Expose-Headers", EXPOSED)
}

/// The file itself.
fn direct(incoming: &Incoming, entry: &Entry) -> Answer {
    let mut answer = Answer::file(incoming, entry.content.clone(), entry.digest());
    answer.set("Content-Disposition", Some(disposition(&entry.path)));
    if entry.lfs.is_some() {
        answer = linked(answer, entry);
    }
    answer
}

fn disposition(path: &str) -> String {
    let name = quote(path.rsplit('/').next().unwrap_or(path), "");
    format!("inline; filename*=UTF-8''{name}; filename=\"{name}\";")
}

fn linked(answer: Answer, entry: &Entry) -> Answer {
    answer
        .with("X-Linked-Size", entry.size.to_string())
        .with("X-Linked-ETag", format!("\"{}\"", entry.digest()))
}

fn to_the_cache(asked: &Asked, repo: &Repo, entry: &Entry, commit: &str) -> Answer {
    let (kind, id, path) = (repo.kind.noun(), &repo.id, quote(&entry.path, "/"));
    let came = quote(&asked.raw_path, "");
    let etag = quote(&format!("\"{}\"", entry.oid), "");
    let to = format!("/api/resolve-cache/{kind}s/{id}/{commit}/{path}?{came}=&etag={etag}");
    Answer::redirect(307, &to).with("Accept-Ranges", "bytes")
}

fn to_the_cdn(
    shared: &Shared,
    state: &mut State,
    name: &RepoName,
    entry: &Entry,
    commit: &str,
) -> Answer {
    let Some(lfs) = &entry.lfs else { return Answer::text(500, "text/plain", "not large") };
    let number = state.next_link;
    state.next_link += 1;
    let signature = sha256(format!("link {number}").as_bytes());
    let link = Link { number, repo: name.clone(), entry: entry.clone() };
    state.links.insert(signature.clone(), link);
    let bucket = &sha256(name.1.as_bytes())[..24];
    let to = format!(
        "{}/xet-bridge-us/{bucket}/{}?X-Xet-Cas-Uid=public&response-content-disposition={}\
         &Expires=4000000000&Policy=everything&Signature={signature}&Key-Pair-Id=K1",
        shared.url(Origin::Cdn),
        lfs.xet,
        quote(&disposition(&entry.path), ""),
    );
    let mut answer = linked(Answer::redirect(302, &to), entry)
        .with("Accept-Ranges", "bytes")
        .with("Cache-Control", "no-store");
    if state.settings.xet_signals {
        let (hub, cdn) = (shared.url(Origin::Hub), shared.url(Origin::Cdn));
        let (kind, id) = (name.0.noun(), &name.1);
        let auth = format!("<{hub}/api/{kind}s/{id}/xet-read-token/{commit}>; rel=\"xet-auth\"");
        let info = format!("<{cdn}/v1/reconstructions/{}>", lfs.xet);
        let info = format!("{info}; rel=\"xet-reconstruction-info\"");
        answer = answer.with("X-Xet-Hash", &lfs.xet).with("Link", format!("{auth}, {info}"));
    }
    answer
}

/// A small file, from where `resolve` redirects to.
pub(super) fn cached(
    state: &State,
    incoming: &Incoming,
    (name, revision, path): (&RepoName, &str, &str),
) -> Result<Answer, Refusal> {
    let commit = commit(admit(state, incoming, name, true)?, revision)?;
    let small = commit.tree.file(path).filter(|entry| entry.lfs.is_none());
    let entry = small.ok_or_else(|| Refusal::no_entry(&commit.id))?;
    Ok(finish(direct(incoming, &entry), &commit.id))
}

/// What git itself has of a file.
pub(super) fn raw(
    state: &State,
    incoming: &Incoming,
    (name, revision, path): (&RepoName, &str, &str),
) -> Result<Answer, Refusal> {
    let commit = commit(admit(state, incoming, name, true)?, revision)?;
    let entry = commit.tree.file(path).ok_or_else(|| Refusal::no_entry(&commit.id))?;
    let content = entry.lfs.as_ref().map(|lfs| Content::Memory(lfs.pointer.clone()));
    let content = content.unwrap_or_else(|| entry.content.clone());
    Ok(finish(Answer::file(incoming, content, &entry.oid), &commit.id))
}

/// A large file, by a link that was given out and has not expired. Its `ETag` is no SHA-256.
pub(super) fn cdn(state: &State, incoming: &Incoming, asked: &Asked, signature: &str) -> Answer {
    let link = state.links.get(signature).filter(|link| link.number >= state.expired);
    let file = link.and_then(|link| Some((&link.entry, link.entry.lfs.as_ref()?)));
    match file.filter(|(_, lfs)| asked.path.ends_with(&format!("/{}", lfs.xet))) {
        Some((entry, lfs)) => {
            let mut answer = Answer::file(incoming, entry.content.clone(), &lfs.xet);
            answer.set("Content-Disposition", Some(disposition(&entry.path)));
            answer
        }
        None => denied(),
    }
}

/// What the content network says to an unsigned, unknown or expired link.
pub(super) fn denied() -> Answer {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <Error><Code>AccessDenied</Code><Message>Access denied</Message></Error>";
    Answer { body: Body::Bytes(body.into()), ..Answer::text(403, "application/xml", "") }
}
