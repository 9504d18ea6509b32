//! The tree of a commit, listed or made up as it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{Entry, some_sha1};

/// How many files are in each directory of a tree that is made up.
const PER_DIRECTORY: usize = 1000;

pub(super) enum Tree {
    Listed { nodes: Vec<Node>, files: BTreeMap<String, Entry> },
    Synthetic { files: usize },
}

/// A line of a listing.
#[derive(Clone)]
pub(super) enum Node {
    Directory { path: String, oid: String },
    File(Entry),
}

impl Node {
    pub fn path(&self) -> &str {
        match self {
            Self::Directory { path, .. } => path,
            Self::File(entry) => &entry.path,
        }
    }
}

impl Tree {
    pub fn listed(entries: &[Entry]) -> Self {
        let files: BTreeMap<_, _> =
            entries.iter().map(|entry| (entry.path.clone(), entry.clone())).collect();
        let directories: BTreeSet<_> = files
            .keys()
            .flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..end]))
            .filter(|path| !path.is_empty())
            .collect();
        let mut nodes: Vec<_> = directories
            .iter()
            .map(|path| Node::Directory { path: (*path).into(), oid: some_sha1(path) })
            .chain(files.values().cloned().map(Node::File))
            .collect();
        nodes.sort_by(|a, b| a.path().cmp(b.path()));
        Self::Listed { nodes, files }
    }

    /// How many lines a recursive listing has.
    pub fn len(&self) -> usize {
        match self {
            Self::Listed { nodes, .. } => nodes.len(),
            Self::Synthetic { files } => files + files.div_ceil(PER_DIRECTORY),
        }
    }

    /// The line at `index` of a recursive listing.
    pub fn node(&self, index: usize) -> Node {
        if let Self::Listed { nodes, .. } = self {
            return nodes[index].clone();
        }
        let (directory, within) = (index / (PER_DIRECTORY + 1), index % (PER_DIRECTORY + 1));
        match within.checked_sub(1) {
            Some(file) => Node::File(made_up(directory * PER_DIRECTORY + file)),
            None => {
                let path = format!("d{directory:05}");
                Node::Directory { oid: some_sha1(&path), path }
            }
        }
    }

    pub fn file(&self, path: &str) -> Option<Entry> {
        match self {
            Self::Listed { files, .. } => files.get(path).cloned(),
            Self::Synthetic { files } => {
                let number = path.split_once("/f")?.1.strip_suffix(".bin")?.parse().ok()?;
                (number < *files).then(|| made_up(number)).filter(|entry| entry.path == path)
            }
        }
    }

    /// The file or directory at `path`.
    pub fn at(&self, path: &str) -> Option<Node> {
        if let Some(entry) = self.file(path) {
            return Some(Node::File(entry));
        }
        (0..self.len()).map(|index| self.node(index)).find(|node| node.path() == path)
    }

    /// At most `limit` lines from `start` on of the listing of the directory `under`, and where
    /// the next page starts.
    pub fn page(
        &self,
        under: &str,
        recursive: bool,
        start: usize,
        limit: usize,
    ) -> (Vec<Node>, Option<usize>) {
        let mut nodes = Vec::new();
        for index in start..self.len() {
            let node = self.node(index);
            let within = match under {
                "" => Some(node.path()),
                _ => node.path().strip_prefix(under).and_then(|rest| rest.strip_prefix('/')),
            };
            if within.is_none_or(|path| !recursive && path.contains('/')) {
                continue;
            }
            if nodes.len() == limit {
                return (nodes, Some(index));
            }
            nodes.push(node);
        }
        (nodes, None)
    }
}

fn made_up(number: usize) -> Entry {
    let path = format!("d{:05}/f{number:07}.bin", number / PER_DIRECTORY);
    Entry::git(&path, format!("{number}\n"))
}
