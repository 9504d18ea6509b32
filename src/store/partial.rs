//! Partial downloads: staging directories that outlive their process.
//!
//! A pull's directory is named by what is pulled, so that a later process finds it. For each file
//! that is on its way it holds `<digest>.part` and `<digest>.groups`, named by the upstream's
//! digest: of the part's 1 MiB groups that are there, the BLAKE3 chaining values, 32 bytes each,
//! zeros where there is none. A value counts only if the bytes in the part have it, so neither a
//! kill nor a power loss can make a part lie, and nothing needs a sync. `<digest>.digest` says how
//! far a part that is complete is digested. `pull.json` says which model it all is for.

use std::ffi::OsStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::import::{LOCK, remove_all, remove_import};
use super::{Result, Store};
use crate::digest::Upstream;
use crate::digest::tree::{GROUP, group_count};
use crate::error::StoreError;
use crate::fs::{Dir, File, LockKind, Open};
use crate::model::{FilePath, ModelId, Revision};

/// How long a partial download waits for somebody to go on with it.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a pull's directory is for.
pub(crate) const LIST: &str = "pull.json";

const PREFIX: &str = "pull-";
const PART: &str = ".part";
const GROUPS: &str = ".groups";
const DIGEST: &str = ".digest";

/// No honest list is larger: a million files.
const MAX_LIST: u64 = 512 << 20;

/// `pull.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    pub model: ModelId,
    pub commit: Revision,
    pub files: Vec<ListedFile>,
}

/// A file that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedFile {
    pub path: FilePath,
    pub size: u64,
    pub upstream: Upstream,
}

/// A download that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partial {
    /// The model.
    pub model: ModelId,
    /// The hub's commit.
    pub commit: Revision,
    /// How many files were to be fetched.
    pub files: u64,
    /// The sum of their sizes, in bytes.
    pub bytes: u64,
    /// Bytes of them that are here.
    pub have: u64,
    /// When the last of them came, in seconds since the epoch.
    pub last_change: i64,
    /// Whether a running process goes on with it now.
    pub in_use: bool,
}

/// The directory of a pull.
#[cfg(feature = "hub")]
pub(crate) fn dir_name(model: &ModelId, commit: &Revision) -> String {
    named_for(&format!("{model}@{commit}"))
}

/// The directory of files of a commit that are read while they come: not that of a pull, which may
/// wait for its turn.
#[cfg(feature = "hub")]
pub(crate) fn inflow_name(model: &ModelId, commit: &Revision) -> String {
    named_for(&format!("inflow {model}@{commit}"))
}

#[cfg(feature = "hub")]
fn named_for(text: &str) -> String {
    let mut digits = crate::digest::BlobHash::of(text.as_bytes()).to_string();
    digits.truncate(16);
    format!("{PREFIX}{digits}")
}

