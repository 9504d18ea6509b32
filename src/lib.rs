//! A content-addressed store for AI model files: every weight once, usable as ordinary files.
//!
//! A model's files are kept as *blobs* named by their BLAKE3 hash, so what two models share is
//! stored once. A revision of a model is a *manifest*, the list of its files and blobs. Models come
//! back as *views*: ordinary directory trees whose files are hardlinks or reflinks of the blobs, or
//! copies where neither is possible.
//!
//! ```
//! use tonnage::progress::Progress;
//! use tonnage::store::{Access, AddOptions, Store, Take};
//! use tonnage::views::{ViewOptions, checkout};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let (source, home, view) = (dir.path().join("a"), dir.path().join("s"), dir.path().join("v"));
//! # std::fs::create_dir(&source)?;
//! # std::fs::write(source.join("config.json"), "{}")?;
//! let store = Store::open(&home, Access::Write)?;
//! let options = AddOptions {
//!     model: "org/name".parse()?,
//!     reference: "main".parse()?,
//!     take: Take::Auto,
//!     follow_links: false,
//!     sha256: false,
//! };
//! let added = store.add(&source, &options, &Progress::new())?;
//!
//! let revision = store.resolve(&"org/name".parse()?)?;
//! assert_eq!(revision.revision, added.revision);
//! let view = checkout(&store, &revision, &view, ViewOptions::default(), &Progress::new())?;
//! assert_eq!(std::fs::read(view.path.join("config.json"))?, b"{}");
//! # Ok(())
//! # }
//! ```
//!
//! Files that differ may have tensors in common, as quantizations of one model do: on XFS and btrfs
//! these are on the disk once (see [`dedup`]).
//!
//! Any number of processes may use one store at once. ARCHITECTURE.md, beside this crate's
//! Cargo.toml, describes the format on disk, the invariants, and what happens on each failure.
//!
//! # Limitations
//!
//! - Unix only, and tested on Linux only: the store needs hardlinks, `flock` and byte range locks,
//!   all on a local file system. Network file systems are not supported.
//! - Names of files are UTF-8, without control characters and backslashes.
//! - A view holds files: empty directories, owners, access lists and extended attributes of what
//!   was added are not kept.
//! - Whoever may write to the store's directory may destroy it: hardlinked views share inodes with
//!   the blobs. Their mode, 0444, stops accidents, not root.
//! - What is shared below the file is so on XFS and btrfs only, by the disk's blocks; reflinks of blobs
//!   outside the store are not known where bytes are counted.
//! - An opened [`Store`](store::Store) must not be used across `fork`.

#[cfg(feature = "config")]
pub mod config;
pub mod dedup;
pub mod digest;
pub mod error;
mod fs;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "hub")]
pub mod manager;
pub mod model;
pub mod open;
pub mod progress;
#[cfg(feature = "serve")]
pub mod serve;
pub mod space;
pub mod store;
pub mod tensors;
pub mod verify;
pub mod views;
