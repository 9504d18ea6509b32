//! What the hub means by an answer that is not the one asked for.

mod pause;

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};

pub(super) use pause::pause;

use super::repo::{Endpoint, shown};
use crate::error::HubError;
use crate::model::{FilePath, ModelId};

/// How much of a refusal's text is shown, in characters.
const MAX_MESSAGE: usize = 200;

/// What a request is about, so that a refusal can say it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub model: Option<&'a ModelId>,
    pub revision: Option<&'a str>,
    pub path: Option<&'a FilePath>,
}

/// The hub's own refusal, which came with `message`.
///
/// The hub tells its cases apart by `X-Error-Code`, and where it sends none, by the words of its
/// message. To a stranger it says 401 for what is missing and for what is private; the same case is a
/// 404 to who sends a token.
pub(super) fn refusal(
    (url, status): (&Url, StatusCode),
    headers: &HeaderMap,
    message: String,
    asked: Asked<'_>,
    endpoint: &Endpoint,
    with_token: bool,
) -> HubError {
    let code = header(headers, "x-error-code").unwrap_or_default();
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    if let Some(error) = busy((url, status), headers) {
        return error;
    }
    let refused =
        |message: String| HubError::Refused { url: shown(url), status: status.as_u16(), message };
    let Some(model) = asked.model else {
        return match status.as_u16() {
            401 if with_token => bad_token(endpoint),
            401 => HubError::Unauthorized { url: shown(url) },
            _ => refused(message),
        };
    };
    let missing = || HubError::NotFound {
        model: model.clone(),
        endpoint: endpoint.as_str().to_owned(),
        with_token,
    };
    let no_revision = || HubError::RevisionNotFound {
        model: model.clone(),
        revision: asked.revision.unwrap_or_default().to_owned(),
    };
    let no_file = |path: &FilePath| HubError::FileNotFound {
        model: model.clone(),
        revision: asked.revision.unwrap_or_default().to_owned(),
        path: path.clone(),
    };
    match (code, asked.path) {
        ("RepoNotFound", _) => return missing(),
        ("RevisionNotFound", _) => return no_revision(),
        ("EntryNotFound", Some(path)) => return no_file(path),
        ("GatedRepo", _) => {
            let page = endpoint.page(model);
            return HubError::Gated { model: model.clone(), page, with_token };
        }
        _ => {}
    }
    match (status.as_u16(), asked.path) {
        (401, _) if with_token => bad_token(endpoint),
        (401, _) => missing(),
        (403, _) if says("disabled") => HubError::Disabled { model: model.clone() },
        (404, _) if says("invalid rev") => no_revision(),
        (404, _) if says("repository not found") => missing(),
        (404, Some(path)) => no_file(path),
        (404, None) => missing(),
        _ => refused(message),
    }
}

/// A server that is not able to answer now, hub or not.
pub(super) fn busy((url, status): (&Url, StatusCode), headers: &HeaderMap) -> Option<HubError> {
    let url = shown(url);
    match status.as_u16() {
        429 => Some(HubError::RateLimited { url, retry_after: pause(headers) }),
        status @ (408 | 425 | 500..) => {
            Some(HubError::Server { url, status, retry_after: pause(headers) })
        }
        _ => None,
    }
}

fn bad_token(endpoint: &Endpoint) -> HubError {
    HubError::BadToken { endpoint: endpoint.as_str().to_owned() }
}

pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Whether the answer calls itself a page for people.
pub(super) fn is_html(headers: &HeaderMap) -> bool {
    header(headers, "content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
}

/// Identity was asked for. Anything else would be hashed and stored as it is.
pub(super) fn encoding(headers: &HeaderMap) -> Option<&str> {
    header(headers, "content-encoding")
        .filter(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"))
}

/// What the hub says, fit to be shown: short, one line, without the token. `body` is the beginning of
/// what came.
pub(super) fn message(headers: &HeaderMap, body: &[u8], token: Option<&str>) -> String {
    #[derive(serde::Deserialize)]
    struct Error {
        error: String,
    }
    let text = if let Some(text) = header(headers, "x-error-message") {
        text.to_owned()
    } else if let Ok(Error { error }) = serde_json::from_slice(body) {
        error
    } else if is_html(headers) {
        String::new()
    } else {
        String::from_utf8_lossy(body).into_owned()
    };
    let text = match token {
        Some(token) => text.replace(token, "…"),
        None => text,
    };
    let text: String = text
        .trim()
        .chars()
        .take(MAX_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.is_empty() { "no reason given".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
