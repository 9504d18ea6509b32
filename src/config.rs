//! What the user wrote into the store's `config.toml` (feature `config`).
//!
//! ```toml
//! [hub]
//! endpoint = "https://hub.example"        # where models come from
//!
//! [names]                                 # short names of one's own
//! my-llama = "org/name@rev"
//! squad = "datasets/org/name"
//!
//! [space]
//! max = "500GB"                           # bytes that the store may take on the disk
//! low_mark = "90%"                        # how far it is emptied when it is full
//! min_free = "20GB"                       # bytes of the disk that stay free
//! trash = "24h"                           # how long what was removed can be restored
//! ```
//!
//! All of it is optional, and so is the file. Whatever else stands there is an error and not
//! ignored: a setting that is misspelt would be taken for one that holds.

mod edit;
mod space;

pub use edit::{set, unset};
pub use space::parse_age;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use serde::Deserialize;
use serde::de::Error as _;

use crate::error::{ConfigError, HubError};
use crate::fs::real::RealFs;
use crate::fs::{Dir, Kind, Open};
use crate::model::{ModelId, ModelSpec};
use crate::store::Limits;
use space::Space;

/// The file's name in the store's directory.
pub const FILE_NAME: &str = crate::store::CONFIG;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

type Result<T> = std::result::Result<T, ConfigError>;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// `hub.endpoint`: the hub's address.
    pub endpoint: Option<String>,
    /// `names`: the user's short names, and what each is short for.
    pub names: BTreeMap<String, ModelSpec>,
    /// `space.max`, `space.low_mark` and `space.min_free`: how much of the disk the store may take.
    pub limits: Limits,
    /// `space.trash`: how long what is removed can be restored, when its space is not needed.
    pub trash: Option<Duration>,
}

impl Settings {
    /// Reads `config.toml` in the store's directory. A file or a directory that is not there sets
    /// nothing. Symbolic links are not followed.
    ///
    /// # Errors
    /// [`ConfigError::NotAFile`], [`ConfigError::Invalid`], and what the file system says; more
    /// than 1 MiB is not read.
    pub fn read(store: impl AsRef<Path>) -> Result<Self> {
        let dir = match Dir::open(&RealFs, store.as_ref()) {
            Ok(dir) => dir,
            Err(e) if e.is_not_found() => return Ok(Self::default()),
            Err(e) => return Err(e.into()),
        };
        let text = read_text(&dir)?.unwrap_or_default();
        Self::parse(&text, &dir.path().join(FILE_NAME))
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let file: File = toml_edit::de::from_str(text).map_err(|e| {
            let before = text.get(..e.span().map_or(0, |span| span.start)).unwrap_or(text);
            // The message may have lines of its own: what was expected, and where.
            let why = e.message().replace('\n', ", ");
            let value = e.span().and_then(|span| text.get(span)).unwrap_or_default();
            let why = if why.contains("://") && value.contains('@') {
                "a value that does not fit; it is not shown, for a password may be in it".to_owned()
            } else {
                why
            };
            ConfigError::Invalid { path: path.into(), line: line_after(before.as_bytes()), why }
        })?;
        Ok(Self {
            endpoint: file.hub.endpoint.map(|Endpoint(text)| text),
            names: file.names.into_iter().map(|(Short(name), Meant(spec))| (name, spec)).collect(),
            limits: file.space.limits(),
            trash: file.space.trash(),
        })
    }
}

/// The file's text, or `None` when there is no file.
fn read_text(dir: &Dir) -> Result<Option<String>> {
    let path = || dir.path().join(FILE_NAME);
    let not_a_file = |what| ConfigError::NotAFile { path: path(), what };
    let file = match dir.open_file(FILE_NAME, Open::Read) {
        Ok(file) => file,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) if e.is(Errno::LOOP) => return Err(not_a_file("a symbolic link")),
        Err(e) if e.is(Errno::NXIO) => return Err(not_a_file("a socket")),
        Err(e) => return Err(e.into()),
    };
    match file.stat()?.kind {
        Kind::File => {}
        Kind::Dir => return Err(not_a_file("a directory")),
        Kind::Symlink | Kind::Other => return Err(not_a_file("a fifo, socket or device")),
    }
    String::from_utf8(file.read_all(MAX_BYTES)?).map(Some).map_err(|e| {
        let good = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        let why = "it is not UTF-8 text".to_owned();
        ConfigError::Invalid { path: path(), line: line_after(good), why }
    })
}

/// The number of the line that begins or goes on behind `before`.
fn line_after(before: &[u8]) -> usize {
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// The file's shape. Its messages name what is allowed, because serde's do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "the sections [hub], [names] and [space]")]
struct File {
    #[serde(default)]
    hub: Hub,
    #[serde(default)]
    names: BTreeMap<Short, Meant>,
    #[serde(default)]
    space: Space,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the section [hub] with an endpoint")]
struct Hub {
    endpoint: Option<Endpoint>,
}

struct Endpoint(String);

/// A name without a `/`, so that no model of a hub's organization is ever hidden by one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Short(String);

struct Meant(ModelSpec);

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match crate::hub::check_endpoint(&text) {
            Ok(()) => Ok(Self(text)),
            Err(HubError::Setting { why, .. }) => Err(D::Error::custom(why)),
            Err(e) => Err(D::Error::custom(e)),
        }
    }
}

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.contains('/') {
            return Err(D::Error::custom(format!("{text:?} is not a short name: it has a \"/\"")));
        }
        text.parse::<ModelId>().map_err(D::Error::custom)?;
        Ok(Self(text))
    }
}

impl<'de> Deserialize<'de> for Meant {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
