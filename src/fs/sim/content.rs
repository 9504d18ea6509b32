//! A file's content, live and durable, and the changes between the two.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bytes::Bytes;
use super::reboot::Fate;

/// Where an operation that is not durable yet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No sync has covered it.
    Waiting,
    /// A sync that covered it failed: it may be on the disk or not, and no sync will tell.
    Poisoned,
    /// Durable, and only here because something before it in the log is not.
    Committed,
}

#[derive(Clone, Debug)]
pub(super) struct Content {
    pub bytes: Bytes,
    pub mode: u32,
    pub mtime_ns: i64,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
    Reserve(u64),
    Clone(Bytes),
    Mode(u32),
    Mtime,
}

/// One change, numbered among all operations on the disk.
#[derive(Clone)]
struct Logged {
    seq: u64,
    change: Change,
    mtime_ns: i64,
    stage: Stage,
}

#[derive(Clone)]
pub(super) struct FileNode {
    pub live: Content,
    durable: Content,
    log: Vec<Logged>,
}

impl FileNode {
    /// An empty file. Its inode exists durably from the start; without a name it is nothing.
    pub fn new(mtime_ns: i64) -> Self {
        let content = Content { bytes: Bytes::default(), mode: 0o644, mtime_ns };
        Self { live: content.clone(), durable: content, log: Vec::new() }
    }

    pub fn change(&mut self, seq: u64, mtime_ns: i64, change: Change) {
        let logged = Logged { seq, change, mtime_ns, stage: Stage::Waiting };
        logged.apply(&mut self.live);
        self.log.push(logged);
    }

    pub fn sync(&mut self) {
        for logged in &mut self.log {
            if logged.stage == Stage::Waiting {
                logged.stage = Stage::Committed;
            }
        }
        let firm = self.log.iter().take_while(|l| l.stage == Stage::Committed).count();
        if firm == self.log.len() {
            self.durable = self.live.clone();
            self.log.clear();
            return;
        }
        for logged in self.log.drain(..firm) {
            logged.apply(&mut self.durable);
        }
    }

    /// A sync failed.
    pub fn poison(&mut self) {
        for logged in &mut self.log {
            if logged.stage == Stage::Waiting {
                logged.stage = Stage::Poisoned;
            }
        }
    }

    pub fn pending(&self) -> impl Iterator<Item = (u64, String)> {
        let open = self.log.iter().filter(|l| l.stage != Stage::Committed);
        open.map(|l| (l.seq, l.describe()))
    }

    /// Becomes what a power loss leaves.
    pub fn reboot(&mut self, fates: &BTreeMap<u64, Fate>) {
        for logged in self.log.drain(..) {
            match logged.stage {
                Stage::Committed => logged.apply(&mut self.durable),
                Stage::Waiting | Stage::Poisoned => match fates.get(&logged.seq) {
                    Some(Fate::Keep) => logged.apply(&mut self.durable),
                    Some(Fate::Tear) => logged.half().apply(&mut self.durable),
                    Some(Fate::Drop) | None => {}
                },
            }
        }
        self.live = self.durable.clone();
    }
}

impl Logged {
    fn apply(&self, content: &mut Content) {
        let bytes = &mut content.bytes;
        match &self.change {
            Change::Write { offset, data } => bytes.write(data, *offset),
            Change::SetLen(len) => bytes.set_len(*len),
            Change::Reserve(len) => bytes.set_len(bytes.len().max(*len)),
            Change::Clone(source) => *bytes = source.clone(),
            Change::Mode(mode) => {
                content.mode = *mode;
                return;
            }
            Change::Mtime => {}
        }
        content.mtime_ns = self.mtime_ns;
    }

    /// Only a write can be half done.
    fn half(&self) -> Self {
        let mut half = self.clone();
        if let Change::Write { data, .. } = &mut half.change {
            *data = data[..data.len() / 2].into();
        }
        half
    }

    fn describe(&self) -> String {
        let poisoned = if self.stage == Stage::Poisoned { " (sync failed)" } else { "" };
        match &self.change {
            Change::Write { offset, data } => {
                format!("write {} bytes at {offset}{poisoned}", data.len())
            }
            Change::SetLen(len) => format!("set length to {len}{poisoned}"),
            Change::Reserve(len) => format!("reserve {len}{poisoned}"),
            Change::Clone(bytes) => format!("clone {bytes:?}{poisoned}"),
            Change::Mode(mode) => format!("set mode {mode:o}{poisoned}"),
            Change::Mtime => format!("set mtime {}{poisoned}", self.mtime_ns),
        }
    }
}
