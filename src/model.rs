//! The vocabulary: what a user names, and what a revision of it holds. No I/O.

mod manifest;
mod names;
mod path;

pub use manifest::{Manifest, ManifestError, ManifestFile};
pub use names::WellKnown;
pub use path::{FilePath, PathProblem};

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The longest model name, in bytes, as the hub allows it; a prefix does not count.
const MAX_MODEL: usize = 96;
/// First parts that say what kind of repository the rest names.
const PREFIXES: [&str; 2] = ["datasets/", "spaces/"];
/// The longest ref or revision, in bytes. Percent-encoded it still fits a file name.
const MAX_REF: usize = 80;

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {why}")]
pub struct NameError {
    what: &'static str,
    text: String,
    why: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self { what, text: text.to_owned(), why }
    }
}

/// What a user names: `org/name`, or a bare `name`; the hub's datasets and spaces are
/// `datasets/org/name` and `spaces/org/name`.
///
/// The hub's own rules hold, because a name becomes a directory: letters, digits, `.`, `_` and `-`;
/// no part begins or ends with `.` or `-`; `--` and `..` are not allowed; at most 96 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(Cow<'static, str>);

impl ModelId {
    /// The name as the user writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory name that stands for this model: `org--name`, `datasets--org--name`. `--` in a
    /// name is refused, so two models never meet in one directory.
    #[must_use]
    pub fn dir_name(&self) -> String {
        self.0.replace('/', "--")
    }

    /// The model a [`dir_name`](Self::dir_name) stands for.
    #[must_use]
    pub fn from_dir_name(name: &str) -> Option<Self> {
        name.replace("--", "/").parse().ok()
    }

    /// `datasets/` or `spaces/`, or nothing, and the name behind it.
    #[cfg(feature = "hub")]
    pub(crate) fn split_prefix(&self) -> (&'static str, &str) {
        split_prefix(&self.0)
    }
}

fn split_prefix(text: &str) -> (&'static str, &str) {
    PREFIXES
        .iter()
        .find_map(|prefix| Some((*prefix, text.strip_prefix(prefix)?)))
        .unwrap_or(("", text))
}

impl FromStr for ModelId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| Err(NameError::new("model name", text, why));
        let (_, name) = split_prefix(text);
        if name.len() > MAX_MODEL {
            return refuse("it is longer than 96 bytes");
        }
        if name.matches('/').count() > 1 {
            return refuse("write org/name or name, or datasets/ or spaces/ before it");
        }
        if text.contains("--") || text.contains("..") {
            return refuse("\"--\" and \"..\" are not allowed");
        }
        for part in text.split('/') {
            if part.is_empty() {
                return refuse("a part of it is empty; write org/name or name");
            }
            if !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
                return refuse("only letters, digits, \".\", \"_\" and \"-\" are allowed");
            }
            if part.starts_with(['.', '-']) || part.ends_with(['.', '-']) {
                return refuse("no part may begin or end with \".\" or \"-\"");
            }
        }
        Ok(Self(text.to_owned().into()))
    }
}

/// A movable name for a revision: a branch, a tag, `main`, `refs/pr/1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

impl RefName {
    /// The ref that is meant when none is named.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The ref as the user writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file name that stands for this ref: bytes other than letters, digits, `_` and `-` (and
    /// `.` within) are written `%XX`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let mut name = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            let plain = byte.is_ascii_alphanumeric()
                || b"_-".contains(&byte)
                || (byte == b'.' && !name.is_empty());
            if plain {
                name.push(char::from(byte));
            } else {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
        name
    }

    /// The ref a [`file_name`](Self::file_name) stands for.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(name.len());
        let mut rest = name;
        while let Some((plain, escaped)) = rest.split_once('%') {
            bytes.extend_from_slice(plain.as_bytes());
            bytes.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
            rest = escaped.get(2..)?;
        }
        bytes.extend_from_slice(rest.as_bytes());
        let parsed: Self = String::from_utf8(bytes).ok()?.parse().ok()?;
        (parsed.file_name() == name).then_some(parsed)
    }
}

impl FromStr for RefName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| Err(NameError::new("ref", text, why));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_REF {
            return refuse("it is longer than 80 bytes");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '@' || c == '\\') {
            return refuse("white space, control characters, \"@\" and \"\\\" are not allowed");
        }
        if text.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return refuse("no part between slashes may be empty, \".\" or \"..\"");
        }
        Ok(Self(text.to_owned()))
    }
}

/// An immutable version of a model: the hub's commit, or, for local content, the hash of its
/// manifest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(String);

impl Revision {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl FromStr for Revision {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits && (text.len() == 40 || text.len() == 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("revision", text, "write 40 or 64 lower-case hexadecimal digits"))
        }
    }
}

/// A model as a command names it: `org/name`, or `org/name@` and a ref, a revision or the first
/// digits of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// The model.
    pub model: ModelId,
    /// What stands behind the `@`.
    pub at: Option<RefName>,
}

impl FromStr for ModelSpec {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Ok(match text.split_once('@') {
            None => Self { model: text.parse()?, at: None },
            Some((model, at)) => Self { model: model.parse()?, at: Some(at.parse()?) },
        })
    }
}

impl From<ModelId> for ModelSpec {
    fn from(model: ModelId) -> Self {
        Self { model, at: None }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            None => write!(f, "{}", self.model),
            Some(at) => write!(f, "{}@{at}", self.model),
        }
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(ModelId, RefName, Revision);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_never_become_paths_unchecked() {
        for good in [
            "gpt2",
            "org/name",
            "Qwen/Qwen2.5-7B_x",
            "a/b",
            "datasets/a/b",
            "spaces/a/b",
            "datasets/squad",
            "datasets",
        ] {
            let id: ModelId = good.parse().unwrap();
            assert_eq!(ModelId::from_dir_name(&id.dir_name()), Some(id));
        }
        let long = "x".repeat(97);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "models/a/b",
            "datasets/",
            "datasets/a/b/c",
            "datasets/datasets/a/b",
            "spaces/../a",
            "../a",
            "a/..",
            "a--b",
            ".a",
            "a/.b",
            "-a",
            "a-",
            "a b",
            "a\nb",
            "ä",
            "a\\b",
            &long,
        ] {
            assert!(bad.parse::<ModelId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn refs_survive_their_file_names() {
        for good in ["main", "v1.0", "refs/pr/1", ".hidden", "ä", "100%", "a-b_c"] {
            let name: RefName = good.parse().unwrap();
            let file = name.file_name();
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert_eq!(RefName::from_file_name(&file), Some(name));
        }
        for bad in ["", "a b", "a\n", "../x", "a//b", "/", "x@y", &"r".repeat(81)] {
            assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_spec_splits_at_its_at_sign() {
        let spec: ModelSpec = "org/name@v1".parse().unwrap();
        assert_eq!(spec.model.as_str(), "org/name");
        assert_eq!(spec.at.as_ref().unwrap().as_str(), "v1");
        assert_eq!(spec.to_string(), "org/name@v1");
        assert!("org/name@".parse::<ModelSpec>().is_err());
    }
}
