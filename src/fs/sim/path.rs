//! Whole paths, as users and tests give them. Relative ones start at the root.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::super::{Kind, Open};
use super::content::Change;
use super::state::{Node, State};
use super::tree::{Ino, ROOT};

/// As many symbolic links as Linux follows.
const MAX_HOPS: usize = 40;

impl State {
    /// The inode at a path, and the path without symbolic links.
    pub fn resolve(&self, path: &Path) -> io::Result<(Ino, PathBuf)> {
        let mut walk: Vec<(Ino, OsString)> = Vec::new();
        let mut todo = parts(path);
        let mut hops = 0;
        while let Some(part) = todo.pop() {
            let dir = walk.last().map_or(ROOT, |(ino, _)| *ino);
            if self.kind(dir) != Kind::Dir {
                return Err(Errno::NOTDIR.into());
            }
            if part == ".." {
                walk.pop();
                continue;
            }
            let at = self.live.place(dir, &part);
            let ino = self.live.get(&at).ok_or(Errno::NOENT)?;
            let Node::Symlink { target, .. } = &self.nodes[&ino] else {
                let spelling = self.live.spelling(&at).unwrap_or(&part).to_owned();
                walk.push((ino, spelling));
                continue;
            };
            hops += 1;
            if hops > MAX_HOPS {
                return Err(Errno::LOOP.into());
            }
            if target.is_absolute() {
                walk.clear();
            }
            todo.extend(parts(target));
        }
        let ino = walk.last().map_or(ROOT, |(ino, _)| *ino);
        let names = walk.into_iter().map(|(_, name)| name);
        Ok((ino, std::iter::once(OsString::from("/")).chain(names).collect()))
    }

    pub fn resolve_dir(&self, path: &Path) -> io::Result<Ino> {
        let (ino, _) = self.resolve(path)?;
        if self.kind(ino) == Kind::Dir { Ok(ino) } else { Err(Errno::NOTDIR.into()) }
    }

    /// The inode of a path's own name.
    pub fn resolve_name(&self, path: &Path) -> Option<Ino> {
        match path.file_name() {
            Some(name) => self.lookup(self.resolve_dir(parent(path)).ok()?, name).ok(),
            None => self.resolve(path).ok().map(|(ino, _)| ino),
        }
    }

    /// The first directory on the way to `path` that is missing: where it goes, and its name.
    pub fn missing_dir<'a>(&self, path: &'a Path) -> io::Result<Option<(Ino, &'a OsStr)>> {
        let ancestors: Vec<&Path> = path.ancestors().collect();
        for part in ancestors.into_iter().rev() {
            match (self.resolve(part), part.file_name()) {
                (Ok((ino, _)), _) if self.kind(ino) == Kind::Dir => {}
                (Ok(_), _) if part == path => return Err(Errno::EXIST.into()),
                (Ok(_), _) => return Err(Errno::NOTDIR.into()),
                // A link that leads nowhere or in circles has the name: making it will fail.
                (Err(e), Some(name))
                    if Errno::from_io_error(&e) == Some(Errno::NOENT) || part == path =>
                {
                    return Ok(Some((self.resolve_dir(parent(part))?, name)));
                }
                (Err(e), _) => return Err(e),
            }
        }
        Ok(None)
    }

    /// Puts a file there, durable at once, and with nothing else made durable than it builds on.
    pub fn plant(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        while let Some((dir, name)) = self.missing_dir(parent(path))? {
            self.make_dir(dir, name)?;
        }
        let ino = match self.resolve(path) {
            Ok((ino, _)) => ino,
            Err(_) => {
                let name = path.file_name().ok_or(Errno::ISDIR)?;
                self.open_file(self.resolve_dir(parent(path))?, name, Open::New)?
            }
        };
        self.file(ino)?;
        self.change(ino, Change::SetLen(0));
        self.change(ino, Change::Write { offset: 0, data: bytes.into() });
        self.sync(ino);
        for part in path.ancestors() {
            let Some(name) = part.file_name() else { continue };
            let at = self.live.place(self.resolve_dir(parent(part))?, name);
            let here = |place: &super::tree::Place| place.slot() == at.slot();
            self.log.commit(&mut self.durable, |op| op.places().any(here));
        }
        Ok(())
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// A path's components, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}
