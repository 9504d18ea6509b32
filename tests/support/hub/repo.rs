//! Repositories: commits, the names that lead to them, and who may read them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::content::{Entry, some_sha1};
use super::encode::quote;
use super::server::Shared;
use super::tree::Tree;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Model,
    Dataset,
    Space,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Model, Self::Dataset, Self::Space];

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Space => "space",
        }
    }

    /// What its repositories' pages begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
            Self::Space => "spaces/",
        }
    }
}

/// How access to a gated repository is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Auto,
    Manual,
}

#[derive(Clone)]
pub(super) struct Commit {
    pub id: String,
    pub tree: Arc<Tree>,
}

pub(super) struct Repo {
    pub kind: Kind,
    pub id: String,
    pub private: bool,
    pub gate: Option<Gate>,
    pub disabled: bool,
    /// The tokens that may read it although it is private or gated.
    pub granted: BTreeSet<String>,
    /// By full name: `refs/heads/main`.
    pub refs: BTreeMap<String, String>,
    /// Oldest first.
    pub commits: Vec<Commit>,
}

impl Repo {
    fn new(kind: Kind, id: &str) -> Self {
        Self {
            kind,
            id: id.into(),
            private: false,
            gate: None,
            disabled: false,
            granted: BTreeSet::new(),
            refs: BTreeMap::new(),
            commits: Vec::new(),
        }
    }

    /// The commit that a revision means: a branch, a tag, a full name, `HEAD`, or a commit's id
    /// or the beginning of it.
    pub fn commit(&self, revision: &str) -> Option<&Commit> {
        let revision = if revision == "HEAD" { "main" } else { revision };
        let names = ["refs/heads/", "refs/tags/", ""].map(|prefix| format!("{prefix}{revision}"));
        let id = names.iter().find_map(|name| self.refs.get(name)).map_or(revision, |id| id);
        let long_enough = id.len() >= 7;
        self.commits.iter().find(|commit| long_enough && commit.id.starts_with(id))
    }

    fn add(&mut self, tree: Tree, content: &str) -> String {
        let parent = self.commits.last().map_or("", |commit| &commit.id);
        let id = some_sha1(&format!("{:?} {} {parent} {content}", self.kind, self.id));
        self.commits.push(Commit { id: id.clone(), tree: Arc::new(tree) });
        id
    }
}

/// A repository of a running hub, to be changed at any moment.
#[derive(Clone)]
pub struct RepoHandle {
    shared: Arc<Shared>,
    kind: Kind,
    id: String,
}

impl RepoHandle {
    pub(super) fn new(shared: Arc<Shared>, kind: Kind, id: &str) -> Self {
        let handle = Self { shared, kind, id: id.into() };
        handle.change(|_| ());
        handle
    }

    fn change<T>(&self, change: impl FnOnce(&mut Repo) -> T) -> T {
        self.shared.change(|state| {
            let key = (self.kind, self.id.clone());
            change(state.repos.entry(key).or_insert_with(|| Repo::new(self.kind, &self.id)))
        })
    }

    /// Commits a whole tree to `main` and says the commit's id, which is the same for the same
    /// history in every run.
    pub fn commit(&self, entries: &[Entry]) -> String {
        self.commit_to("main", entries)
    }

    /// Commits a whole tree to a branch.
    pub fn commit_to(&self, branch: &str, entries: &[Entry]) -> String {
        let id = self.dangling(entries);
        self.branch(branch, &id);
        id
    }

    /// A commit that no name leads to yet.
    pub fn dangling(&self, entries: &[Entry]) -> String {
        let content = entries.iter().map(|e| format!("{} {}\n", e.oid, e.path)).collect::<String>();
        let tree = Tree::listed(entries);
        self.change(|repo| repo.add(tree, &content))
    }

    /// Commits to `main` a tree of `files` small files, a thousand in each directory
    /// (`d00000/f0000000.bin` holds `0\n`), which are made up as they are asked for.
    pub fn synthetic_tree(&self, files: usize) -> String {
        let id = self.change(|repo| repo.add(Tree::Synthetic { files }, &format!("{files}")));
        self.branch("main", &id);
        id
    }

    pub fn branch(&self, name: &str, commit: &str) -> &Self {
        self.reference(&format!("refs/heads/{name}"), commit)
    }

    pub fn tag(&self, name: &str, commit: &str) -> &Self {
        self.reference(&format!("refs/tags/{name}"), commit)
    }

    pub fn pr(&self, number: u64, commit: &str) -> &Self {
        self.reference(&format!("refs/pr/{number}"), commit)
    }

    /// Lets a full name (`refs/convert/parquet`) lead to a commit.
    pub fn reference(&self, name: &str, commit: &str) -> &Self {
        self.change(|repo| repo.refs.insert(name.into(), commit.into()));
        self
    }

    pub fn private(&self) -> &Self {
        self.change(|repo| repo.private = true);
        self
    }

    pub fn gated(&self, gate: Gate) -> &Self {
        self.change(|repo| repo.gate = Some(gate));
        self
    }

    pub fn disabled(&self) -> &Self {
        self.change(|repo| repo.disabled = true);
        self
    }

    /// Lets the holder of a token read it although it is private or gated.
    pub fn grants(&self, token: &str) -> &Self {
        self.change(|repo| repo.granted.insert(token.into()));
        self
    }

    /// Lets an old name of it lead here, by redirects.
    pub fn moved_from(&self, old: &str) -> &Self {
        let key = (self.kind, old.to_owned());
        self.shared.change(|state| state.moved.insert(key, self.id.clone()));
        self
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The path of `path` at a revision, as a client asks for it.
    pub fn resolve_path(&self, revision: &str, path: &str) -> String {
        let (revision, path) = (quote(revision, ""), quote(path, "/"));
        format!("/{}{}/resolve/{revision}/{path}", self.kind.prefix(), self.id)
    }

    /// The path of the API of it, to which `/tree/..` and the like are added.
    pub fn api_path(&self) -> String {
        format!("/api/{}s/{}", self.kind.noun(), self.id)
    }
}
