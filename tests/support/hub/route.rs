//! What a URL asks for.

use super::encode::{pairs, unquote};
use super::log::Origin;
use super::repo::Kind;

pub(super) type RepoName = (Kind, String);

/// What of a repository is asked for, at which revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Whoami,
    Info(RepoName, Option<String>),
    /// A listing of a directory.
    Tree(RepoName, String, String),
    PathsInfo(RepoName, String),
    Refs(RepoName),
    Commits(RepoName, String),
    AuthCheck(RepoName),
    XetToken(RepoName, String),
    Resolve(RepoName, String, String),
    /// The text that stands for a large file, or a small file itself.
    Raw(RepoName, String, String),
    /// A small file where `resolve` redirects to.
    Cache(RepoName, String, String),
    /// A file on the content network, by its link's signature.
    Cdn(String),
    Nowhere,
}

impl Route {
    pub fn repo(&self) -> Option<&RepoName> {
        match self {
            Self::Whoami | Self::Cdn(_) | Self::Nowhere => None,
            Self::Info(repo, _)
            | Self::Tree(repo, ..)
            | Self::PathsInfo(repo, _)
            | Self::Refs(repo)
            | Self::Commits(repo, _)
            | Self::AuthCheck(repo)
            | Self::XetToken(repo, _)
            | Self::Resolve(repo, ..)
            | Self::Raw(repo, ..)
            | Self::Cache(repo, ..) => Some(repo),
        }
    }

    /// The path in the repository that is asked for.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Resolve(_, _, path) | Self::Raw(_, _, path) | Self::Cache(_, _, path) => {
                Some(path)
            }
            _ => None,
        }
    }
}

/// A URL taken apart.
pub(super) struct Asked {
    /// Decoded.
    pub path: String,
    /// As they came.
    pub raw_path: String,
    pub query: String,
    pub pairs: Vec<(String, String)>,
    pub route: Route,
}

impl Asked {
    pub fn new(origin: Origin, target: &str) -> Self {
        let (raw_path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = pairs(query);
        let segments: Vec<String> =
            raw_path.trim_start_matches('/').split('/').map(unquote).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let route = match origin {
            Origin::Cdn => pairs
                .iter()
                .find(|(name, _)| name == "Signature")
                .map(|(_, signature)| Route::Cdn(signature.clone())),
            Origin::Hub => route(&segments),
        };
        let path = format!("/{}", segments.join("/"));
        let (raw_path, query) = (raw_path.into(), query.into());
        Self { path, raw_path, query, pairs, route: route.unwrap_or(Route::Nowhere) }
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| matches!(value, "1" | "true" | "True"))
    }
}

fn kind(segment: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| segment.strip_suffix('s') == Some(kind.noun()))
}

fn route(segments: &[&str]) -> Option<Route> {
    match segments {
        ["api", "whoami-v2"] => Some(Route::Whoami),
        ["api", "resolve-cache", kind_, rest @ ..] => {
            // The id is one segment or two; a commit's id follows.
            let bare = rest.get(1).is_some_and(|at| is_commit(at));
            let (id, rest) = rest.split_at_checked(if bare { 1 } else { 2 })?;
            let (commit, path) = rest.split_first()?;
            let repo = (kind(kind_)?, id.join("/"));
            Some(Route::Cache(repo, (*commit).into(), path.join("/")))
        }
        ["api", kind_, rest @ ..] => api(kind(kind_)?, rest),
        [first, rest @ ..] => match kind(first).filter(|&kind| kind != Kind::Model) {
            Some(kind) => page(kind, rest),
            None => page(Kind::Model, segments),
        },
        [] => None,
    }
}

fn is_commit(segment: &str) -> bool {
    segment.len() == 40 && segment.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn api(kind: Kind, segments: &[&str]) -> Option<Route> {
    const VERBS: [&str; 7] =
        ["revision", "tree", "paths-info", "refs", "commits", "auth-check", "xet-read-token"];
    let bare = segments.get(1).is_none_or(|verb| VERBS.contains(verb));
    let (id, rest) = segments.split_at_checked(if bare { 1 } else { 2 })?;
    let repo = (kind, id.join("/"));
    let Some((verb, rest)) = rest.split_first() else { return Some(Route::Info(repo, None)) };
    match *verb {
        "refs" => return rest.is_empty().then_some(Route::Refs(repo)),
        "auth-check" => return Some(Route::AuthCheck(repo)),
        _ => {}
    }
    let (revision, rest) = revision(rest)?;
    match *verb {
        "tree" => Some(Route::Tree(repo, revision, rest.join("/"))),
        _ if !rest.is_empty() => None,
        "revision" => Some(Route::Info(repo, Some(revision))),
        "paths-info" => Some(Route::PathsInfo(repo, revision)),
        "commits" => Some(Route::Commits(repo, revision)),
        "xet-read-token" => Some(Route::XetToken(repo, revision)),
        _ => None,
    }
}

fn page(kind: Kind, segments: &[&str]) -> Option<Route> {
    let verb = [1, 2].into_iter().find(|&at| {
        segments.get(at).is_some_and(|segment| matches!(*segment, "resolve" | "raw"))
    })?;
    let repo = (kind, segments[..verb].join("/"));
    let (revision, path) = revision(&segments[verb + 1..])?;
    let path = path.join("/");
    Some(match segments[verb] {
        "raw" => Route::Raw(repo, revision, path),
        _ => Route::Resolve(repo, revision, path),
    })
}

/// A revision is one segment in which slashes are escaped; `refs/..` is understood without that.
fn revision<'a, 's>(segments: &'s [&'a str]) -> Option<(String, &'s [&'a str])> {
    let len = if segments.first() == Some(&"refs") { 3 } else { 1 };
    let (revision, rest) = segments.split_at_checked(len)?;
    Some((revision.join("/"), rest))
}
