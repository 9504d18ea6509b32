//! Weights that several files have: where they are, shared on the disk where that can be, and told.
//!
//! The store keeps whole files, because programs map whole files. What two of them have in common is
//! known by their segments: tensors, in pieces of a MiB, or chunks of files without tensors. `add` and
//! `pull` share them as they come; [`share`] does it for what is in the store already, and [`diff`]
//! and [`matrix`] tell.
//!
//! XFS and btrfs share blocks, usually of 4 KiB. So what can be shared are bytes that lie alike within
//! blocks in both files: all of an equal tensor but its ends, where it begins at the same place modulo
//! the block's size, and nothing of it elsewhere. File systems without that, as ext4, share nothing
//! below the file.

mod catalogue;
mod contents;
mod diff;
mod matrix;
mod share;
mod tensors;

pub use diff::{Diff, Group, Side, diff};
pub use matrix::{Matrix, Member, matrix, matrix_of_files};
pub use share::{Deduped, share};
pub use tensors::{FileTensors, tensors};
