//! Hardlinks in views that are of an inode no blob has any more.

use super::{Result, Store};
use crate::digest::BlobHash;
use crate::fs::{Dir, Rename};

/// A blob and the inode that was its file: device and number.
pub(crate) type Replaced = (BlobHash, (u64, u64));

impl Store {
    /// Makes the views' hardlinks of inodes that were replaced links of the blobs as they are now.
    /// Returns how many.
    pub(crate) fn relink_views(&self, replaced: &[Replaced]) -> Result<u64> {
        if replaced.is_empty() {
            return Ok(0);
        }
        let _lock = self.lock_views()?;
        let mut relinked = 0;
        for view in self.registered_views()? {
            let Ok(Some(manifest)) = self.read_manifest(&view.manifest) else { continue };
            for file in manifest.files() {
                let Some((blob, old)) = replaced.iter().find(|(blob, _)| *blob == file.blob) else {
                    continue;
                };
                let (above, name) = file.path.split();
                // A view that is gone, or was changed, is not ours to mend.
                let Ok(dir) = Dir::open(&*self.layout.fs, &view.path.join(above)) else { continue };
                if !dir.stat(name).is_ok_and(|stat| (stat.dev, stat.ino) == *old) {
                    continue;
                }
                let aside = format!(".{}.tonnage-{:08x}", blob.short(), fastrand::u32(..));
                self.layout.blobs.link(blob.to_string(), &dir, &aside)?;
                dir.rename(&aside, &dir, name, Rename::Replace)?;
                dir.sync()?;
                relinked += 1;
            }
        }
        Ok(relinked)
    }
}
