//! What a power loss leaves.

use std::collections::BTreeMap;

use super::content::FileNode;
use super::state::{Node, State};

/// What becomes of an operation that was not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Drop,
    Keep,
    /// Half of a write is kept. Anything else is atomic, and kept.
    Tear,
}

/// Which of the operations that were not durable a power loss leaves, by their numbers in the
/// order in which they were done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    None,
    All,
    /// The first so many.
    Prefix(usize),
    /// One alone.
    Only(usize),
    /// All but one.
    Except(usize),
    /// Each or not, by a coin with this seed.
    Random(u64),
    /// Each, half of it or not, by a die with this seed.
    Torn(u64),
}

impl Keep {
    pub(super) fn chooser(self) -> impl FnMut(usize) -> Fate {
        let seed = if let Self::Random(seed) | Self::Torn(seed) = self { seed } else { 0 };
        let mut rng = fastrand::Rng::with_seed(seed);
        move |i| {
            let keep = match self {
                Self::None => false,
                Self::All => true,
                Self::Prefix(n) => i < n,
                Self::Only(n) => i == n,
                Self::Except(n) => i != n,
                Self::Random(_) => rng.bool(),
                Self::Torn(_) => match rng.u8(..3) {
                    0 => return Fate::Tear,
                    n => n == 1,
                },
            };
            if keep { Fate::Keep } else { Fate::Drop }
        }
    }
}

impl State {
    /// The operations that are not durable, by when they were done.
    pub fn pending(&self) -> BTreeMap<u64, String> {
        let mut pending: BTreeMap<u64, String> = self.log.pending().collect();
        for (ino, node) in &self.nodes {
            let Node::File(file) = node else { continue };
            pending.extend(file.pending().map(|(seq, op)| (seq, format!("inode {ino}: {op}"))));
        }
        pending
    }

    pub fn reboot(&mut self, fate: &mut dyn FnMut(usize) -> Fate) {
        self.cut_power();
        let pending = self.pending().into_keys().enumerate();
        let fates: BTreeMap<u64, Fate> = pending.map(|(i, seq)| (seq, fate(i))).collect();
        self.files().for_each(|f: &mut FileNode| f.reboot(&fates));
        self.log.reboot(&mut self.durable, &fates);
        self.live = self.durable.clone();
        self.collect();
        self.gate.disarm();
        self.powered = true;
    }
}
