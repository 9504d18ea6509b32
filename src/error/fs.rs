//! Failed operations on the file system.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::ErrorKind;

/// An operation on the file system that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FsError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FsError {
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }

    /// The path the operation was about.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What this means to the program that gets it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        if self.is_no_space() {
            ErrorKind::NoSpace
        } else if self.is_not_found() {
            ErrorKind::NotFound
        } else {
            ErrorKind::Failure
        }
    }

    pub(crate) fn into_io(self) -> io::Error {
        self.source
    }

    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    pub(crate) fn is_exists(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.source.kind() == io::ErrorKind::UnexpectedEof
    }

    pub(crate) fn is_no_space(&self) -> bool {
        self.is(Errno::NOSPC) || self.is(Errno::DQUOT)
    }

    /// The file system cannot do this at all, here or between these two places.
    pub(crate) fn is_unsupported(&self) -> bool {
        [Errno::XDEV, Errno::PERM, Errno::OPNOTSUPP, Errno::NOTTY, Errno::NOSYS, Errno::INVAL]
            .iter()
            .any(|&e| self.is(e))
            || self.source.kind() == io::ErrorKind::CrossesDevices
    }

    /// Whether the file system shares no parts of files at all. What one call takes exception to is
    /// told by `EINVAL`, which says nothing of others.
    pub(crate) fn cannot_share(&self) -> bool {
        self.is_unsupported() && !self.is(Errno::INVAL)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.is(Errno::ROFS) || self.is(Errno::ACCESS) || self.is(Errno::PERM)
    }
}
