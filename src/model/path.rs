//! The path of a file within a model, checked once where it enters.

use std::fmt;

/// The longest component, in bytes, that every file system the store meets can hold.
const MAX_COMPONENT: usize = 255;
/// The longest path, in bytes.
const MAX_PATH: usize = 4096;

/// Why a path cannot be a file of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathProblem {
    /// Nothing, or nothing between two slashes.
    #[error("a component is empty")]
    Empty,
    /// A component is `.` or `..`.
    #[error("\".\" and \"..\" are not allowed")]
    Dots,
    /// It begins with a slash.
    #[error("it is absolute")]
    Absolute,
    /// NUL, newline or another control character, or a backslash.
    #[error("control characters and backslashes are not allowed")]
    Character,
    /// A component or the whole is too long.
    #[error("it is too long (255 bytes a component, 4096 in all)")]
    TooLong,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// A relative path with `/` between its components; none of them is empty, `.` or `..`, holds a
/// control character or a backslash, or is longer than 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, PathProblem> {
        let text = text.into();
        if text.starts_with('/') {
            return Err(PathProblem::Absolute);
        }
        if text.len() > MAX_PATH {
            return Err(PathProblem::TooLong);
        }
        for component in text.split('/') {
            Self::check_component(component)?;
        }
        Ok(Self(text))
    }

    /// Checks one component.
    pub(crate) fn check_component(component: &str) -> Result<(), PathProblem> {
        if component.is_empty() {
            Err(PathProblem::Empty)
        } else if component == "." || component == ".." {
            Err(PathProblem::Dots)
        } else if component.chars().any(|c| c.is_control() || c == '\\') {
            Err(PathProblem::Character)
        } else if component.len() > MAX_COMPONENT {
            Err(PathProblem::TooLong)
        } else {
            Ok(())
        }
    }

    /// The whole path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory part, `""` at the top, and the file's name.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for FilePath {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for FilePath {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_model() {
        for good in ["config.json", "a/b/c", "with space", "ünï/#?%", "..a", "a..", ".hidden/x"] {
            assert!(FilePath::new(good).is_ok(), "{good:?}");
        }
        let long = "x".repeat(256);
        for bad in
            ["", "/a", "a//b", "a/", "..", "a/../b", "./a", "a\0b", "a\nb", "a\\b", long.as_str()]
        {
            assert!(FilePath::new(bad).is_err(), "{bad:?}");
        }
    }
}
