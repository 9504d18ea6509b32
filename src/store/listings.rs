//! What a hub said of models, for when it cannot be asked: the files of commits of which some are
//! here, which models anybody may have, and which files came wrong. Nothing depends on it: what is missing
//! is asked for again.

use serde::{Deserialize, Serialize};

use super::partial::ListedFile;
use super::{Result, Store, now};
use crate::digest::BlobHash;
use crate::fs::{Dir, Open, durable};
use crate::model::{ModelId, Revision};

/// Made when something is noted.
const LISTINGS: &str = "listings";
const PUBLIC: &str = ".public";
const WRONG: &str = ".wrong";

/// For how long nobody may go on where an answer with wrong bytes ended, in seconds.
const WARY: i64 = 60 * 60;

/// The largest list that is read: a million files.
const MAX_LIST: u64 = 512 << 20;

#[derive(Serialize, Deserialize)]
struct List<F> {
    model: ModelId,
    commit: Revision,
    files: F,
}

/// Notes all files of a commit.
pub(crate) fn save(
    store: &Store,
    model: &ModelId,
    commit: &Revision,
    files: &[ListedFile],
) -> Result<()> {
    let dir = store.layout.root.ensure_dir(LISTINGS)?;
    let name = list_name(model, commit);
    if dir.stat(&name).is_ok() {
        return Ok(());
    }
    let list = List { model: model.clone(), commit: commit.clone(), files };
    // Its keys are strings.
    let text = serde_json::to_vec(&list).unwrap_or_default();
    Ok(durable::replace_lazily(&dir, &name, &text)?)
}

/// All files of a commit, in the order of their paths; `None` when nobody noted them.
pub(crate) fn load(store: &Store, model: &ModelId, commit: &Revision) -> Option<Vec<ListedFile>> {
    let file = dir(store)?.open_file(list_name(model, commit), Open::Read).ok()?;
    let list: List<Vec<ListedFile>> =
        serde_json::from_slice(&file.read_all(MAX_LIST).ok()?).ok()?;
    (list.model == *model && list.commit == *commit).then_some(list.files)
}

/// Notes whether anybody may have a model's files.
pub(crate) fn set_public(store: &Store, model: &ModelId, is_public: bool) -> Result<()> {
    let dir = store.layout.root.ensure_dir(LISTINGS)?;
    let name = public_name(model);
    match (is_public, dir.stat(&name).is_ok()) {
        (true, false) => drop(dir.open_file(&name, Open::Ensure)?),
        (false, true) => dir.remove_file(&name)?,
        _ => {}
    }
    Ok(())
}

/// Whether the hub gave a model's files to anybody when it was asked last.
pub(crate) fn is_public(store: &Store, model: &ModelId) -> bool {
    dir(store).is_some_and(|dir| dir.stat(public_name(model)).is_ok())
}

/// Notes that some client may have wrong bytes of a file.
pub(crate) fn set_wrong(store: &Store, digest: &str) -> Result<()> {
    let dir = store.layout.root.ensure_dir(LISTINGS)?;
    Ok(dir.open_file(wrong_name(digest), Open::Ensure)?.set_mtime(None)?)
}

/// Whether some client may have wrong bytes of a file, and would complete them with right ones.
pub(crate) fn was_wrong(store: &Store, digest: &str) -> bool {
    dir(store).is_some_and(|dir| is_recent(&dir, &wrong_name(digest)))
}

fn is_recent(dir: &Dir, name: &str) -> bool {
    let since = dir.stat(name).map(|stat| now().saturating_sub(stat.mtime_ns / 1_000_000_000));
    since.is_ok_and(|since| since < WARY)
}

fn dir(store: &Store) -> Option<Dir> {
    store.layout.root.open_dir(LISTINGS).ok()
}

fn list_name(model: &ModelId, commit: &Revision) -> String {
    BlobHash::of(format!("{model}@{commit}").as_bytes()).to_string()
}

fn public_name(model: &ModelId) -> String {
    format!("{}{PUBLIC}", BlobHash::of(model.as_str().as_bytes()))
}

fn wrong_name(digest: &str) -> String {
    format!("{}{WRONG}", BlobHash::of(digest.as_bytes()))
}

impl Store {
    /// Removes what was noted of revisions and models that are not here any more.
    pub(super) fn forget_listings(&self) -> Result<()> {
        let Some(dir) = dir(self) else { return Ok(()) };
        let rows = self.index.read(|reader| {
            let trashed = reader.trashed()?.into_iter().map(|(_, trashed)| trashed.row);
            Ok(reader
                .revisions()?
                .into_iter()
                .map(|(_, row)| row)
                .chain(trashed)
                .collect::<Vec<_>>())
        })?;
        let needed = rows
            .iter()
            .flat_map(|row| [list_name(&row.model, &row.revision), public_name(&row.model)]);
        let needed: std::collections::HashSet<_> = needed.collect();
        for entry in dir.list()? {
            let is_needed = |name: &str| {
                needed.contains(name) || (name.ends_with(WRONG) && is_recent(&dir, name))
            };
            if !entry.name.to_str().is_some_and(is_needed) {
                match dir.remove_file(&entry.name) {
                    Err(e) if !e.is_not_found() => return Err(e.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
