//! Every operation of a scenario meets every fault.
//!
//! `TONNAGE_TORTURE=<n>` tries n times as many of the subsets that a power loss can leave; from 10
//! on, every prefix and every subset that lacks one operation. `TONNAGE_TORTURE_OUT=<directory>` gets
//! the full list of violations, a file for each scenario.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::check::{Expect, Kind, check};
use super::world;
use crate::fs::sim::{Fault, Keep, Plan, SimDisk, SimFs};
use crate::store::Store;

type Outcome = Result<(), String>;

/// What is done while a fault waits.
pub(super) enum Doing<'a> {
    /// Something with an open store; the opening is part of it.
    InStore(&'a dyn Fn(&Store) -> Outcome),
    /// Something that opens no store, or its own.
    Alone(&'a dyn Fn(&Arc<SimFs>) -> Outcome),
}

pub(super) struct Scenario<'a> {
    pub name: &'a str,
    pub disk: SimDisk,
    pub doing: Doing<'a>,
    /// What may be there as long as it did not return success, and what when it did.
    pub before: Expect,
    pub after: Expect,
    /// Whether it can be done again after an error.
    pub repeatable: bool,
    /// Whether operations that only read fail too.
    pub reads: bool,
}

#[derive(Default)]
struct Tally {
    operations: u64,
    crashes: u64,
    errors: u64,
    distinct: u64,
    violations: Vec<String>,
}

