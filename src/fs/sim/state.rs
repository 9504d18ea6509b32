//! Everything there is: inodes, names, open handles, processes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use rustix::io::Errno;

use super::super::{Kind, LockKind, Room, Stat};
use super::content::{Change, FileNode};
use super::fault::{Gate, gone};
use super::log::{Log, Op};
use super::tree::{Ino, ROOT, Tree};

/// Nanoseconds since the epoch at which every disk begins. Fixed, so that runs repeat.
const EPOCH_NS: i64 = 1_780_000_000_000_000_000;

/// What every change moves the clock by.
const TICK_NS: i64 = 1_000_000;

#[derive(Clone)]
pub(super) enum Node {
    File(FileNode),
    /// Mode and time of a directory are not part of the durability model: nothing relies on them.
    Dir {
        mode: u32,
        mtime_ns: i64,
    },
    Symlink {
        target: PathBuf,
        mtime_ns: i64,
    },
}

impl Node {
    pub fn file(&self) -> Option<&FileNode> {
        if let Self::File(file) = self { Some(file) } else { None }
    }
}

/// Something that happens between two operations of a process.
pub(super) type Visit = Box<dyn FnOnce() + Send>;

/// An open file description.
pub(super) struct Opened {
    pub process: u64,
    pub ino: Ino,
    pub lock: Option<LockKind>,
    /// Locks on ranges of bytes, apart from each other.
    pub ranges: Vec<(RangeInclusive<u64>, LockKind)>,
}

pub(super) struct State {
    pub nodes: BTreeMap<Ino, Node>,
    pub live: Tree,
    pub durable: Tree,
    pub log: Log,
    pub opened: BTreeMap<u64, Opened>,
    processes: BTreeSet<u64>,
    pub gate: Gate,
    /// What another process does in the middle of an operation, and before which one.
    pub visit: Option<(u64, Visit)>,
    /// A directory whose lock others wait for, rather than go another way.
    pub waited_for: Option<PathBuf>,
    pub powered: bool,
    pub max_links: u64,
    pub reflinks: bool,
    pub room: Room,
    pub clock_ns: i64,
    /// Numbers for everything that needs one: inodes, operations, handles, processes.
    next: u64,
}

impl State {
    pub fn new() -> Self {
        let root = Node::Dir { mode: 0o755, mtime_ns: EPOCH_NS };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            live: Tree::new(false),
            durable: Tree::new(false),
            log: Log::default(),
            opened: BTreeMap::new(),
            processes: BTreeSet::new(),
            gate: Gate::default(),
            visit: None,
            waited_for: None,
            powered: true,
            max_links: 65_000,
            reflinks: false,
            room: Room { available: 1 << 40, total: 1 << 41 },
            clock_ns: EPOCH_NS,
            next: ROOT + 1,
        }
    }

    pub fn fork(&self) -> Self {
        let mut fork = Self {
            nodes: self.nodes.clone(),
            live: self.live.clone(),
            durable: self.durable.clone(),
            log: self.log.clone(),
            opened: BTreeMap::new(),
            processes: BTreeSet::new(),
            gate: Gate::default(),
            visit: None,
            waited_for: self.waited_for.clone(),
            powered: self.powered,
            max_links: self.max_links,
            reflinks: self.reflinks,
            room: self.room,
            clock_ns: self.clock_ns,
            next: self.next,
        };
        fork.collect();
        fork
    }

    pub fn set_fold(&mut self, on: bool) {
        assert!(self.nodes.len() == 1, "only an empty disk can change its case rules");
        self.live = Tree::new(on);
        self.durable = Tree::new(on);
    }

    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// The time of a change, later than that of every change before.
    pub fn now(&mut self) -> i64 {
        self.clock_ns += TICK_NS;
        self.clock_ns
    }

    /// Forgets inodes that nothing names, holds open or could bring back.
    pub fn collect(&mut self) {
        if !self.log.is_empty() {
            return;
        }
        let mut keep = self.live.reachable();
        keep.extend(self.opened.values().map(|o| o.ino));
        self.nodes.retain(|ino, _| keep.contains(ino));
        self.live.prune(&keep);
        self.durable.prune(&keep);
    }
}

/// Processes and what they hold.
impl State {
    pub fn start_process(&mut self) -> u64 {
        let id = self.number();
        self.processes.insert(id);
        id
    }

    pub fn alive(&self, process: u64) -> io::Result<()> {
        if self.processes.contains(&process) { Ok(()) } else { Err(gone()) }
    }

    pub fn open(&mut self, process: u64, ino: Ino) -> u64 {
        let id = self.number();
        self.opened.insert(id, Opened { process, ino, lock: None, ranges: Vec::new() });
        id
    }

