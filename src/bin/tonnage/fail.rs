//! How a command ends: exit codes, and errors with what the user can do next.

use std::process::ExitCode;

use serde::Serialize;
use tonnage::error::{
    ConfigError, Differences, ErrorKind, HubError, PullError, StoreError, ViewError,
};

/// How many paths of one sort an error lists.
const LISTED: usize = 10;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// It did what it could, and that was not all.
    Partly,
    Usage,
    /// It found damaged data.
    Damaged,
    Failed(ErrorKind),
    /// A program that was to be run, by a shell's code.
    Command(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Partly => 1,
            Exit::Usage => 2,
            Exit::Damaged => 4,
            Exit::Failed(kind) => code(kind),
            Exit::Command(code) => code,
        })
    }
}

fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::Damaged => 4,
        ErrorKind::NoSpace => 5,
        ErrorKind::Hub => 6,
        ErrorKind::Busy => 7,
        ErrorKind::Cancelled => 130,
        _ => 1,
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
    pub hint: Option<String>,
    /// Boxed: most errors have none, and every result is as large as its error.
    pub differences: Option<Box<Differences>>,
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, differences: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What differs in a view, a line each.
    pub fn details(&self) -> Vec<String> {
        let Some(differences) = &self.differences else { return Vec::new() };
        let mut lines = Vec::new();
        for (what, paths) in [
            ("changed", &differences.changed),
            ("missing", &differences.missing),
            ("added", &differences.extra),
        ] {
            lines.extend(paths.iter().take(LISTED).map(|path| format!("  {what:<8} {path}")));
            if paths.len() > LISTED {
                lines.push(format!("  {what:<8} and {} more", paths.len() - LISTED));
            }
        }
        lines
    }

    /// The one object of a command that failed.
    pub fn to_json(&self) -> impl Serialize + '_ {
        #[derive(Serialize)]
        struct Object<T> {
            error: T,
        }
        Object { error: self.object() }
    }

    /// What it is in any object.
    pub fn object(&self) -> impl Serialize + '_ {
        #[derive(Serialize)]
        struct Error<'a> {
            kind: &'static str,
            message: &'a str,
            hint: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            differences: Option<Paths<'a>>,
        }
        #[derive(Serialize)]
        struct Paths<'a> {
            changed: &'a [String],
            missing: &'a [String],
            added: &'a [String],
        }
        Error {
            kind: self.kind.name(),
            message: &self.message,
            hint: self.hint.as_deref(),
            differences: self.differences.as_ref().map(|differences| Paths {
                changed: &differences.changed,
                missing: &differences.missing,
                added: &differences.extra,
            }),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        Self { kind: e.kind(), message: e.to_string(), hint: e.hint(), differences: None }
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        Self { kind: e.kind(), message: e.to_string(), hint: e.hint(), differences: None }
    }
}

impl From<PullError> for Failure {
    fn from(e: PullError) -> Self {
        (&e).into()
    }
}

impl From<&PullError> for Failure {
    fn from(e: &PullError) -> Self {
        Self { kind: e.kind(), message: e.to_string(), hint: e.hint(), differences: None }
    }
}

impl From<HubError> for Failure {
    fn from(e: HubError) -> Self {
        PullError::from(e).into()
    }
}

impl From<ViewError> for Failure {
    fn from(e: ViewError) -> Self {
        let (kind, message, hint) = (e.kind(), e.to_string(), e.hint());
        let differences = match e {
            ViewError::Differs { differences, .. } => Some(Box::new(differences)),
            _ => None,
        };
        Self { kind, message, hint, differences }
    }
}
