//! Changes of names that are not durable yet, and what a sync takes along.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use super::content::Stage;
use super::reboot::Fate;
use super::tree::{Ino, Place, Tree};

/// One atomic change of names.
#[derive(Clone)]
pub(super) enum Op {
    Add { at: Place, ino: Ino },
    Remove { at: Place, ino: Ino },
    Rename { from: Place, ino: Ino, to: Place, replaced: Option<Ino> },
    Exchange { a: Place, a_ino: Ino, b: Place, b_ino: Ino },
}

#[derive(Clone)]
struct Logged {
    seq: u64,
    op: Op,
    stage: Stage,
}

#[derive(Clone, Default)]
pub(super) struct Log(Vec<Logged>);

impl Op {
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let (first, second) = match self {
            Self::Add { at, .. } | Self::Remove { at, .. } => (at, None),
            Self::Rename { from, to, .. } => (from, Some(to)),
            Self::Exchange { a, b, .. } => (a, Some(b)),
        };
        std::iter::once(first).chain(second)
    }

    pub fn touches(&self, dir: Ino) -> bool {
        self.places().any(|p| p.dir == dir)
    }

    /// What loses its name and must have been empty, if it was a directory.
    fn emptied(&self) -> Option<Ino> {
        match self {
            Self::Remove { ino, .. } => Some(*ino),
            Self::Rename { replaced, .. } => *replaced,
            Self::Add { .. } | Self::Exchange { .. } => None,
        }
    }

    /// Whether it gives a directory another parent.
    fn moves_dir(&self, tree: &Tree) -> bool {
        match self {
            Self::Rename { from, ino, to, .. } => from.dir != to.dir && tree.is_dir(*ino),
            Self::Exchange { a, a_ino, b, b_ino } => {
                a.dir != b.dir && (tree.is_dir(*a_ino) || tree.is_dir(*b_ino))
            }
            Self::Add { .. } | Self::Remove { .. } => false,
        }
    }

    /// Whether it would put a directory below itself.
    fn makes_cycle(&self, tree: &Tree) -> bool {
        let below = |ino, dir| tree.is_dir(ino) && tree.within(dir, ino);
        match self {
            Self::Rename { ino, to, .. } => below(*ino, to.dir),
            Self::Exchange { a, a_ino, b, b_ino } => below(*a_ino, b.dir) || below(*b_ino, a.dir),
            Self::Add { .. } | Self::Remove { .. } => false,
        }
    }

    /// Whether it makes sense in a tree that lacks some of what came before it.
    fn fits(&self, tree: &Tree) -> bool {
        let gone = |ino| !tree.is_dir(ino) || tree.is_empty(ino);
        match self {
            Self::Add { at, .. } => tree.get(at).is_none(),
            Self::Remove { at, ino } => tree.get(at) == Some(*ino) && gone(*ino),
            Self::Rename { from, ino, to, replaced } => {
                let room = match (tree.get(to), replaced) {
                    (None, _) => true,
                    (Some(there), _) if there == *ino => true,
                    // Nothing was there when the program renamed: it may have relied on that.
                    (Some(_), None) => false,
                    (Some(there), Some(_)) => {
                        tree.is_dir(there) == tree.is_dir(*ino) && gone(there)
                    }
                };
                tree.get(from) == Some(*ino) && room
            }
            Self::Exchange { a, a_ino, b, b_ino } => {
                tree.get(a) == Some(*a_ino) && tree.get(b) == Some(*b_ino)
            }
        }
    }

    /// Does it, whatever was there.
    pub fn apply(&self, tree: &mut Tree) {
        if self.makes_cycle(tree) {
            return;
        }
        match self {
            Self::Add { at, ino } => tree.set(at, *ino),
            Self::Remove { at, .. } => tree.clear(at),
            Self::Rename { from, ino, to, .. } => {
                tree.clear(from);
                tree.set(to, *ino);
            }
            Self::Exchange { a, a_ino, b, b_ino } => {
                tree.clear(a);
                tree.set(b, *a_ino);
                tree.set(a, *b_ino);
            }
        }
    }

    fn describe(&self) -> String {
        let show = |p: &Place| format!("{} in inode {}", p.name.display(), p.dir);
        match self {
            Self::Add { at, ino } => format!("add {} as inode {ino}", show(at)),
            Self::Remove { at, .. } => format!("remove {}", show(at)),
            Self::Rename { from, to, .. } => format!("rename {} to {}", show(from), show(to)),
            Self::Exchange { a, b, .. } => format!("exchange {} and {}", show(a), show(b)),
        }
    }
}

