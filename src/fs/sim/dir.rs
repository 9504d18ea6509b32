//! An opened directory of a simulated disk.

use std::any::Any;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::extents::Disk;
use super::super::{DirHandle, Entry, FileHandle, LockKind, Open, Rename, Room, Stat};
use super::fault::Class;
use super::file::SimFile;
use super::process::Handle;
use super::tree::Ino;

#[derive(Debug)]
pub(super) struct SimDir(pub Handle);

impl SimDir {
    /// The other directory of an operation between two.
    fn other(&self, dir: &dyn DirHandle) -> io::Result<Ino> {
        let other = dir.as_any().downcast_ref::<Self>();
        let other = other.filter(|d| self.0.same_disk(&d.0));
        other.map(|d| d.0.ino).ok_or_else(|| io::ErrorKind::CrossesDevices.into())
    }
}

impl DirHandle for SimDir {
    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn DirHandle>> {
        let mut state = self.0.begin(Class::Read)?;
        let ino = state.open_dir(self.0.ino, name)?;
        Ok(Arc::new(Self(self.0.beside(&mut state, ino))))
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        self.0.begin(Class::Allocate)?.make_dir(self.0.ino, name).map(drop)
    }

    fn open_file(&self, name: &OsStr, how: Open) -> io::Result<Arc<dyn FileHandle>> {
        let mut state = self.0.enter()?;
        let class = match how {
            Open::Read | Open::Write => Class::Read,
            Open::Ensure if state.lookup(self.0.ino, name).is_ok() => Class::Read,
            Open::New | Open::Ensure => Class::Allocate,
        };
        state.pass(self.0.process, class)?;
        let ino = state.open_file(self.0.ino, name, how)?;
        let handle = self.0.beside(&mut state, ino);
        Ok(Arc::new(SimFile { handle, writable: how != Open::Read }))
    }

    fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        let state = self.0.begin(Class::Read)?;
        Ok(state.stat(state.lookup(self.0.ino, name)?))
    }

    fn stat_self(&self) -> io::Result<Stat> {
        Ok(self.0.begin(Class::Read)?.stat(self.0.ino))
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        self.0.begin(Class::Read)?.list(self.0.ino)
    }

    fn link(&self, name: &OsStr, to: &dyn DirHandle, new: &OsStr) -> io::Result<()> {
        let to = self.other(to)?;
        self.0.begin(Class::Allocate)?.link(self.0.ino, name, to, new)
    }

    fn rename(&self, name: &OsStr, to: &dyn DirHandle, new: &OsStr, how: Rename) -> io::Result<()> {
        let to = self.other(to)?;
        self.0.begin(Class::Allocate)?.rename((self.0.ino, name), (to, new), how)
    }

    fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        self.0.begin(Class::Mutate)?.remove_file(self.0.ino, name)
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        self.0.begin(Class::Mutate)?.remove_dir(self.0.ino, name)
    }

    fn make_symlink(&self, target: &Path, name: &OsStr) -> io::Result<()> {
        self.0.begin(Class::Allocate)?.make_symlink(target, self.0.ino, name)
    }

    fn read_symlink(&self, name: &OsStr) -> io::Result<PathBuf> {
        self.0.begin(Class::Read)?.read_symlink(self.0.ino, name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut state = self.0.enter()?;
        if let Err(stop) = state.pass(self.0.process, Class::Mutate) {
            if stop.eio {
                state.fail_sync_all();
            }
            return Err(stop.into());
        }
        state.sync_all();
        Ok(())
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.0.try_lock(kind)
    }

    fn room(&self) -> io::Result<Room> {
        Ok(self.0.begin(Class::Read)?.room)
    }

    fn disk(&self) -> io::Result<Disk> {
        Ok(Disk { block: 4096, whole_extents: false })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
