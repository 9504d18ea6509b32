//! The engine: blobs, manifests, the index over them, and what keeps them.
//!
//! ARCHITECTURE.md numbers the invariants (I1–I8) and the steps of import (S0–S5) and collection
//! (G0–G3) that the code here cites.

mod assemble;
mod catalog;
pub(crate) mod extents;
mod fsck;
mod gc;
mod holds;
pub(crate) mod import;
pub(crate) mod index;
mod ingest;
mod layout;
mod lease;
#[cfg(feature = "hub")]
pub(crate) mod listings;
pub(crate) mod partial;
mod physical;
mod pin;
mod quarantine;
mod rebuild;
mod recovery;
pub(crate) mod recut;
mod relink;
mod removal;
mod reserve;
pub(crate) mod share;
pub(crate) mod sharer;
mod tally;
mod trash;
mod unlink;
#[cfg(feature = "hub")]
mod upstream;
mod walk;

#[cfg(test)]
mod tests;

pub use catalog::{Listed, Resolved};
pub use fsck::{Fsck, Problem};
pub use gc::Collected;
pub use holds::ExternalView;
pub(crate) use ingest::now;
pub use ingest::{AddOptions, Added, Take};
pub use layout::Access;
#[cfg(feature = "config")]
pub(crate) use layout::CONFIG;
#[cfg(feature = "hub")]
pub(crate) use layout::STAGING;
pub use lease::Lease;
pub use partial::{Partial, TIME_TO_LIVE};
pub use rebuild::Rebuilt;
pub(crate) use removal::{Removal, Removing};
pub use reserve::Limits;
pub use trash::Trashed;
pub(crate) use unlink::empty_dir;

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::error::StoreError;
use crate::fs::Fs;
use crate::fs::real::RealFs;
use index::Index;
use layout::Layout;
use tally::Tally;

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// An opened store.
///
/// Any number of processes may have one store open and change it at once. A `Store` must not be
/// used across `fork`.
pub struct Store {
    layout: Arc<Layout>,
    index: Index,
    threads: usize,
    limits: Mutex<Limits>,
    tally: Tally,
}

impl Store {
    /// Opens the store at `path`. With [`Access::Write`] one that is not there is made.
    ///
    /// # Errors
    /// [`StoreError::NoStore`], [`StoreError::NotAStore`], [`StoreError::NewerFormat`],
    /// [`StoreError::IndexDamaged`], [`StoreError::Busy`] while the index is being rebuilt, and
    /// what the file system says.
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::open_on(Arc::new(RealFs), path.as_ref(), access, threads)
    }

    pub(crate) fn open_on(
        fs: Arc<dyn Fs>,
        path: &Path,
        access: Access,
        threads: usize,
    ) -> Result<Self> {
        let (layout, index) = Layout::open(fs, path, access)?;
        let limits = Mutex::default();
        let store =
            Self { layout: Arc::new(layout), index, threads, limits, tally: Tally::default() };
        if store.index.is_writable() && access == Access::Write {
            store.sweep_dead_imports()?;
        }
        Ok(store)
    }

    /// Where the store is: absolute, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.layout.path
    }

    /// What was removed by way of this handle.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn layout_arc(&self) -> &Arc<Layout> {
        &self.layout
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }
}
