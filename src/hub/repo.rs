//! How a repository, a revision and a file are written in the hub's URLs.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use crate::error::HubError;
use crate::model::{FilePath, ModelId, NameError, Revision};

/// What is quoted: all but letters, digits and `-._~` (RFC 3986's unreserved).
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RepoKind {
    /// `org/name`.
    Model,
    /// `datasets/org/name`.
    Dataset,
    /// `spaces/org/name`.
    Space,
}

impl RepoKind {
    /// The kind of repository that `model` names.
    #[must_use]
    pub fn of(model: &ModelId) -> Self {
        match model.split_prefix().0 {
            "datasets/" => Self::Dataset,
            "spaces/" => Self::Space,
            _ => Self::Model,
        }
    }

    /// `model` as a repository of this kind: with its prefix, if it has none.
    ///
    /// # Errors
    /// When it has the prefix of another kind.
    pub fn apply(self, model: &ModelId) -> Result<ModelId, NameError> {
        match Self::of(model) {
            kind if kind == self => Ok(model.clone()),
            Self::Model => format!("{}{model}", self.prefix()).parse(),
            _ => Err(NameError::new("name", model.as_str(), "it has the prefix of another kind")),
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
            Self::Space => "spaces/",
        }
    }

    fn api(self) -> &'static str {
        match self {
            Self::Model => "models/",
            Self::Dataset => "datasets/",
            Self::Space => "spaces/",
        }
    }
}

impl fmt::Display for RepoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Space => "space",
        })
    }
}

/// A hub's address, checked: `http` or `https`, without credentials, query and fragment.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// Without a slash at its end.
    base: String,
    url: Url,
}

impl Endpoint {
    pub(super) fn new(text: &str) -> Result<Self, HubError> {
        let refuse = |why: &str| HubError::Setting {
            // The text may hold a password, so it is not shown.
            setting: "the hub's address (endpoint)".to_owned(),
            why: why.to_owned(),
        };
        let base = text.trim().trim_end_matches('/');
        let url = Url::parse(base).map_err(|e| refuse(&format!("it is not a URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refuse("it must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it must not have a name or password in it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it must not have a query"));
        }
        Ok(Self { base: base.to_owned(), url })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.base
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether `url` has the same scheme, host and port: only there the token may go.
    pub(super) fn owns(&self, url: &Url) -> bool {
        same_origin(&self.url, url)
    }

    /// `/api/{kind}/{id}/{tail}`. The tail is quoted already.
    pub(super) fn api(&self, model: &ModelId, tail: &str) -> Result<Url, HubError> {
        let (kind, (_, name)) = (RepoKind::of(model), model.split_prefix());
        self.join(&format!("/api/{}{name}{tail}", kind.api()))
    }

    pub(super) fn whoami(&self) -> Result<Url, HubError> {
        self.join("/api/whoami-v2")
    }

    /// Where the bytes of a file are asked for.
    pub(super) fn resolve(
        &self,
        model: &ModelId,
        commit: &Revision,
        path: &FilePath,
    ) -> Result<Url, HubError> {
        let mut url = format!("/{model}/resolve/{commit}");
        for component in path.as_str().split('/') {
            url.push('/');
            url.extend(quote(component));
        }
        self.join(&url)
    }

    /// The page people see.
    pub(super) fn page(&self, model: &ModelId) -> String {
        format!("{}/{model}", self.base)
    }

    fn join(&self, path: &str) -> Result<Url, HubError> {
        let text = format!("{}{path}", self.base);
        Url::parse(&text)
            .map_err(|e| HubError::Protocol { url: text, what: format!("not a URL: {e}") })
    }
}

/// One segment of a path, quoted.
pub(super) fn quote(text: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(text, QUOTED)
}

pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// A URL as errors show it: the query may hold a signature, the user part a password.
pub(super) fn shown(url: &Url) -> String {
    let mut text = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        text.push_str(&format!(":{port}"));
    }
    text.push_str(url.path());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ModelId {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_has_its_addresses() {
        let hub = Endpoint::new("https://hub.test/base/").unwrap();
        let commit: Revision = "a".repeat(40).parse().unwrap();
        let path = FilePath::new("a b/ü#?%2F.bin").unwrap();
        for (model, api, resolve) in [
            ("gpt2", "models/gpt2", "gpt2"),
            ("o/n", "models/o/n", "o/n"),
            ("datasets/o/n", "datasets/o/n", "datasets/o/n"),
            ("spaces/o/n", "spaces/o/n", "spaces/o/n"),
        ] {
            let url = hub.api(&id(model), "/refs").unwrap();
            assert_eq!(url.as_str(), format!("https://hub.test/base/api/{api}/refs"));
            let url = hub.resolve(&id(model), &commit, &path).unwrap();
            assert_eq!(
                url.as_str(),
                format!(
                    "https://hub.test/base/{resolve}/resolve/{commit}/a%20b/%C3%BC%23%3F%252F.bin"
                )
            );
        }
        assert_eq!(quote("refs/pr/1").to_string(), "refs%2Fpr%2F1");
    }

    #[test]
    fn a_kind_is_applied_once() {
        assert_eq!(RepoKind::Dataset.apply(&id("o/n")).unwrap(), id("datasets/o/n"));
        assert_eq!(RepoKind::Dataset.apply(&id("datasets/o/n")).unwrap(), id("datasets/o/n"));
        assert_eq!(RepoKind::Model.apply(&id("o/n")).unwrap(), id("o/n"));
        assert!(RepoKind::Space.apply(&id("datasets/o/n")).is_err());
        assert!(RepoKind::Model.apply(&id("datasets/o/n")).is_err());
    }

    #[test]
    fn an_endpoint_is_plain() {
        for bad in ["", "hub.test", "ftp://hub.test", "https://u:p@hub.test", "https://h/?a=b"] {
            let error = Endpoint::new(bad).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("u:p"), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hub = Endpoint::new("https://hub.test").unwrap();
        for (url, same) in [
            ("https://hub.test:443/x", true),
            ("https://HUB.test/x", true),
            ("http://hub.test/x", false),
            ("https://hub.test:444/x", false),
            ("https://cdn.hub.test/x", false),
        ] {
            assert_eq!(hub.owns(&url.parse().unwrap()), same, "{url}");
        }
    }

    #[test]
    fn shown_urls_have_no_secrets() {
        let url: Url = "https://u:p@h:1/a/b?Signature=s#f".parse().unwrap();
        assert_eq!(shown(&url), "https://h:1/a/b");
    }
}
