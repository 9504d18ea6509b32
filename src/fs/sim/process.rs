//! A process: the [`Fs`] that the code under test gets, and what its handles have in common.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use super::super::{DirHandle, Fs};
use super::SimDisk;
use super::dir::SimDir;
use super::fault::{Class, gone};
use super::state::State;
use super::tree::Ino;

/// One simulated process. It lives until it is killed or the power fails; dropping it changes
/// nothing, as handles outlive it.
#[derive(Debug)]
pub(crate) struct SimFs {
    disk: SimDisk,
    id: u64,
}

impl SimFs {
    pub(super) fn new(disk: SimDisk, id: u64) -> Self {
        Self { disk, id }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    fn begin(&self, class: Class) -> io::Result<MutexGuard<'_, State>> {
        self.disk.receive(self.id);
        let mut state = self.disk.lock();
        state.alive(self.id)?;
        state.pass(self.id, class)?;
        Ok(state)
    }
}

impl Fs for SimFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DirHandle>> {
        let mut state = self.begin(Class::Read)?;
        let ino = state.resolve_dir(path)?;
        Ok(Arc::new(SimDir(Handle::open(&self.disk, &mut state, self.id, ino))))
    }

    /// One operation to look, and one for each directory made.
    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin(Class::Read)?;
        while let Some((dir, name)) = state.missing_dir(path)? {
            state.pass(self.id, Class::Allocate)?;
            state.make_dir(dir, name)?;
        }
        Ok(())
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.begin(Class::Read)?;
        state.resolve(path).map(|(_, path)| path)
    }
}

/// What a process holds open. Closed, with its lock, when it is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Handle {
    disk: SimDisk,
    id: u64,
    pub process: u64,
    pub ino: Ino,
}

impl Handle {
    pub fn open(disk: &SimDisk, state: &mut State, process: u64, ino: Ino) -> Self {
        let id = state.open(process, ino);
        Self { disk: disk.clone(), id, process, ino }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// Another handle of the same process.
    pub fn beside(&self, state: &mut State, ino: Ino) -> Self {
        Self::open(&self.disk, state, self.process, ino)
    }

    /// The disk, if the process still lives.
    pub fn enter(&self) -> io::Result<MutexGuard<'_, State>> {
        self.disk.receive(self.process);
        let state = self.disk.lock();
        if state.opened.contains_key(&self.id) { Ok(state) } else { Err(gone()) }
    }

    /// The disk for one operation, unless it meets a fault.
    pub fn begin(&self, class: Class) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.enter()?;
        state.pass(self.process, class)?;
        Ok(state)
    }

    pub fn try_lock(&self, kind: super::super::LockKind) -> io::Result<bool> {
        Ok(self.enter()?.try_lock(self.id, kind))
    }

    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.enter()?;
        if let Err(stop) = state.pass(self.process, Class::Mutate) {
            if stop.eio {
                state.fail_sync(self.ino);
            }
            return Err(stop.into());
        }
        state.sync(self.ino);
        Ok(())
    }

    pub fn same_disk(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.disk.0, &other.disk.0)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.disk.lock().opened.remove(&self.id);
    }
}
