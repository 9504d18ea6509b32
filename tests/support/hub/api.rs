//! The hub's answers in JSON.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::content::{Entry, some_sha1};
use super::encode::{base64, pairs, quote, unbase64};
use super::fault::What;
use super::log::Origin;
use super::refusal::{Refusal, admit, commit, gate, known_token};
use super::repo::{Commit, Repo};
use super::route::{Asked, RepoName};
use super::server::{Shared, State};
use super::tree::{Node, Tree};
use super::wire::Incoming;

const DATE: &str = "2026-01-02T03:04:05.000Z";

type Answered = Result<Answer, Refusal>;

pub(super) fn whoami(state: &State, incoming: &Incoming) -> Answered {
    let token = known_token(state, incoming)?;
    let Some(user) = token.and_then(|token| state.tokens.get(token)) else {
        return Err(Refusal::new(401, None, "Invalid username or password."));
    };
    let token = json!({"displayName": "test", "role": "read", "createdAt": DATE});
    let auth = json!({"type": "access_token", "accessToken": token});
    Ok(Answer::json(&json!({"type": "user", "name": user, "orgs": [], "auth": auth})))
}

/// A repository at a revision. A tree that is made up is told without its files.
pub(super) fn info(
    state: &State,
    incoming: &Incoming,
    asked: &Asked,
    name: &RepoName,
    revision: Option<&str>,
) -> Answered {
    let repo = admit(state, incoming, name, false)?;
    let commit = commit(repo, revision.unwrap_or("main"))?;
    let blobs = asked.is_set("blobs");
    let siblings: Vec<_> = match commit.tree.as_ref() {
        Tree::Listed { files, .. } => files.values().map(|entry| sibling(entry, blobs)).collect(),
        Tree::Synthetic { .. } => Vec::new(),
    };
    let mut info = json!({
        "_id": &some_sha1(&repo.id)[..24], "id": repo.id, "modelId": repo.id,
        "author": repo.id.split_once('/').map(|(author, _)| author), "sha": commit.id,
        "lastModified": DATE, "createdAt": DATE, "private": repo.private, "gated": gate(repo),
        "disabled": repo.disabled, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings,
    });
    let expanded: Vec<_> =
        asked.pairs.iter().filter(|(name, _)| name.starts_with("expand")).collect();
    if let (false, Value::Object(map)) = (expanded.is_empty(), &mut info) {
        map.retain(|key, _| {
            matches!(key.as_str(), "_id" | "id") || expanded.iter().any(|(_, field)| field == key)
        });
    }
    Ok(Answer::json(&info))
}

fn sibling(entry: &Entry, blobs: bool) -> Value {
    let mut out = Map::new();
    out.insert("rfilename".into(), entry.path.clone().into());
    if blobs {
        out.insert("blobId".into(), entry.oid.clone().into());
        out.insert("size".into(), entry.size.into());
        if let Some(lfs) = &entry.lfs {
            let pointer = lfs.pointer.len();
            let lfs = json!({"sha256": lfs.sha256, "size": entry.size, "pointerSize": pointer});
            out.insert("lfs".into(), lfs);
        }
    }
    out.into()
}

