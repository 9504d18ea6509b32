//! What a hub's client asks for, read from the path of its request.
//!
//! Paths are taken as they were sent: a segment is split off before its `%XX` are resolved, so `%2F` in
//! a name is a part of it.

use percent_encoding::percent_decode_str;

use crate::hub::RepoKind;
use crate::model::ModelId;

/// The words behind a repository's name.
const WORDS: [&str; 7] =
    ["revision", "tree", "paths-info", "refs", "commits", "auth-check", "xet-read-token"];

/// The kinds of refs that clients write without quoting their slashes.
const REF_KINDS: [&str; 4] = ["heads", "tags", "pr", "convert"];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Whose token it is.
    Whoami,
    /// Models by author, or words in their names.
    Search,
    /// A repository.
    Info {
        model: ModelId,
        revision: Option<String>,
    },
    /// Its files, below a directory.
    Tree {
        model: ModelId,
        revision: String,
        under: String,
    },
    /// Some of its files.
    PathsInfo {
        model: ModelId,
        revision: String,
    },
    Refs {
        model: ModelId,
    },
    Commits {
        model: ModelId,
        revision: String,
    },
    AuthCheck {
        model: ModelId,
    },
    /// The bytes of a file; `raw`: of the pointer that stands for a large one.
    File {
        model: ModelId,
        revision: String,
        path: String,
        raw: bool,
    },
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// Nothing is there.
    Unknown,
    /// It has a name that cannot be one.
    Malformed,
}

impl Route {
    pub fn parse(path: &str) -> Result<Self, NoRoute> {
        let mut segments = Vec::new();
        for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
            let text = percent_decode_str(segment).decode_utf8().map_err(|_| NoRoute::Malformed)?;
            if text.contains('\0') {
                return Err(NoRoute::Malformed);
            }
            segments.push(text.into_owned());
        }
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["api", "whoami-v2"] => Ok(Self::Whoami),
            ["api", "models"] => Ok(Self::Search),
            ["api", "models", rest @ ..] => about(RepoKind::Model, rest),
            ["api", "datasets", rest @ ..] => about(RepoKind::Dataset, rest),
            ["api", "spaces", rest @ ..] => about(RepoKind::Space, rest),
            ["api", ..] => Err(NoRoute::Unknown),
            ["datasets", rest @ ..] => file(RepoKind::Dataset, rest),
            ["spaces", rest @ ..] => file(RepoKind::Space, rest),
            all => file(RepoKind::Model, all),
        }
    }
}

/// Behind `/api/{kind}/`.
fn about(kind: RepoKind, segments: &[&str]) -> Result<Route, NoRoute> {
    let is_word = |at: usize| segments.get(at).is_some_and(|word| WORDS.contains(word));
    // A bare name has one segment, and a word may be a name.
    let len = if is_word(2) || (segments.len() == 2 && !is_word(1)) {
        2
    } else if is_word(1) || segments.len() == 1 {
        1
    } else {
        return Err(NoRoute::Unknown);
    };
    let (name, rest) = segments.split_at_checked(len).ok_or(NoRoute::Unknown)?;
    let model = model(kind, name)?;
    let Some((word, rest)) = rest.split_first() else {
        return Ok(Route::Info { model, revision: None });
    };
    match (*word, rest) {
        ("refs", []) => return Ok(Route::Refs { model }),
        ("auth-check", []) => return Ok(Route::AuthCheck { model }),
        _ => {}
    }
    let (revision, rest) = revision(rest).ok_or(NoRoute::Unknown)?;
    match (*word, rest) {
        ("revision", []) => Ok(Route::Info { model, revision: Some(revision) }),
        ("commits", []) => Ok(Route::Commits { model, revision }),
        ("paths-info", []) => Ok(Route::PathsInfo { model, revision }),
        ("tree", under) => {
            let under = under.join("/").trim_matches('/').to_owned();
            Ok(Route::Tree { model, revision, under })
        }
        _ => Err(NoRoute::Unknown),
    }
}

/// `{id}/resolve/{revision}/{path}`.
fn file(kind: RepoKind, segments: &[&str]) -> Result<Route, NoRoute> {
    let is_verb =
        |at: usize| segments.get(at).is_some_and(|word| ["resolve", "raw"].contains(word));
    let len = if is_verb(2) { 2 } else { 1 };
    let (name, rest) = segments.split_at_checked(len).ok_or(NoRoute::Unknown)?;
    let (verb, rest) = match rest {
        [verb, rest @ ..] if is_verb(len) => (*verb, rest),
        _ => return Err(NoRoute::Unknown),
    };
    let model = model(kind, name)?;
    let (revision, path) = revision(rest).ok_or(NoRoute::Unknown)?;
    if path.is_empty() {
        return Err(NoRoute::Unknown);
    }
    Ok(Route::File { model, revision, path: path.join("/"), raw: verb == "raw" })
}