    pub fn kill(&mut self, process: u64) {
        self.processes.remove(&process);
        self.opened.retain(|_, o| o.process != process);
    }

    pub fn cut_power(&mut self) {
        self.processes.clear();
        self.opened.clear();
        self.powered = false;
    }
}

/// Inodes.
impl State {
    pub fn kind(&self, ino: Ino) -> Kind {
        match self.nodes[&ino] {
            Node::File(_) => Kind::File,
            Node::Dir { .. } => Kind::Dir,
            Node::Symlink { .. } => Kind::Symlink,
        }
    }

    pub fn stat(&self, ino: Ino) -> Stat {
        let kind = self.kind(ino);
        let links = self.live.links(ino);
        let (size, mode, mtime_ns) = match &self.nodes[&ino] {
            Node::File(f) => (f.live.bytes.len(), f.live.mode, f.live.mtime_ns),
            Node::Dir { mode, mtime_ns } => (4096, *mode, *mtime_ns),
            Node::Symlink { target, mtime_ns } => {
                (target.as_os_str().len() as u64, 0o777, *mtime_ns)
            }
        };
        let nlink = if kind == Kind::Dir && links > 0 {
            let below = self.live.names(ino).filter(|&(_, ino)| self.live.is_dir(ino));
            2 + below.count() as u64
        } else {
            links
        };
        let allotted = size.next_multiple_of(4096);
        Stat { kind, size, mtime_ns, ctime_ns: mtime_ns, mode, dev: 1, ino, nlink, allotted }
    }

    pub fn file(&self, ino: Ino) -> io::Result<&FileNode> {
        match self.nodes.get(&ino) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(Errno::ISDIR.into()),
        }
    }

    /// Changes a file's content.
    pub fn change(&mut self, ino: Ino, change: Change) {
        let now = self.now();
        self.change_at(ino, now, change);
    }

    pub fn change_at(&mut self, ino: Ino, mtime_ns: i64, change: Change) {
        let seq = self.number();
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => file.change(seq, mtime_ns, change),
            Some(Node::Dir { mode, mtime_ns: time }) => match change {
                Change::Mode(new) => *mode = new,
                Change::Mtime => *time = mtime_ns,
                _ => panic!("a directory has no bytes"),
            },
            _ => panic!("nothing to change"),
        }
    }

    /// Changes names, as one operation.
    pub fn change_names(&mut self, op: Op) {
        let now = self.now();
        for place in op.places() {
            if let Some(Node::Dir { mtime_ns, .. }) = self.nodes.get_mut(&place.dir) {
                *mtime_ns = now;
            }
        }
        op.apply(&mut self.live);
        let seq = self.number();
        self.log.push(seq, op);
    }

    /// Makes one file's content, or one directory's names, durable.
    pub fn sync(&mut self, ino: Ino) {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => file.sync(),
            _ => self.log.commit(&mut self.durable, |op| op.touches(ino)),
        }
    }

    pub fn fail_sync(&mut self, ino: Ino) {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => file.poison(),
            _ => self.log.poison(|op| op.touches(ino)),
        }
    }

    pub fn files(&mut self) -> impl Iterator<Item = &mut FileNode> {
        let files = self.nodes.values_mut();
        files.filter_map(|n| if let Node::File(file) = n { Some(file) } else { None })
    }

    pub fn sync_all(&mut self) {
        self.files().for_each(FileNode::sync);
        self.log.commit(&mut self.durable, |_| true);
    }

    pub fn fail_sync_all(&mut self) {
        self.files().for_each(FileNode::poison);
        self.log.poison(|_| true);
    }
}

/// What can be seen of it all.
impl State {
    pub fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut seen = BTreeSet::new();
        self.digest(ROOT, &mut hasher, &mut seen);
        hasher.finalize()
    }

    fn digest(&self, dir: Ino, hasher: &mut blake3::Hasher, seen: &mut BTreeSet<Ino>) {
        for (name, ino) in self.live.names(dir) {
            hasher.update(name.as_encoded_bytes()).update(b"/").update(&ino.to_le_bytes());
            if !seen.insert(ino) {
                continue;
            }
            match &self.nodes[&ino] {
                Node::File(file) => {
                    hasher.update(&file.live.mode.to_le_bytes());
                    hasher.update(&file.live.mtime_ns.to_le_bytes());
                    file.live.bytes.digest(hasher);
                }
                Node::Dir { .. } => self.digest(ino, hasher, seen),
                Node::Symlink { target, .. } => {
                    hasher.update(target.as_os_str().as_encoded_bytes());
                }
            }
            hasher.update(b"\n");
        }
        hasher.update(b"..");
    }
}