/// A line of a tree.
fn line(node: &Node, expand: bool, xet: bool) -> Value {
    let mut out = match node {
        Node::Directory { path, oid } => {
            json!({"type": "directory", "oid": oid, "size": 0, "path": path})
        }
        Node::File(entry) => {
            let mut out =
                json!({"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path});
            if let Some(lfs) = &entry.lfs {
                let pointer = lfs.pointer.len();
                out["lfs"] = json!({"oid": lfs.sha256, "size": entry.size, "pointerSize": pointer});
                if xet {
                    out["xetHash"] = lfs.xet.clone().into();
                }
            }
            out
        }
    };
    if expand {
        out["lastCommit"] = json!({"id": some_sha1("last"), "title": "A commit", "date": DATE});
        out["securityFileStatus"] =
            json!({"status": "safe", "avScan": null, "pickleImportScan": null});
    }
    out
}

pub(super) fn tree(
    shared: &Shared,
    state: &State,
    incoming: &Incoming,
    asked: &Asked,
    (name, revision, under): (&RepoName, &str, &str),
    faults: &[What],
) -> Answered {
    let repo = admit(state, incoming, name, false)?;
    let commit = commit(repo, revision)?;
    let is_directory = |node: Option<Node>| matches!(node, Some(Node::Directory { .. }));
    if !under.is_empty() && !is_directory(commit.tree.at(under)) {
        return Err(Refusal::no_entry(&commit.id));
    }
    let expand = asked.is_set("expand");
    let most = if expand { state.settings.page_size.min(50) } else { state.settings.page_size };
    let limit = asked.value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(most);
    let limit = limit.clamp(1, most.max(1));
    let bad = || Refusal::new(400, None, "Invalid cursor");
    let start = match asked.value("cursor") {
        Some(cursor) => read_cursor(cursor, &commit.id).ok_or_else(bad)?,
        None => 0,
    };
    let (nodes, next) = commit.tree.page(under, asked.is_set("recursive"), start, limit);
    let xet = state.settings.xet_signals;
    let mut lines: Vec<_> = nodes.iter().map(|node| line(node, expand, xet)).collect();
    let mut link = next.map(|next| {
        let last = nodes.last().map_or("", Node::path);
        next_page(shared, state, asked, &cursor(&commit.id, last, next, limit), limit)
    });
    for fault in faults {
        match fault {
            What::HostileTree(names) => lines.extend(
                names.iter().map(|name| line(&Node::File(Entry::git(name, "?")), expand, xet)),
            ),
            What::NextLink(to) => link = Some(to.clone()),
            _ => {}
        }
    }
    let mut answer = Answer::json(&lines.into());
    answer.set("Link", link.map(|link| format!("<{link}>; rel=\"next\"")));
    answer.set("X-Repo-Commit", Some(commit.id.clone()));
    Ok(answer)
}

fn cursor(commit: &str, last: &str, next: usize, limit: usize) -> String {
    let inner = json!({"file_name": last, "tree_oid": commit, "next": next}).to_string();
    base64(format!("{}:{limit}", base64(inner.as_bytes())).as_bytes())
}

/// Where the page starts, if the cursor is one of this commit's.
fn read_cursor(cursor: &str, commit: &str) -> Option<usize> {
    let outer = String::from_utf8(unbase64(cursor)?).ok()?;
    let inner: Value = serde_json::from_slice(&unbase64(outer.split_once(':')?.0)?).ok()?;
    let next = usize::try_from(inner["next"].as_u64()?).ok()?;
    (inner["tree_oid"] == commit).then_some(next)
}

fn next_page(shared: &Shared, state: &State, asked: &Asked, cursor: &str, limit: usize) -> String {
    let base = match state.settings.relative_links {
        true => String::new(),
        false => shared.url(Origin::Hub),
    };
    let query: String = asked
        .pairs
        .iter()
        .filter(|(name, _)| name != "limit" && name != "cursor")
        .map(|(name, value)| format!("{}={}&", quote(name, ""), quote(value, "")))
        .collect();
    format!("{base}{}?{query}limit={limit}&cursor={}", asked.raw_path, quote(cursor, ""))
}

/// What is known of some paths; paths that are not there are left out.
pub(super) fn paths_info(
    state: &State,
    incoming: &Incoming,
    name: &RepoName,
    revision: &str,
) -> Answered {
    let commit = commit(admit(state, incoming, name, false)?, revision)?;
    let (paths, expand) = asked_paths(incoming);
    let lines: Vec<_> = paths
        .iter()
        .filter_map(|path| commit.tree.at(path))
        .map(|node| line(&node, expand, state.settings.xet_signals))
        .collect();
    Ok(Answer::json(&lines.into()))
}

/// The paths in a form or in JSON, and whether more is wanted of each.
fn asked_paths(incoming: &Incoming) -> (Vec<String>, bool) {
    if let Ok(json) = serde_json::from_slice::<Value>(&incoming.body) {
        let paths = json["paths"].as_array().cloned().unwrap_or_default();
        let paths = paths.iter().filter_map(|path| Some(path.as_str()?.to_owned())).collect();
        return (paths, json["expand"] == true);
    }
    let form = pairs(&String::from_utf8_lossy(&incoming.body));
    let expand = form
        .iter()
        .any(|(name, value)| name == "expand" && matches!(value.as_str(), "True" | "true" | "1"));
    let paths = form.into_iter().filter(|(name, _)| name == "paths").map(|(_, path)| path);
    (paths.collect(), expand)
}

pub(super) fn refs(state: &State, incoming: &Incoming, asked: &Asked, name: &RepoName) -> Answered {
    let repo = admit(state, incoming, name, false)?;
    let mut out = json!({
        "tags": named(repo, "refs/tags/"),
        "branches": named(repo, "refs/heads/"),
        "converts": named(repo, "refs/convert/"),
    });
    if asked.is_set("include_prs") {
        out["pullRequests"] = named(repo, "refs/pr/").into();
    }
    Ok(Answer::json(&out))
}

fn named(repo: &Repo, prefix: &str) -> Vec<Value> {
    let named = repo.refs.iter().filter_map(|(name, commit)| {
        let short = name.strip_prefix(prefix)?;
        Some(json!({"name": short, "ref": name, "targetCommit": commit}))
    });
    named.collect()
}

pub(super) fn commits(
    state: &State,
    incoming: &Incoming,
    name: &RepoName,
    revision: &str,
) -> Answered {
    let repo = admit(state, incoming, name, false)?;
    let tip = commit(repo, revision)?;
    let until = repo.commits.iter().position(|one| one.id == tip.id).unwrap_or(0);
    let lines: Vec<_> = repo.commits[..=until].iter().rev().map(commit_line).collect();
    let count = lines.len().to_string();
    Ok(Answer::json(&lines.into()).with("X-Total-Count", count))
}

fn commit_line(commit: &Commit) -> Value {
    json!({
        "id": commit.id, "title": "A commit", "message": "", "date": DATE,
        "authors": [{"user": "someone"}],
    })
}

/// A token for the hub's other protocol, which nothing here speaks.
pub(super) fn xet_token(
    shared: &Shared,
    state: &State,
    incoming: &Incoming,
    name: &RepoName,
) -> Answered {
    admit(state, incoming, name, true)?;
    let url = shared.url(Origin::Cdn);
    let body = json!({"accessToken": "xet", "exp": 4_000_000_000_u64, "casUrl": url});
    Ok(Answer::json(&body)
        .with("X-Xet-Access-Token", "xet")
        .with("X-Xet-Token-Expiration", "4000000000")
        .with("X-Xet-Cas-Url", url))
}

pub(super) fn auth_check(state: &State, incoming: &Incoming, name: &RepoName) -> Answered {
    admit(state, incoming, name, true)?;
    Ok(Answer::text(200, "text/plain; charset=utf-8", "OK"))
}
