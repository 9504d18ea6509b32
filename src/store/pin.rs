//! Pins: the user's word that a revision is not evicted.
//!
//! The index says whether a revision is pinned. A note beside its refs,
//! `refs/<org>--<name>/.pinned.<revision>`, is what a rebuild of the index takes the pin from; no
//! ref's file begins with a dot. Whatever moment a crash comes at, the note outlives the pin and
//! never the other way: a revision too many is kept.

use super::layout::Layout;
use super::{Resolved, Result, Store};
use crate::error::StoreError;
use crate::fs::Open;
use crate::model::{ModelId, Revision};

/// What a note's name begins with.
const NOTE: &str = ".pinned.";

impl Store {
    /// Pins a revision, or gives it free. False when it was so already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the revision is gone, [`StoreError::ReadOnly`], and what the
    /// index and the file system say.
    pub fn set_pinned(&self, revision: &Resolved, pinned: bool) -> Result<bool> {
        self.check_writable()?;
        let dir_name = revision.model.dir_name();
        let note = note(&revision.revision);
        if pinned {
            let dir = self.layout.refs.ensure_dir(&dir_name)?;
            dir.open_file(&note, Open::Ensure)?.sync()?;
            dir.sync()?;
            self.layout.refs.sync()?;
        }
        let writer = self.index.begin_write()?;
        let changed = writer
            .set_pinned(revision.id, &revision.model, &revision.revision, pinned)
            .map_err(|e| self.index.error(e))?;
        let Some(changed) = changed else {
            return Err(StoreError::NotFound {
                spec: format!("{}@{}", revision.model, revision.revision.short()),
            });
        };
        writer.commit().map_err(|e| self.index.error(e))?;
        if !pinned {
            self.forget_pin(&revision.model, &revision.revision);
        }
        Ok(changed)
    }

    /// Drops the note of a revision that is not pinned any more, or gone.
    pub(super) fn forget_pin(&self, model: &ModelId, revision: &Revision) {
        if let Ok(dir) = self.layout.refs.open_dir(model.dir_name()) {
            let _ = dir.remove_file(note(revision));
        }
    }
}

/// Whether a revision has a note.
pub(super) fn is_noted(layout: &Layout, model: &ModelId, revision: &Revision) -> bool {
    let dir = layout.refs.open_dir(model.dir_name());
    dir.and_then(|dir| dir.stat(note(revision))).is_ok()
}

fn note(revision: &Revision) -> String {
    format!("{NOTE}{revision}")
}
