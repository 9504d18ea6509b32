//! What a file in a repository is: its bytes and what the hub says of them.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::encode::hex;

/// The SHA-256 of `bytes` in hex: what the hub knows a large file by.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The git blob SHA-1 of `bytes` in hex: what the hub knows a small file by.
pub fn git_sha1(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

/// Some deterministic 40 hex digits.
pub(super) fn some_sha1(of: &str) -> String {
    hex(&Sha1::digest(of))
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Memory(Arc<[u8]>),
    Disk { path: Arc<PathBuf>, len: u64 },
}

/// Opened content, to be read from at any place.
pub(super) enum Source {
    Memory(Arc<[u8]>),
    Disk(File),
}

impl Content {
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { len, .. } => *len,
        }
    }

    pub fn open(&self) -> std::io::Result<Source> {
        Ok(match self {
            Self::Memory(bytes) => Source::Memory(Arc::clone(bytes)),
            Self::Disk { path, .. } => Source::Disk(File::open(path.as_ref())?),
        })
    }

    pub fn read(&self, range: &Range<u64>) -> std::io::Result<Vec<u8>> {
        self.open()?.read(range)
    }
}

impl Source {
    pub fn read(&self, range: &Range<u64>) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Memory(bytes) => Ok(bytes[range.start as usize..range.end as usize].to_vec()),
            Self::Disk(file) => {
                let mut out = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut out, range.start)?;
                Ok(out)
            }
        }
    }
}

/// A file of a commit.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is in the repository; nothing is refused here.
    pub path: String,
    /// What the tree says its size is.
    pub size: u64,
    /// The git blob SHA-1, of the pointer if it is a large file.
    pub oid: String,
    pub(super) lfs: Option<Lfs>,
    pub(super) content: Content,
}

/// What the hub says of a large file.
#[derive(Clone, Debug)]
pub(super) struct Lfs {
    pub sha256: String,
    pub xet: String,
    pub pointer: Arc<[u8]>,
}

impl Entry {
    /// A small file, served by the hub itself.
    pub fn git(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            path: path.into(),
            size: bytes.len() as u64,
            oid: git_sha1(&bytes),
            lfs: None,
            content: Content::Memory(bytes.into()),
        }
    }

    /// A large file, served by the content network.
    pub fn lfs(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let sha256 = sha256(&bytes);
        Self::large(path, Content::Memory(bytes.into()), sha256)
    }

    /// A large file whose bytes are read from `file` as they are sent.
    pub fn lfs_file(path: &str, file: &Path) -> Self {
        let mut hasher = Sha256::new();
        let mut from = File::open(file).unwrap();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match from.read(&mut buffer).unwrap() {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        Self::lfs_file_known(path, file, &hex(&hasher.finalize()))
    }

    /// The same, of a file whose SHA-256 is known.
    pub fn lfs_file_known(path: &str, file: &Path, sha256: &str) -> Self {
        let len = file.metadata().unwrap().len();
        Self::large(path, Content::Disk { path: Arc::new(file.into()), len }, sha256.into())
    }

    fn large(path: &str, content: Content, sha256: String) -> Self {
        let size = content.len();
        let lfs = Lfs::new(sha256, size);
        Self { path: path.into(), size, oid: git_sha1(&lfs.pointer), lfs: Some(lfs), content }
    }

    /// Lets the hub lie about the size, everywhere but in the bytes.
    pub fn claiming_size(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    /// Lets the hub lie about the digest (64 or 40 hex digits), everywhere but in the bytes.
    pub fn claiming_digest(mut self, digest: &str) -> Self {
        match &mut self.lfs {
            Some(lfs) => *lfs = Lfs::new(digest.into(), self.size),
            None => self.oid = digest.into(),
        }
        self
    }

    /// Whether these are its bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.content.read(&(0..self.content.len())).unwrap() == bytes
    }

    /// The digest that a client checks: SHA-256 of a large file, git blob SHA-1 of a small one.
    pub fn digest(&self) -> &str {
        self.lfs.as_ref().map_or(&self.oid, |lfs| &lfs.sha256)
    }
}

impl Lfs {
    fn new(sha256: String, size: u64) -> Self {
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        );
        let xet = self::sha256(format!("xet {sha256}").as_bytes());
        Self { sha256, xet, pointer: pointer.into_bytes().into() }
    }
}