/// What the operations that a sync makes durable build on.
#[derive(Default)]
struct Needs<'a> {
    slots: BTreeSet<(Ino, &'a OsStr)>,
    /// Directories that must have become empty.
    dirs: BTreeSet<Ino>,
    /// One directory's move may be possible only after another's.
    moves: bool,
}

impl<'a> Needs<'a> {
    fn include(&self, op: &Op, tree: &Tree) -> bool {
        op.places().any(|p| self.slots.contains(&p.slot()) || self.dirs.contains(&p.dir))
            || (self.moves && op.moves_dir(tree))
    }

    fn add(&mut self, op: &'a Op, tree: &Tree) {
        self.slots.extend(op.places().map(Place::slot));
        self.dirs.extend(op.emptied());
        self.moves |= op.moves_dir(tree);
    }
}

impl Log {
    pub fn push(&mut self, seq: u64, op: Op) {
        self.0.push(Logged { seq, op, stage: Stage::Waiting });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the operations that `wanted` picks durable, and what they build on.
    pub fn commit(&mut self, durable: &mut Tree, wanted: impl Fn(&Op) -> bool) {
        self.spread_poison();
        let mut needs = Needs::default();
        for Logged { op, stage, .. } in self.0.iter_mut().rev() {
            if *stage == Stage::Waiting && (wanted(op) || needs.include(op, durable)) {
                *stage = Stage::Committed;
                needs.add(op, durable);
            }
        }
        let firm = self.0.iter().take_while(|l| l.stage == Stage::Committed).count();
        for logged in self.0.drain(..firm) {
            logged.op.apply(durable);
        }
    }

    /// A sync of what `wanted` picks failed.
    pub fn poison(&mut self, wanted: impl Fn(&Op) -> bool) {
        for logged in &mut self.0 {
            if logged.stage == Stage::Waiting && wanted(&logged.op) {
                logged.stage = Stage::Poisoned;
            }
        }
    }

    /// What carries a name on that may not be on the disk can no more become durable than that
    /// name. A new file at the same place can.
    fn spread_poison(&mut self) {
        let mut tainted = BTreeSet::new();
        for Logged { op, stage, .. } in &mut self.0 {
            let carries = match op {
                Op::Add { .. } | Op::Remove { .. } => false,
                Op::Rename { from, .. } => tainted.contains(&from.slot()),
                Op::Exchange { .. } => op.places().any(|p| tainted.contains(&p.slot())),
            };
            if carries && *stage == Stage::Waiting {
                *stage = Stage::Poisoned;
            }
            for place in op.places() {
                if *stage == Stage::Poisoned {
                    tainted.insert(place.slot());
                } else {
                    tainted.remove(&place.slot());
                }
            }
        }
    }

    pub fn pending(&self) -> impl Iterator<Item = (u64, String)> {
        let open = self.0.iter().filter(|l| l.stage != Stage::Committed);
        open.map(|l| {
            let poisoned = if l.stage == Stage::Poisoned { " (sync failed)" } else { "" };
            (l.seq, format!("{}{poisoned}", l.op.describe()))
        })
    }

    /// Turns the durable tree into what a power loss leaves.
    pub fn reboot(&mut self, durable: &mut Tree, fates: &BTreeMap<u64, Fate>) {
        for Logged { seq, op, stage } in self.0.drain(..) {
            let kept = matches!(fates.get(&seq), Some(Fate::Keep | Fate::Tear));
            if stage == Stage::Committed || (kept && op.fits(durable)) {
                op.apply(durable);
            }
        }
    }
}
