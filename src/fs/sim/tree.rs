//! Which names there are and which inodes they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

/// An inode's number.
pub(super) type Ino = u64;

pub(super) const ROOT: Ino = 1;

/// A name as it was given. The map it is in has it by the form that lookups use.
#[derive(Clone, Debug)]
struct Named {
    name: OsString,
    ino: Ino,
}

/// A place for a name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub dir: Ino,
    pub name: OsString,
    key: OsString,
}

impl Place {
    /// What makes two places the same one.
    pub fn slot(&self) -> (Ino, &OsStr) {
        (self.dir, &self.key)
    }
}

/// Directories and their names. A directory without a name of its own stays in it, with
/// everything it holds, until [`Tree::prune`].
#[derive(Clone)]
pub(super) struct Tree {
    /// Whether lookups fold ASCII case.
    fold: bool,
    dirs: BTreeMap<Ino, Arc<BTreeMap<OsString, Named>>>,
    /// Names per inode.
    links: BTreeMap<Ino, u64>,
    /// Where a directory's name is.
    parents: BTreeMap<Ino, Ino>,
}

impl Tree {
    pub fn new(fold: bool) -> Self {
        let mut tree =
            Self { fold, dirs: BTreeMap::new(), links: BTreeMap::new(), parents: BTreeMap::new() };
        tree.add_dir(ROOT);
        tree.links.insert(ROOT, 1);
        tree
    }

    /// An empty directory without a name.
    pub fn add_dir(&mut self, ino: Ino) {
        self.dirs.insert(ino, Arc::default());
    }

    pub fn place(&self, dir: Ino, name: &OsStr) -> Place {
        let key = if self.fold { name.to_ascii_lowercase() } else { name.to_owned() };
        Place { dir, name: name.to_owned(), key }
    }

    fn named(&self, at: &Place) -> Option<&Named> {
        self.dirs.get(&at.dir)?.get(&at.key)
    }

    pub fn get(&self, at: &Place) -> Option<Ino> {
        self.named(at).map(|n| n.ino)
    }

    /// The name at this place as it was given when it was made.
    pub fn spelling(&self, at: &Place) -> Option<&OsStr> {
        self.named(at).map(|n| n.name.as_os_str())
    }

    pub fn names(&self, dir: Ino) -> impl Iterator<Item = (&OsStr, Ino)> {
        let names = self.dirs.get(&dir).into_iter().flat_map(|names| names.values());
        names.map(|n| (n.name.as_os_str(), n.ino))
    }

    pub fn is_dir(&self, ino: Ino) -> bool {
        self.dirs.contains_key(&ino)
    }

    pub fn is_empty(&self, dir: Ino) -> bool {
        self.names(dir).next().is_none()
    }

    /// How many names the inode has.
    pub fn links(&self, ino: Ino) -> u64 {
        self.links.get(&ino).copied().unwrap_or(0)
    }

    /// Whether `dir` is `ancestor` or somewhere below it.
    pub fn within(&self, dir: Ino, ancestor: Ino) -> bool {
        let mut at = Some(dir);
        while let Some(dir) = at {
            if dir == ancestor {
                return true;
            }
            at = self.parents.get(&dir).copied();
        }
        false
    }

    pub fn set(&mut self, at: &Place, ino: Ino) {
        self.clear(at);
        let named = Named { name: at.name.clone(), ino };
        Arc::make_mut(self.dirs.get_mut(&at.dir).expect("a directory"))
            .insert(at.key.clone(), named);
        *self.links.entry(ino).or_insert(0) += 1;
        if self.is_dir(ino) {
            self.parents.insert(ino, at.dir);
        }
    }

    pub fn clear(&mut self, at: &Place) {
        let dir = self.dirs.get_mut(&at.dir).expect("a directory");
        let Some(Named { ino, .. }) = Arc::make_mut(dir).remove(&at.key) else { return };
        *self.links.get_mut(&ino).expect("it had a name") -= 1;
        if self.links(ino) == 0 {
            self.links.remove(&ino);
            self.parents.remove(&ino);
        }
    }

    /// Every inode with a path from the root.
    pub fn reachable(&self) -> BTreeSet<Ino> {
        let mut seen = BTreeSet::from([ROOT]);
        let mut todo = vec![ROOT];
        while let Some(dir) = todo.pop() {
            let new = self.names(dir).map(|(_, ino)| ino).filter(|&ino| seen.insert(ino));
            todo.extend(new.collect::<Vec<_>>());
        }
        seen
    }

    /// Forgets directories outside `keep`, and with them the names they hold.
    pub fn prune(&mut self, keep: &BTreeSet<Ino>) {
        self.dirs.retain(|ino, _| keep.contains(ino));
        self.links = BTreeMap::from([(ROOT, 1)]);
        self.parents.clear();
        for (&dir, names) in &self.dirs {
            for named in names.values() {
                *self.links.entry(named.ino).or_insert(0) += 1;
                if self.dirs.contains_key(&named.ino) {
                    self.parents.insert(named.ino, dir);
                }
            }
        }
    }

    /// Collects the paths below `dir`, each after `prefix`.
    pub fn walk(&self, dir: Ino, prefix: &str, paths: &mut Vec<String>) {
        for (name, ino) in self.names(dir) {
            let path = format!("{prefix}{}", name.display());
            if self.is_dir(ino) {
                self.walk(ino, &format!("{path}/"), paths);
            }
            paths.push(path);
        }
    }
}