fn model(kind: RepoKind, name: &[&str]) -> Result<ModelId, NoRoute> {
    // A segment with a slash in it would be another name.
    if name.iter().any(|segment| segment.contains('/')) {
        return Err(NoRoute::Malformed);
    }
    let id: ModelId = name.join("/").parse().map_err(|_| NoRoute::Malformed)?;
    kind.apply(&id).map_err(|_| NoRoute::Malformed)
}

/// The revision, as it is called here, and what stands behind it.
fn revision<'s, 't>(segments: &'s [&'t str]) -> Option<(String, &'s [&'t str])> {
    let (text, rest) = match segments {
        ["refs", kind, name, rest @ ..] if REF_KINDS.contains(kind) => {
            (format!("refs/{kind}/{name}"), rest)
        }
        [one, rest @ ..] => ((*one).to_owned(), rest),
        [] => return None,
    };
    let short = ["refs/heads/", "refs/tags/"].iter().find_map(|prefix| text.strip_prefix(prefix));
    Some(match short {
        _ if text == "HEAD" => ("main".to_owned(), rest),
        Some(name) => (name.to_owned(), rest),
        None => (text, rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ModelId {
        text.parse().unwrap()
    }

    #[test]
    fn names_of_one_and_of_two_segments_are_told_apart() {
        let info = |model: &str| Ok(Route::Info { model: id(model), revision: None });
        assert_eq!(Route::parse("/api/models/gpt2"), info("gpt2"));
        assert_eq!(Route::parse("/api/models/o/n"), info("o/n"));
        assert_eq!(Route::parse("/api/datasets/o/n"), info("datasets/o/n"));
        assert_eq!(
            Route::parse("/api/models/o/refs/refs"),
            Ok(Route::Refs { model: id("o/refs") })
        );
        assert_eq!(Route::parse("/api/models/gpt2/refs"), Ok(Route::Refs { model: id("gpt2") }));
    }

    #[test]
    fn revisions_may_be_quoted_or_not() {
        for (path, expected) in [
            ("/api/models/o/n/revision/main", "main"),
            ("/api/models/o/n/revision/HEAD", "main"),
            ("/api/models/o/n/revision/refs%2Fpr%2F1", "refs/pr/1"),
            ("/api/models/o/n/revision/refs/pr/1", "refs/pr/1"),
            ("/api/models/o/n/revision/refs%2Fheads%2Fdev", "dev"),
            ("/api/models/o/n/revision/refs/heads/dev", "dev"),
        ] {
            let revision = Some(expected.to_owned());
            assert_eq!(
                Route::parse(path),
                Ok(Route::Info { model: id("o/n"), revision }),
                "{path}"
            );
        }
    }

    #[test]
    fn a_file_has_any_name() {
        for (path, expected) in [
            ("/o/n/resolve/main/a/b.bin", "a/b.bin"),
            ("/o/n/resolve/main/a%2Fb.bin", "a/b.bin"),
            ("/o/n/resolve/refs/heads/main/%23%3F%25%20%C3%BC", "#?% ü"),
            ("/o/n/resolve/main/resolve/main/x", "resolve/main/x"),
        ] {
            let (model, revision) = (id("o/n"), "main".to_owned());
            let path_is = expected.to_owned();
            let route = Route::File { model, revision, path: path_is, raw: false };
            assert_eq!(Route::parse(path), Ok(route), "{path}");
        }
    }

    #[test]
    fn what_is_no_name_leads_nowhere() {
        for (path, why) in [
            ("/", NoRoute::Unknown),
            ("/api", NoRoute::Unknown),
            ("/api/agent-harnesses", NoRoute::Unknown),
            ("/api/models/a/b/c/d", NoRoute::Unknown),
            ("/o/n/resolve/main", NoRoute::Unknown),
            ("/o/n/blob/main/x", NoRoute::Unknown),
            ("/api/models/..%2F..%2Fetc", NoRoute::Malformed),
            ("/api/models/o%2Fn/refs", NoRoute::Malformed),
            ("/../x/resolve/main/y", NoRoute::Malformed),
            ("/api/models/%ff", NoRoute::Malformed),
            ("/o/n/resolve/main/%00", NoRoute::Malformed),
        ] {
            assert_eq!(Route::parse(path), Err(why), "{path}");
        }
    }
}
