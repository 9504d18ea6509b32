//! Advisory locks, as flock has them: they belong to the open file, not to the process.

use super::super::LockKind;
use super::state::State;

impl State {
    pub fn try_lock(&mut self, handle: u64, kind: LockKind) -> bool {
        let opened = self.opened.get_mut(&handle).expect("an open handle");
        let ino = opened.ino;
        // A lock that is converted is given up first, and lost if the new one is not to be had.
        opened.lock = None;
        let excluded = self.opened.values().filter(|o| o.ino == ino).any(|o| {
            o.lock.is_some_and(|held| LockKind::Exclusive == held || LockKind::Exclusive == kind)
        });
        if !excluded {
            self.opened.get_mut(&handle).expect("an open handle").lock = Some(kind);
        }
        !excluded
    }
}
