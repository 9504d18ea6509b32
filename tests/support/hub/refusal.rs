//! Why a request gets nothing: the hub's table of errors.

use super::answer::Answer;
use super::repo::{Commit, Gate, Kind, Repo};
use super::route::RepoName;
use super::server::State;
use super::wire::Incoming;

/// What is said instead of an answer.
pub(super) struct Refusal {
    pub status: u16,
    pub code: Option<&'static str>,
    pub message: String,
    /// The commit, where it is known.
    pub commit: Option<String>,
}

impl Refusal {
    pub fn new(status: u16, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), commit: None }
    }

    pub fn no_entry(commit: &str) -> Self {
        let commit = Some(commit.into());
        Self { commit, ..Self::new(404, Some("EntryNotFound"), "Entry not found") }
    }

    /// As the API says it, or as pages do.
    pub fn answer(self, is_api: bool) -> Answer {
        let mut answer = if is_api {
            let body = serde_json::json!({ "error": self.message });
            Answer { status: self.status, ..Answer::json(&body) }
        } else {
            Answer::text(self.status, "text/plain; charset=utf-8", self.message.clone())
        };
        answer.set("X-Error-Code", self.code.map(Into::into));
        answer.set("X-Error-Message", Some(self.message));
        answer.set("X-Repo-Commit", self.commit);
        answer
    }
}

/// The repository, if whoever asks may know of it, and read files of it when `content` is asked.
pub(super) fn admit<'a>(
    state: &'a State,
    incoming: &Incoming,
    name: &RepoName,
    content: bool,
) -> Result<&'a Repo, Refusal> {
    let token = known_token(state, incoming)?;
    let granted = |repo: &Repo| token.is_some_and(|token| repo.granted.contains(token));
    let repo = state.repos.get(name).filter(|repo| !repo.private || granted(repo));
    let Some(repo) = repo else {
        return Err(match token {
            None => Refusal::new(401, None, "Invalid username or password."),
            Some(_) => Refusal::new(404, Some("RepoNotFound"), "Repository not found"),
        });
    };
    if repo.disabled {
        return Err(Refusal::new(403, None, "Access to this resource is disabled."));
    }
    if content && repo.gate.is_some() && !granted(repo) {
        return Err(gated(repo, token.is_some()));
    }
    Ok(repo)
}

/// The token that came, if it is one the hub knows.
pub(super) fn known_token<'a>(
    state: &State,
    incoming: &'a Incoming,
) -> Result<Option<&'a str>, Refusal> {
    match incoming.token() {
        Some(token) if !state.tokens.contains_key(token) => {
            Err(Refusal::new(401, None, "Invalid credentials in Authorization header"))
        }
        token => Ok(token),
    }
}

fn gated(repo: &Repo, known: bool) -> Refusal {
    let (noun, prefix, id) = (repo.kind.noun(), repo.kind.prefix(), &repo.id);
    let (status, why) = if known {
        let visit = format!("Visit https://huggingface.co/{prefix}{id} to ask for access.");
        (403, format!("restricted and you are not in the authorized list. {visit}"))
    } else {
        let why = "restricted. You must have access to it and be authenticated to access it.";
        (401, format!("{why} Please log in."))
    };
    Refusal::new(status, Some("GatedRepo"), format!("Access to {noun} {id} is {why}"))
}

/// The commit that a revision means.
pub(super) fn commit<'a>(repo: &'a Repo, revision: &str) -> Result<&'a Commit, Refusal> {
    let bad = || Refusal::new(404, Some("RevisionNotFound"), format!("Invalid rev id: {revision}"));
    repo.commit(revision).ok_or_else(bad)
}

/// What the API says of a gate.
pub(super) fn gate(repo: &Repo) -> serde_json::Value {
    match repo.gate {
        None => false.into(),
        Some(Gate::Auto) => "auto".into(),
        Some(Gate::Manual) => "manual".into(),
    }
}

/// The beginning of a URL's path that names a repository.
pub(super) fn url_prefix(is_api: bool, kind: Kind, id: &str) -> String {
    if is_api { format!("/api/{}s/{id}", kind.noun()) } else { format!("/{}{id}", kind.prefix()) }
}
