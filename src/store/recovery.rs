//! What dead processes left: imports nobody holds, and trash.

use rustix::io::Errno;

use super::import::{LOCK, remove_import};
use super::{Result, Store, partial};
use crate::fs::{Dir, LockKind, Open};

impl Store {
    /// Removes the staging directories whose holder died (I6), and returns how many there were. A
    /// partial download is given its time to live.
    pub(crate) fn sweep_dead_imports(&self) -> Result<u64> {
        let staging = &self.layout.staging;
        let mut swept = 0;
        for entry in staging.list()? {
            let Some(name) = entry.name.to_str() else { continue };
            match sweep(staging, name) {
                Ok(true) => swept += 1,
                Ok(false) => {}
                // Another sweeper, or its owner, was faster.
                Err(crate::error::StoreError::Fs(e)) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(swept)
    }

    /// How many staging directories nobody holds. Partial downloads wait for somebody who goes on
    /// with them, and do not count.
    pub(crate) fn dead_imports(&self) -> Result<u64> {
        let mut dead = 0;
        for entry in self.layout.staging.list()? {
            if entry.name.to_str().is_some_and(partial::is_pull) {
                continue;
            }
            let dir = match self.layout.staging.open_dir(&entry.name) {
                Ok(dir) => dir,
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(e.into()),
            };
            dead += match dir.open_file(LOCK, Open::Read) {
                Ok(lock) => u64::from(lock.try_lock(LockKind::Shared)?),
                Err(e) if e.is_not_found() => 1,
                Err(e) => return Err(e.into()),
            };
        }
        Ok(dead)
    }
}

fn sweep(staging: &Dir, name: &str) -> Result<bool> {
    let dir = staging.open_dir(name)?;
    let lock = match dir.open_file(LOCK, Open::Write) {
        Ok(lock) => lock,
        Err(e) if e.is_not_found() => {
            // Between its owner's mkdir and lock, or emptied by a sweeper that was killed: an
            // owner that loses it begins again.
            if staging.remove_dir(name).is_ok() {
                return Ok(true);
            }
            // A power loss can take the lock file's name and leave the others.
            dir.open_file(LOCK, Open::Ensure)?
        }
        Err(e) => return Err(e.into()),
    };
    if !lock.try_lock(LockKind::Exclusive)? {
        return Ok(false);
    }
    if partial::is_pull(name) && !partial::is_expired(&dir, &lock)? {
        return Ok(false);
    }
    match remove_import(staging, name, &dir) {
        // Another sweeper made its lock file when this one's was gone, and goes on.
        Err(crate::error::StoreError::Fs(e)) if e.is(Errno::NOTEMPTY) => Ok(false),
        other => other.map(|()| true),
    }
}
