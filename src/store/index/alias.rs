//! Blobs by the names that upstreams give them.

#[cfg(feature = "serve")]
use std::collections::HashMap;
use std::collections::HashSet;

use redb::ReadableTable;

use super::Result;
use super::read::{Reader, there};
use super::tables::{GIT_SHA1, SHA256};
#[cfg(feature = "serve")]
use crate::digest::Sha256;
use crate::digest::{BlobHash, GitSha1, Upstream};

impl Reader {
    fn by_git(&self, digest: &GitSha1) -> Result<Option<BlobHash>> {
        let Some(table) = there(self.0.open_table(GIT_SHA1))? else { return Ok(None) };
        Ok(table.get(digest.as_bytes())?.map(|blob| BlobHash::from_bytes(*blob.value())))
    }

    pub fn by_alias(&self, digest: &Upstream) -> Result<Option<BlobHash>> {
        match digest {
            Upstream::Sha256(digest) => self.by_sha256(digest),
            Upstream::Git(digest) => self.by_git(digest),
        }
    }

    /// The blobs whose SHA-256, and those whose git SHA-1, is known.
    pub fn aliased(&self) -> Result<(HashSet<BlobHash>, HashSet<BlobHash>)> {
        let (mut sha256, mut git) = (HashSet::new(), HashSet::new());
        for row in self.0.open_table(SHA256)?.iter()? {
            sha256.insert(BlobHash::from_bytes(*row?.1.value()));
        }
        if let Some(table) = there(self.0.open_table(GIT_SHA1))? {
            for row in table.iter()? {
                git.insert(BlobHash::from_bytes(*row?.1.value()));
            }
        }
        Ok((sha256, git))
    }

    /// The upstream digest of each of these blobs of which one is known: the SHA-256, or else git's
    /// SHA-1.
    #[cfg(feature = "serve")]
    pub fn aliases_of(&self, blobs: &HashSet<BlobHash>) -> Result<HashMap<BlobHash, Upstream>> {
        let mut found = HashMap::new();
        if let Some(table) = there(self.0.open_table(GIT_SHA1))? {
            for row in table.iter()? {
                let (digest, blob) = row?;
                let blob = BlobHash::from_bytes(*blob.value());
                if blobs.contains(&blob) {
                    let digest = GitSha1::from_bytes(*digest.value());
                    found.insert(blob, Upstream::Git(digest));
                }
            }
        }
        for row in self.0.open_table(SHA256)?.iter()? {
            let (digest, blob) = row?;
            let blob = BlobHash::from_bytes(*blob.value());
            if blobs.contains(&blob) {
                let digest = Sha256::from_bytes(*digest.value());
                found.insert(blob, Upstream::Sha256(digest));
            }
        }
        Ok(found)
    }
}