fn scale() -> u64 {
    std::env::var("TONNAGE_TORTURE").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

impl Scenario<'_> {
    pub fn run(&self) {
        let mut tally = Tally::default();
        let mut seen = HashSet::new();
        self.crashes(&mut tally, &mut seen);
        for fault in [Fault::Eio, Fault::Enospc] {
            self.errors(&mut tally, |at| Plan::mutation(at, fault));
        }
        if self.reads {
            self.errors(&mut tally, |at| Plan::any(at, Fault::Eio));
        }
        println!(
            "{}: {} operations, {} crashes ({} distinct states), {} errors, {} violations",
            self.name,
            tally.operations,
            tally.crashes,
            tally.distinct,
            tally.errors,
            tally.violations.len()
        );
        if let Ok(dir) = std::env::var("TONNAGE_TORTURE_OUT") {
            let name = self.name.replace([' ', ','], "-");
            std::fs::write(format!("{dir}/{name}"), tally.violations.join("\n")).unwrap();
        }
        assert!(
            tally.violations.is_empty(),
            "{}: {} violations, such as\n{}",
            self.name,
            tally.violations.len(),
            tally.violations[..tally.violations.len().min(8)].join("\n")
        );
    }

    /// A process's whole life. True when the operation returned success while it still lived.
    fn live(&self, disk: &SimDisk) -> Result<bool, String> {
        let process = disk.process();
        let store = match &self.doing {
            Doing::InStore(_) => Some(world::open(&process)?),
            Doing::Alone(_) => None,
        };
        self.act(&process, store.as_ref())?;
        Ok(!disk.fired())
    }

    fn act(&self, process: &Arc<SimFs>, store: Option<&Store>) -> Outcome {
        match (&self.doing, store) {
            (Doing::InStore(doing), Some(store)) => doing(store),
            (Doing::Alone(doing), _) => doing(process),
            (Doing::InStore(_), None) => Err("no store".to_owned()),
        }
    }

    fn crashes(&self, tally: &mut Tally, seen: &mut HashSet<([u8; 32], bool)>) {
        for at in 0.. {
            let mut fired = false;
            for torn in [false, true] {
                let disk = self.disk.fork();
                let plan = Plan::mutation(at, Fault::Kill);
                disk.arm(if torn { plan.torn() } else { plan });
                fastrand::seed(7);
                let lived = catch_unwind(AssertUnwindSafe(|| self.live(&disk)));
                fired = disk.fired();
                let what = format!("operation {at}{}", if torn { ", torn" } else { "" });
                let Ok(lived) = lived else {
                    tally.violations.push(format!("{what}: killed: panic"));
                    continue;
                };
                let acknowledged = lived.is_ok_and(|acknowledged| acknowledged);
                let killed = Kind { acknowledged, ..Kind::default() };
                self.look(tally, seen, disk.fork(), killed, &format!("{what}: killed"));
                if self.repeatable && !torn {
                    // The same again, by a process that knows nothing of the first.
                    if let Err(e) = self.live(&disk.fork()) {
                        tally.violations.push(format!("{what}: killed, then again: {e}"));
                    }
                }
                if torn && !fired {
                    continue;
                }
                for keep in keeps(at, disk.pending(), torn) {
                    let after = disk.fork();
                    after.cut_power();
                    after.reboot(keep);
                    let quick = scale() == 1 && !tally.crashes.is_multiple_of(4);
                    let lost = Kind { power: true, acknowledged, failed: false, quick };
                    self.look(tally, seen, after, lost, &format!("{what}: {keep:?}"));
                }
            }
            if !fired {
                tally.operations = at;
                break;
            }
        }
    }

    fn look(
        &self,
        tally: &mut Tally,
        seen: &mut HashSet<([u8; 32], bool)>,
        disk: SimDisk,
        kind: Kind,
        what: &str,
    ) {
        tally.crashes += 1;
        // A state that was looked at under the weaker promise is looked at again under the other.
        if !seen.insert((disk.fingerprint(), kind.acknowledged)) {
            return;
        }
        tally.distinct += 1;
        self.judge(tally, &disk, kind, what);
    }

    fn judge(&self, tally: &mut Tally, disk: &SimDisk, kind: Kind, what: &str) {
        let expect = if kind.acknowledged { &self.after } else { &self.before };
        let mut expect = expect.clone();
        if kind.power {
            // A view's name is not made durable: the place is as it was, or as it became.
            for ((_, looks), (_, before)) in expect.views.iter_mut().zip(&self.before.views) {
                looks.extend(before.iter().cloned());
            }
        }
        match catch_unwind(AssertUnwindSafe(|| check(disk, &expect, kind))) {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tally.violations.push(format!("{what} ({kind:?}): {e}")),
            Err(_) => tally.violations.push(format!("{what} ({kind:?}): panic in the check")),
        }
    }

    fn errors(&self, tally: &mut Tally, plan: impl Fn(u64) -> Plan) {
        for at in 0.. {
            let disk = self.disk.fork();
            let plan = plan(at);
            disk.arm(plan);
            fastrand::seed(7);
            let what = format!(
                "{} {at}: {:?}",
                if plan.only_mutations { "operation" } else { "any operation" },
                plan.fault
            );
            let done = catch_unwind(AssertUnwindSafe(|| self.fail(tally, &disk, &what)));
            match done {
                Ok(Ok(())) => {}
                Ok(Err(e)) => tally.violations.push(format!("{what}: {e}")),
                Err(_) => tally.violations.push(format!("{what}: panic")),
            }
            if !disk.fired() {
                break;
            }
            tally.errors += 1;
        }
    }

    /// The process lives on: what it did not do it can do again, and then it is safe.
    fn fail(&self, tally: &mut Tally, disk: &SimDisk, what: &str) -> Outcome {
        let process = disk.process();
        let mut store = None;
        if let Doing::InStore(_) = self.doing {
            store = match world::open(&process) {
                Ok(store) => Some(store),
                Err(e) if !disk.fired() => return Err(format!("open: {e}")),
                Err(_) => Some(world::open(&process).map_err(|e| format!("open again: {e}"))?),
            };
        }
        let act = |store: &Option<Store>| self.act(&process, store.as_ref());
        let mut done = act(&store);
        if let (Err(e), false) = (&done, disk.fired()) {
            return Err(format!("failed without a fault: {e}"));
        }
        let kind = |power, done: &Outcome| Kind {
            power,
            acknowledged: done.is_ok(),
            failed: true,
            quick: scale() == 1,
        };
        let killed = kind(false, &done);
        self.judge(tally, &disk.fork(), killed, &format!("{what}, then killed"));
        if done.is_err() && self.repeatable {
            done = act(&store);
            if done.is_err() && store.is_some() {
                // The index takes no more writes through a handle that failed.
                drop(store.take());
                store = Some(world::open(&process).map_err(|e| format!("open anew: {e}"))?);
                done = act(&store);
            }
            if let Err(e) = &done {
                return Err(format!("again: {e}"));
            }
        }
        let after = disk.fork();
        after.cut_power();
        after.reboot(Keep::None);
        let lost = kind(true, &done);
        self.judge(tally, &after, lost, &format!("{what}, done again, then no power"));
        drop(store);
        Ok(())
    }
}

/// The subsets of the unsynced operations that are tried.
fn keeps(at: u64, pending: usize, torn: bool) -> Vec<Keep> {
    let scale = scale();
    let mut keeps = vec![Keep::None, Keep::All];
    let seed = |i: u64| at * 1000 + i;
    if pending > 0 {
        let mut rng = fastrand::Rng::with_seed(seed(999));
        for i in 0..scale {
            keeps.extend([Keep::Random(seed(i)), Keep::Torn(seed(i))]);
            let mut one = || rng.usize(..pending);
            keeps.extend([Keep::Except(one()), Keep::Prefix(one())]);
            keeps.push(if torn { Keep::Except(pending - 1) } else { Keep::Only(one()) });
        }
        if scale >= 10 {
            keeps.extend((0..pending).flat_map(|i| [Keep::Except(i), Keep::Prefix(i)]));
        }
    }
    keeps
}
