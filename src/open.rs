//! Verified opening: what a program loads is what was published.
//!
//! ```no_run
//! # fn load() -> Result<(), Box<dyn std::error::Error>> {
//! use tonnage::open::{Trust, open};
//! use tonnage::progress::Progress;
//! use tonnage::store::{Access, Store};
//!
//! let store = Store::open("/var/cache/models", Access::Read)?;
//! let revision = store.resolve(&"org/name".parse()?)?;
//! let model = open(&store, &revision, Trust::Touched, &Progress::new())?;
//! let weights = model.tensor("model.embed_tokens.weight")?;
//! println!("{} {:?}: {} bytes", weights.dtype, weights.shape, weights.bytes.len());
//! # Ok(())
//! # }
//! ```
//!
//! # What each level finds
//!
//! | what happened to a blob | [`Trust::Stamp`] | [`Trust::Touched`] | [`Trust::Full`] |
//! |---|---|---|---|
//! | removed | at open | at open | at open |
//! | truncated, made longer, replaced, or its mode changed | at open | at open | at open |
//! | written through a hardlink or an open file | at open | at open | at open |
//! | the same, and its time put back; or the disk forgot | no | when the bytes are used | at open |
//!
//! A file whose size, time, mode or inode is not as it was is read and hashed, whatever the level,
//! and is good if its bytes are.
//!
//! # What models have in common
//!
//! A file that two open models have, as a shard that a fine-tune left alone, is one blob: it is mapped
//! once, and the kernel keeps its pages once. So it is with views that are hardlinks. Tensors that are
//! equal in different files may share their place on the disk (see [`dedup`](crate::dedup)), but the
//! kernel keeps pages by file: each file that is read has its own in memory.
//!
//! # What it cannot do
//!
//! Bytes are mapped, not copied. A program that may write to the store's files can change them after
//! they were looked at, and one that truncates a file gets who reads the map a SIGBUS. The mode of
//! blobs, 0444, stops accidents and not root.

pub(crate) mod file;
pub(crate) mod map;
mod touched;

use std::collections::HashMap;
use std::sync::OnceLock;

pub use file::OpenFile;

use crate::error::StoreError;
use crate::progress::Progress;
use crate::store::{Lease, Resolved, Store};
use crate::tensors::{Dtype, Tensor};
use crate::verify::{Level, verify};

type Result<T> = std::result::Result<T, StoreError>;

/// How much is verified, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Each file's size, time of change, mode and inode, when the model is opened: microseconds.
    #[default]
    Stamp,
    /// All bytes, on all cores, when the model is opened.
    Full,
    /// As `Stamp`, and each MiB of a file before its bytes are first given out: the first tensor of
    /// a large model is verified after reading that tensor.
    Touched,
}

/// A model whose files are open. It is leased: not removed as long as this lives.
#[derive(Debug)]
pub struct OpenModel {
    revision: Resolved,
    files: Vec<OpenFile>,
    /// Which file has a tensor, and where in its list.
    tensors: OnceLock<HashMap<String, (usize, usize)>>,
    _lease: Lease,
}

/// A tensor and its bytes, verified as the model's level says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TensorView<'m> {
    /// What it is called.
    pub name: &'m str,
    /// What its elements are.
    pub dtype: Dtype,
    /// Its dimensions, in the order of its file's format.
    pub shape: &'m [u64],
    /// Its bytes. A file is mapped from its beginning, so they are as aligned as the file has them.
    pub bytes: &'m [u8],
}

/// Opens a revision's files. It counts as used.
///
/// # Errors
/// [`StoreError::NotFound`] when the revision is gone, [`StoreError::BlobDamaged`] when a file is not
/// what was published, [`StoreError::ManifestDamaged`], [`StoreError::Cancelled`], and what the index
/// and the file system say.
pub fn open(
    store: &Store,
    revision: &Resolved,
    trust: Trust,
    progress: &Progress,
) -> Result<OpenModel> {
    let lease = store.lease(revision)?;
    let manifest = store.manifest(revision)?;
    if trust == Trust::Full {
        let found = verify(store, std::slice::from_ref(revision), Level::Full, progress)?;
        if let Some(damaged) = found.damaged.first() {
            return Err(file::damaged(store, &damaged.path, &damaged.blob, &damaged.why));
        }
    }
    let files = file::open_all(store, &manifest, trust, progress)?;
    store.touch(&revision.manifest);
    let tensors = OnceLock::new();
    Ok(OpenModel { revision: revision.clone(), files, tensors, _lease: lease })
}

impl OpenModel {
    /// What is open.
    #[must_use]
    pub fn revision(&self) -> &Resolved {
        &self.revision
    }

    /// The files, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[OpenFile] {
        &self.files
    }

    /// The file at this path of the model.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&OpenFile> {
        self.files.iter().find(|file| file.path().as_str() == path)
    }

    /// All tensors of the model's safetensors and GGUF files: the file, and what its header says. A
    /// file whose header is not understood has none.
    ///
    /// # Errors
    /// [`StoreError::BlobDamaged`], and what mapping a file says.
    pub fn tensors(&self) -> Result<impl Iterator<Item = (&OpenFile, &Tensor)>> {
        let mut all = Vec::new();
        for file in &self.files {
            all.extend(file.tensors()?.iter().map(|tensor| (file, tensor)));
        }
        Ok(all.into_iter())
    }

    /// The tensor of this name, in whichever file it is; of several, in the first one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::BlobDamaged`], and what mapping a file says.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        let index = match self.tensors.get() {
            Some(index) => index,
            None => {
                let index = self.index()?;
                self.tensors.get_or_init(|| index)
            }
        };
        let found = index.get(name).and_then(|(file, at)| {
            let file = self.files.get(*file)?;
            Some((file, *at))
        });
        let not_found = || StoreError::NotFound { spec: format!("the tensor {name:?}") };
        let (file, at) = found.ok_or_else(not_found)?;
        let tensor = file.tensors()?.get(at).ok_or_else(not_found)?;
        Ok(TensorView {
            name: &tensor.name,
            dtype: tensor.dtype,
            shape: &tensor.shape,
            bytes: file.bytes(tensor.range.clone())?,
        })
    }

    fn index(&self) -> Result<HashMap<String, (usize, usize)>> {
        let mut index = HashMap::new();
        for (at_file, file) in self.files.iter().enumerate() {
            for (at, tensor) in file.tensors()?.iter().enumerate() {
                index.entry(tensor.name.clone()).or_insert((at_file, at));
            }
        }
        Ok(index)
    }
}
