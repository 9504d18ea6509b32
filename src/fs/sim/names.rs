//! Operations on names, with the checks and error numbers of Linux.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::{Entry, Kind, Open, Rename};
use super::content::FileNode;
use super::log::Op;
use super::state::{Node, State};
use super::tree::{Ino, Place};

const NAME_MAX: usize = 255;

impl State {
    /// The place of a name. The seam's names are single components: anything else would mean
    /// that a path from outside got through.
    fn place(&self, dir: Ino, name: &OsStr) -> io::Result<Place> {
        let bytes = name.as_encoded_bytes();
        assert!(
            !matches!(bytes, b"" | b"." | b"..") && !bytes.iter().any(|b| matches!(b, b'/' | 0)),
            "{name:?} is not a single component"
        );
        if bytes.len() > NAME_MAX {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(self.live.place(dir, name))
    }

    /// An inode by its name, and where the name is.
    fn find(&self, dir: Ino, name: &OsStr) -> io::Result<(Place, Ino)> {
        let at = self.place(dir, name)?;
        let ino = self.live.get(&at).ok_or(Errno::NOENT)?;
        Ok((at, ino))
    }

    pub fn lookup(&self, dir: Ino, name: &OsStr) -> io::Result<Ino> {
        self.find(dir, name).map(|(_, ino)| ino)
    }

    /// Where a new name can go.
    fn vacant(&self, dir: Ino, name: &OsStr) -> io::Result<Place> {
        let at = self.place(dir, name)?;
        if self.live.get(&at).is_some() {
            return Err(Errno::EXIST.into());
        }
        self.attached(dir)?;
        Ok(at)
    }

    /// A directory that was removed takes no new names.
    fn attached(&self, dir: Ino) -> io::Result<()> {
        if self.live.links(dir) == 0 { Err(Errno::NOENT.into()) } else { Ok(()) }
    }

    fn create(&mut self, at: Place, node: Node) -> Ino {
        let ino = self.number();
        if matches!(node, Node::Dir { .. }) {
            self.live.add_dir(ino);
            self.durable.add_dir(ino);
        }
        self.nodes.insert(ino, node);
        self.change_names(Op::Add { at, ino });
        ino
    }

    pub fn make_dir(&mut self, dir: Ino, name: &OsStr) -> io::Result<Ino> {
        let at = self.vacant(dir, name)?;
        let node = Node::Dir { mode: 0o755, mtime_ns: self.now() };
        Ok(self.create(at, node))
    }

    pub fn make_symlink(&mut self, target: &Path, dir: Ino, name: &OsStr) -> io::Result<()> {
        if target.as_os_str().is_empty() {
            return Err(Errno::NOENT.into());
        }
        let at = self.vacant(dir, name)?;
        let node = Node::Symlink { target: target.to_owned(), mtime_ns: self.now() };
        self.create(at, node);
        Ok(())
    }

    pub fn read_symlink(&self, dir: Ino, name: &OsStr) -> io::Result<PathBuf> {
        match &self.nodes[&self.lookup(dir, name)?] {
            Node::Symlink { target, .. } => Ok(target.clone()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    pub fn open_dir(&self, dir: Ino, name: &OsStr) -> io::Result<Ino> {
        let ino = self.lookup(dir, name)?;
        // Not even a link to a directory: ENOTDIR comes before ELOOP.
        if self.kind(ino) == Kind::Dir { Ok(ino) } else { Err(Errno::NOTDIR.into()) }
    }

    pub fn open_file(&mut self, dir: Ino, name: &OsStr, how: Open) -> io::Result<Ino> {
        match self.find(dir, name) {
            Ok((_, ino)) => self.open_existing(ino, how),
            Err(_) if matches!(how, Open::New | Open::Ensure) => {
                let at = self.vacant(dir, name)?;
                let node = Node::File(FileNode::new(self.now()));
                Ok(self.create(at, node))
            }
            Err(e) => Err(e),
        }
    }

    fn open_existing(&self, ino: Ino, how: Open) -> io::Result<Ino> {
        match (how, &self.nodes[&ino]) {
            (Open::New, _) => Err(Errno::EXIST.into()),
            (_, Node::Symlink { .. }) => Err(Errno::LOOP.into()),
            (Open::Read, Node::Dir { .. }) => Ok(ino),
            (_, Node::Dir { .. }) => Err(Errno::ISDIR.into()),
            (_, Node::File(file)) => {
                // Every process is the files' owner, and not root.
                let needed = if how == Open::Read { 0o400 } else { 0o600 };
                let allowed = file.live.mode & needed == needed;
                if allowed { Ok(ino) } else { Err(Errno::ACCESS.into()) }
            }
        }
    }

    pub fn list(&self, dir: Ino) -> io::Result<Vec<Entry>> {
        self.attached(dir)?;
        let names = self.live.names(dir);
        Ok(names.map(|(n, ino)| Entry { name: n.to_owned(), kind: self.kind(ino) }).collect())
    }

    pub fn link(&mut self, dir: Ino, name: &OsStr, to: Ino, new: &OsStr) -> io::Result<()> {
        let ino = self.lookup(dir, name)?;
        let at = self.vacant(to, new)?;
        if self.kind(ino) == Kind::Dir {
            return Err(Errno::PERM.into());
        }
        if self.live.links(ino) >= self.max_links {
            return Err(Errno::MLINK.into());
        }
        self.change_names(Op::Add { at, ino });
        Ok(())
    }

    pub fn remove_file(&mut self, dir: Ino, name: &OsStr) -> io::Result<()> {
        let (at, ino) = self.find(dir, name)?;
        if self.kind(ino) == Kind::Dir {
            return Err(Errno::ISDIR.into());
        }
        self.change_names(Op::Remove { at, ino });
        Ok(())
    }

    pub fn remove_dir(&mut self, dir: Ino, name: &OsStr) -> io::Result<()> {
        let (at, ino) = self.find(dir, name)?;
        if self.kind(ino) != Kind::Dir {
            return Err(Errno::NOTDIR.into());
        }
        if !self.live.is_empty(ino) {
            return Err(Errno::NOTEMPTY.into());
        }
        self.change_names(Op::Remove { at, ino });
        Ok(())
    }

    pub fn rename(
        &mut self,
        (dir, name): (Ino, &OsStr),
        (to, new): (Ino, &OsStr),
        how: Rename,
    ) -> io::Result<()> {
        let (from, ino) = self.find(dir, name)?;
        let to = self.place(to, new)?;
        let there = self.live.get(&to);
        match (how, there) {
            (Rename::NoReplace, Some(_)) => return Err(Errno::EXIST.into()),
            (Rename::Exchange, None) => return Err(Errno::NOENT.into()),
            _ => self.attached(to.dir)?,
        }
        self.check_loop((&from, ino), (&to, there), how)?;
        if there == Some(ino) && !self.respells(&from, &to) {
            return Ok(());
        }
        let op = match there {
            Some(b_ino) if how == Rename::Exchange => {
                Op::Exchange { a: from, a_ino: ino, b: to, b_ino }
            }
            _ => {
                self.check_replaced(ino, there)?;
                Op::Rename { from, ino, to, replaced: there }
            }
        };
        self.change_names(op);
        Ok(())
    }

    /// A directory cannot go below itself, nor replace what it is in.
    fn check_loop(
        &self,
        (from, ino): (&Place, Ino),
        (to, there): (&Place, Option<Ino>),
        how: Rename,
    ) -> io::Result<()> {
        if self.live.is_dir(ino) && self.live.within(to.dir, ino) {
            return Err(Errno::INVAL.into());
        }
        match there {
            Some(there) if self.live.is_dir(there) && self.live.within(from.dir, there) => {
                let exchange = how == Rename::Exchange;
                Err(if exchange { Errno::INVAL } else { Errno::NOTEMPTY }.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether a rename only changes the case of a name that is looked up without it.
    fn respells(&self, from: &Place, to: &Place) -> bool {
        from.slot() == to.slot() && self.live.spelling(to) != Some(to.name.as_os_str())
    }

    fn check_replaced(&self, ino: Ino, there: Option<Ino>) -> io::Result<()> {
        let Some(there) = there.filter(|&there| there != ino) else { return Ok(()) };
        match (self.live.is_dir(ino), self.live.is_dir(there)) {
            (true, false) => Err(Errno::NOTDIR.into()),
            (false, true) => Err(Errno::ISDIR.into()),
            (true, true) if !self.live.is_empty(there) => Err(Errno::NOTEMPTY.into()),
            _ => Ok(()),
        }
    }
}