/// Whether a staging directory is a pull's.
pub(super) fn is_pull(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The file that holds the bytes that came.
pub(crate) fn part_name(upstream: &Upstream) -> String {
    format!("{upstream}{PART}")
}

/// The file that holds the chaining values of the groups that came.
pub(crate) fn groups_name(upstream: &Upstream) -> String {
    format!("{upstream}{GROUPS}")
}

/// The file that says how far a part is digested.
#[cfg(feature = "hub")]
pub(crate) fn digest_name(upstream: &Upstream) -> String {
    format!("{upstream}{DIGEST}")
}

/// What stays when a pull's process ends.
pub(super) fn is_kept(name: &OsStr) -> bool {
    name == LIST || is_part(name) || ends_with(name, GROUPS) || ends_with(name, DIGEST)
}

fn is_part(name: &OsStr) -> bool {
    ends_with(name, PART)
}

fn ends_with(name: &OsStr, end: &str) -> bool {
    name.as_encoded_bytes().ends_with(end.as_bytes())
}

/// The end of a pull's process: parts stay, and without any the directory goes.
pub(super) fn leave(staging: &Dir, name: &str, dir: &Dir) -> Result<()> {
    if dir.list()?.iter().any(|entry| is_part(&entry.name)) {
        remove_all(dir, |name| !is_kept(name))
    } else {
        remove_import(staging, name, dir)
    }
}

/// Whether the newest file of a dead pull, whose lock the caller has, is older than the time to
/// live. The file system's own clock is asked, by way of the lock's time.
pub(super) fn is_expired(dir: &Dir, lock: &File) -> Result<bool> {
    lock.set_mtime(None)?;
    let now = lock.stat()?.mtime_ns;
    let mut newest = None;
    for entry in dir.list()? {
        if entry.name != LOCK && entry.name != LIST {
            newest = newest.max(Some(dir.stat(&entry.name)?.mtime_ns));
        }
    }
    let Some(newest) = newest else { return Ok(true) };
    Ok(i128::from(now) - i128::from(newest) >= TIME_TO_LIVE.as_nanos() as i128)
}

/// The list of a pull's directory; `None` when it cannot be read.
pub(crate) fn read_list(dir: &Dir) -> Option<List> {
    let bytes = dir.open_file(LIST, Open::Read).and_then(|file| file.read_all(MAX_LIST)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// How many bytes of a file are in `dir`, by what its groups say.
pub(crate) fn have(dir: &Dir, upstream: &Upstream, size: u64) -> u64 {
    if group_count(size) == 0 {
        return match dir.stat(part_name(upstream)) {
            Ok(stat) if stat.size == size => size,
            _ => 0,
        };
    }
    let read = dir
        .open_file(groups_name(upstream), Open::Read)
        .and_then(|file| file.read_all(group_count(size) * 32));
    let Ok(bytes) = read else { return 0 };
    let there = bytes.as_chunks::<32>().0.iter().enumerate().filter(|(_, cv)| **cv != [0; 32]);
    there.map(|(index, _)| GROUP.min(size.saturating_sub(index as u64 * GROUP))).sum()
}

/// The bytes that come back when a pull's directory goes.
fn allotted(dir: &Dir) -> Result<u64> {
    let mut bytes = 0;
    for entry in dir.list()? {
        let stat = dir.stat(&entry.name)?;
        bytes += if stat.nlink == 1 { stat.allotted } else { 0 };
    }
    Ok(bytes)
}

/// Whether a running process has the lock of a pull's directory.
pub(super) fn is_held(dir: &Dir) -> Result<bool> {
    Ok(match dir.open_file(LOCK, Open::Read) {
        Ok(lock) => !lock.try_lock(LockKind::Shared)?,
        Err(_) => false,
    })
}

impl Store {
    /// Downloads that are not complete, by model. They are gone on with by pulling the model
    /// again, and removed when nothing came for [`TIME_TO_LIVE`].
    ///
    /// # Errors
    /// When the staging directory cannot be read.
    pub fn partials(&self) -> Result<Vec<Partial>> {
        let mut found = Vec::new();
        for entry in self.layout.staging.list()? {
            if !entry.name.to_str().is_some_and(is_pull) {
                continue;
            }
            let Ok(dir) = self.layout.staging.open_dir(&entry.name) else { continue };
            let Some(list) = read_list(&dir) else { continue };
            let mut last_change = 0;
            let entries = match dir.list() {
                Err(e) if e.is_not_found() => continue, // it came to its end just now
                entries => entries?,
            };
            for entry in entries {
                if entry.name != LOCK
                    && let Ok(stat) = dir.stat(&entry.name)
                {
                    last_change = last_change.max(stat.mtime_ns.div_euclid(1_000_000_000));
                }
            }
            let in_use = is_held(&dir)?;
            found.push(Partial {
                files: list.files.len() as u64,
                bytes: list.files.iter().map(|file| file.size).sum(),
                have: list.files.iter().map(|f| have(&dir, &f.upstream, f.size)).sum(),
                model: list.model,
                commit: list.commit,
                last_change,
                in_use,
            });
        }
        found.sort_by(|a, b| (&a.model, &a.commit).cmp(&(&b.model, &b.commit)));
        Ok(found)
    }

    /// Removes the partial downloads of `model`, or of all models, that no running process goes on
    /// with, and returns the bytes that came back.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], and what the file system says.
    pub fn remove_partials(&self, model: Option<&ModelId>) -> Result<u64> {
        self.check_writable()?;
        self.each_partial(model, |name, dir| {
            let lock = dir.open_file(LOCK, Open::Ensure)?;
            if !lock.try_lock(LockKind::Exclusive)? {
                return Ok(0);
            }
            let bytes = allotted(dir)?;
            remove_import(&self.layout.staging, name, dir)?;
            Ok(bytes)
        })
    }

    /// The bytes that [`remove_partials`](Self::remove_partials) would bring back now.
    ///
    /// # Errors
    /// What the file system says.
    pub fn removable_partials(&self, model: Option<&ModelId>) -> Result<u64> {
        self.each_partial(model, |_, dir| if is_held(dir)? { Ok(0) } else { allotted(dir) })
    }

    /// The sum of what `each` says of the directories of pulls of `model`, or of all models.
    fn each_partial(
        &self,
        model: Option<&ModelId>,
        each: impl Fn(&str, &Dir) -> Result<u64>,
    ) -> Result<u64> {
        let mut bytes = 0;
        for entry in self.layout.staging.list()? {
            let Some(name) = entry.name.to_str().filter(|name| is_pull(name)) else { continue };
            let one = || {
                let dir = self.layout.staging.open_dir(name)?;
                if let Some(model) = model
                    && read_list(&dir).is_none_or(|list| list.model != *model)
                {
                    return Ok(0);
                }
                each(name, &dir)
            };
            match one() {
                Ok(more) => bytes += more,
                // Its owner, or a remover, was faster.
                Err(StoreError::Fs(e)) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(bytes)
    }

    /// The pulls that running processes have, but for `own`, by their directories' names.
    #[cfg(feature = "hub")]
    pub(crate) fn pulls_under_way(&self, own: &str) -> Result<Vec<(String, List)>> {
        let mut found = Vec::new();
        for entry in self.layout.staging.list()? {
            let Some(name) = entry.name.to_str().filter(|name| is_pull(name)) else { continue };
            if name == own {
                continue;
            }
            let Ok(dir) = self.layout.staging.open_dir(name) else { continue };
            if is_held(&dir)?
                && let Some(list) = read_list(&dir)
            {
                found.push((name.to_owned(), list));
            }
        }
        Ok(found)
    }

    /// The directory of a pull, whoever holds it; `None` when there is none.
    #[cfg(feature = "hub")]
    pub(crate) fn pull_dir(&self, name: &str) -> Result<Option<Dir>> {
        match self.layout.staging.open_dir(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes over, for the pull in `to`, what dead pulls of other revisions have of files with these
    /// upstream digests.
    #[cfg(feature = "hub")]
    pub(crate) fn adopt_parts(&self, to: &Dir, wanted: &[Upstream]) -> Result<()> {
        use crate::fs::Rename;
        for entry in self.layout.staging.list()? {
            let Some(name) = entry.name.to_str().filter(|name| is_pull(name)) else { continue };
            let Ok(dir) = self.layout.staging.open_dir(name) else { continue };
            let has = |upstream: &&Upstream| dir.stat(part_name(upstream)).is_ok();
            let parts: Vec<_> = wanted.iter().filter(has).collect();
            if parts.is_empty() {
                continue;
            }
            let Ok(lock) = dir.open_file(LOCK, Open::Write) else { continue };
            if !lock.try_lock(LockKind::Exclusive)? {
                continue; // the pull in `to`, or another one
            }
            for upstream in parts {
                // The part last: without it the others prove nothing, and do no harm.
                for name in [digest_name(upstream), groups_name(upstream), part_name(upstream)] {
                    match dir.rename(&name, to, &name, Rename::Replace) {
                        Err(e) if !e.is_not_found() => return Err(e.into()),
                        _ => {}
                    }
                }
            }
            leave(&self.layout.staging, name, &dir)?;
        }
        Ok(())
    }
}
