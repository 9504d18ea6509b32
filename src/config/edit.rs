//! One setting changes, and all else stays: comments, order, and what else the user wrote.

use toml_edit::{DocumentMut, Item, Table, value};

use super::{FILE_NAME, Result, Settings, read_text};
use crate::error::{ConfigError, StoreError};
use crate::fs::{Dir, LockKind, durable, lock};
use crate::store::Store;
use crate::store::index::PATIENCE;

/// Sets `key`, which is `hub.endpoint`, `space.max`, `space.low_mark`, `space.min_free`,
/// `space.trash`, or `names.` and a short name, in the store's `config.toml`, which is made if it is
/// not there. The file is durable then; a crash leaves the old or the new one.
///
/// # Errors
/// [`ConfigError::UnknownKey`], [`ConfigError::BadValue`], and as [`Settings::read`].
pub fn set(store: &Store, key: &str, text: &str) -> Result<()> {
    let (section, name) = split(key)?;
    // Judged by itself first, so that the value is blamed and not a line of the file.
    let mut alone = DocumentMut::new();
    alone.insert(section, Item::Table(Table::from_iter([(name, text)])));
    let path = store.path().join(FILE_NAME);
    Settings::parse(&alone.to_string(), &path).map_err(|e| match e {
        ConfigError::Invalid { why, .. } => ConfigError::BadValue { key: key.to_owned(), why },
        e => e,
    })?;
    edit(store, |document| {
        let table = document.entry(section).or_insert_with(|| Item::Table(Table::new()));
        // What is no table is refused below, with its line.
        let Some(table) = table.as_table_like_mut() else { return Ok(()) };
        match table.get_mut(name) {
            // The old value's spaces and the comment behind it stay.
            Some(Item::Value(old)) => {
                let decor = old.decor().clone();
                *old = text.into();
                *old.decor_mut() = decor;
            }
            _ => drop(table.insert(name, value(text))),
        }
        Ok(())
    })
}

/// Takes `key` out of the store's `config.toml`, also one that has no meaning there.
///
/// # Errors
/// [`ConfigError::NotSet`], and as [`set`].
pub fn unset(store: &Store, key: &str) -> Result<()> {
    let (section, name) = key.split_once('.').ok_or_else(|| unknown(key))?;
    edit(store, |document| {
        let table = document.get_mut(section).and_then(Item::as_table_like_mut);
        match table.and_then(|table| table.remove(name)) {
            Some(_) => Ok(()),
            None => {
                Err(ConfigError::NotSet { path: store.path().join(FILE_NAME), key: key.to_owned() })
            }
        }
    })
}

fn split(key: &str) -> Result<(&str, &str)> {
    match key.split_once('.') {
        Some(
            parts @ (("hub", "endpoint") | ("space", "max" | "low_mark" | "min_free" | "trash")),
        ) => Ok(parts),
        Some(parts @ ("names", name)) if !name.is_empty() => Ok(parts),
        _ => Err(unknown(key)),
    }
}

fn unknown(key: &str) -> ConfigError {
    ConfigError::UnknownKey { key: key.to_owned() }
}

/// Changes the file as it is now, no other edit between. What would not be read again is not
/// written; what cannot be read now may become readable, so that a wrong entry can be taken out.
fn edit(store: &Store, change: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
    let root = lock_file(store)?;
    let path = root.path().join(FILE_NAME);
    let old = read_text(&root)?.unwrap_or_default();
    let Ok(mut document) = old.parse::<DocumentMut>() else {
        // It is no TOML at all, and this error says where.
        return Settings::parse(&old, &path).map(drop);
    };
    change(&mut document)?;
    let new = document.to_string();
    Settings::parse(&new, &path)?;
    Ok(durable::replace(&root, FILE_NAME, new.as_bytes())?)
}

/// Keeps other edits away as long as the handle lives.
fn lock_file(store: &Store) -> Result<Dir> {
    // A handle of its own: a lock belongs to the open directory.
    let root = store.layout().reopen_root()?;
    if !lock::wait_for(|| root.try_lock(LockKind::Exclusive), PATIENCE)? {
        let path = store.path().join(FILE_NAME);
        return Err(StoreError::Busy { path, waited: PATIENCE }.into());
    }
    Ok(root)
}
