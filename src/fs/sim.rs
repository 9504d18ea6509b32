//! A file system in memory that can lose power, be killed or fail at any operation.
//!
//! What a program sees (the *live* state) and what survives a power loss (the *durable* state) are
//! kept apart. An operation changes the live state at once and waits in a log until a sync makes
//! it durable; [`SimDisk::reboot`] rebuilds the disk from the durable state and any subset of what
//! was still waiting. The model is pessimistic: a sync promises what POSIX says and nothing that a
//! particular file system does besides.
//!
//! - Every change of a file's bytes, mode or time is an operation of its own, made durable by a
//!   sync of that file. The file's name is not part of it.
//! - Every change of names is one atomic operation, a rename between two directories too, made
//!   durable by a sync of any directory it touches. With it goes what it builds on: earlier
//!   operations on the same names.
//! - What a failed sync was asked to make durable is never made durable by a later one.
//!
//! Nothing depends on chance or the clock, so that every failure repeats.

mod bytes;
mod content;
mod dir;
mod fault;
mod file;
mod lock;
mod log;
mod names;
mod path;
mod process;
mod reboot;
mod state;
mod tests;
mod tree;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Room;

pub(crate) use fault::{Fault, Plan};
pub(crate) use file::SimFile;
pub(crate) use process::SimFs;
pub(crate) use reboot::{Fate, Keep};
use state::State;

/// A disk and the machine it is in. Clones are the same disk; [`SimDisk::fork`] is another.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State::new())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panics with the lock held has failed already; its handles still get dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an observer sees. Without power there is nothing to see: the live state is gone and
    /// the durable one is not decided.
    fn observe(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        assert!(state.powered, "the power is off: reboot first");
        state
    }

    /// A new process on this machine.
    pub fn process(&self) -> Arc<SimFs> {
        let id = self.observe().start_process();
        Arc::new(SimFs::new(self.clone(), id))
    }

    /// An independent copy of the disk, unsynced operations included, without its processes,
    /// plan and locks.
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.observe().fork())))
    }

    /// Counts operations from 0 again, and lets number [`Plan::at`] meet its fault.
    pub fn arm(&self, plan: Plan) {
        self.lock().gate.arm(plan);
    }

    /// The operations since [`SimDisk::arm`] that its plan counts.
    pub fn ops(&self) -> u64 {
        self.lock().gate.ops()
    }

    /// Whether the plan's fault has happened.
    pub fn fired(&self) -> bool {
        self.lock().gate.fired()
    }

    /// Calls `visit` before operation number `at` since [`SimDisk::arm`], as if another process
    /// ran to its end while this one waited. It waits for the first moment at which the process
    /// that does the operation has no bytes locked exclusively: nobody could come between.
    pub fn visit_at(&self, at: u64, visit: impl FnOnce() + Send + 'static) {
        self.lock().visit = Some((at, Box::new(visit)));
    }

    /// Names a directory whose lock others wait for: no visit comes while it is held.
    pub fn others_wait_for(&self, path: impl AsRef<Path>) {
        self.lock().waited_for = Some(path.as_ref().into());
    }

    /// Whether the visit is still to come.
    pub fn awaits_visit(&self) -> bool {
        self.lock().visit.is_some()
    }

    /// Lets the visit happen that is due before an operation of `process`.
    fn receive(&self, process: u64) {
        let mut state = self.lock();
        let due = state.visit.as_ref().is_some_and(|(at, _)| state.gate.ops() >= *at);
        if !due || state.excludes_others(process) {
            return;
        }
        let visit = state.visit.take();
        drop(state);
        if let Some((_, visit)) = visit {
            visit();
        }
    }

    /// Kills one process, between two operations.
    pub fn kill(&self, process: &SimFs) {
        self.lock().kill(process.id());
    }

    /// Cuts the power between two operations. [`SimDisk::reboot`] comes next.
    pub fn cut_power(&self) {
        self.lock().cut_power();
    }

    /// Rebuilds the disk from what was durable and what `keep` keeps. Every process dies.
    pub fn reboot(&self, keep: Keep) {
        let mut choose = keep.chooser();
        self.reboot_with(&mut choose);
    }

    /// As [`SimDisk::reboot`], where `fate` is asked for each unsynced operation by its number, in
    /// the order in which they were done.
    pub fn reboot_with(&self, fate: &mut dyn FnMut(usize) -> Fate) {
        self.lock().reboot(fate);
    }

    /// How many operations a power loss could drop now.
    pub fn pending(&self) -> usize {
        self.lock().pending().len()
    }

    /// The same operations in words, for the message of a test that failed.
    pub fn describe_pending(&self) -> Vec<String> {
        self.lock().pending().into_values().collect()
    }
}

/// What kind of disk it is.
impl SimDisk {
    /// How many names a file can have before another one gives EMLINK.
    pub fn set_max_links(&self, max: u64) {
        self.lock().max_links = max;
    }

    /// Whether files can share blocks. A new disk's cannot.
    pub fn set_reflinks(&self, on: bool) {
        self.lock().reflinks = on;
    }

    /// Whether names that differ in ASCII case only are the same. Only an empty disk can change.
    pub fn set_case_insensitive(&self, on: bool) {
        self.lock().set_fold(on);
    }

    /// What [`DirHandle::room`](super::DirHandle::room) tells. Writes do not change it.
    pub fn set_room(&self, available: u64, total: u64) {
        self.lock().room = Room { available, total };
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        let ns = i64::try_from(time.as_nanos()).expect("less than 292 years");
        self.lock().clock_ns += ns;
    }
}

/// What a test does to the disk and sees of it from outside: no process, no fault, not counted.
impl SimDisk {
    /// Makes a file with its directories, all of it durable at once.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let path = path.as_ref();
        self.observe().plant(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// A file's live bytes, through symbolic links.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.observe();
        let (ino, _) = state.resolve(path.as_ref()).ok()?;
        state.nodes.get(&ino)?.file().map(|f| f.live.bytes.to_vec())
    }

    /// Whether the path's name is there, even if it is a symbolic link to nothing.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.observe().resolve_name(path.as_ref()).is_some()
    }

    /// A digest of everything that can be seen: names, inodes, bytes, modes and times.
    pub fn fingerprint(&self) -> [u8; 32] {
        *self.observe().fingerprint().as_bytes()
    }

    /// Every path below `path`, relative to it, sorted. Empty when there is no such directory.
    pub fn tree(&self, path: impl AsRef<Path>) -> Vec<String> {
        let state = self.observe();
        let mut paths = Vec::new();
        if let Ok((ino, _)) = state.resolve(path.as_ref()) {
            state.live.walk(ino, "", &mut paths);
        }
        paths.sort();
        paths
    }
}
