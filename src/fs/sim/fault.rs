//! Which operation meets which fault.

use std::io;

use rustix::io::Errno;

use super::state::State;

/// What can happen to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process that does it dies before it; the machine runs on and nothing is lost.
    Kill,
    /// The machine stops before it.
    PowerLoss,
    /// It fails; the next one works. A sync that fails so is never made good.
    Eio,
    /// It fails for want of space; the next one works. Waits for an operation that needs space.
    Enospc,
}

/// One fault at one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The operation's number, from 0.
    pub at: u64,
    pub fault: Fault,
    /// Whether only operations that change something, syncs among them, have numbers.
    pub only_mutations: bool,
    /// Whether a write that meets a kill or power loss was half done.
    pub torn: bool,
}

impl Plan {
    /// The fault at the `at`th operation of any kind.
    pub fn any(at: u64, fault: Fault) -> Self {
        Self { at, fault, only_mutations: false, torn: false }
    }

    /// The fault at the `at`th operation that changes something.
    pub fn mutation(at: u64, fault: Fault) -> Self {
        Self { only_mutations: true, ..Self::any(at, fault) }
    }

    /// Half of the write that meets the fault is done.
    pub fn torn(self) -> Self {
        Self { torn: true, ..self }
    }

    /// No fault: counts the operations that change something.
    pub fn count_mutations() -> Self {
        Self::mutation(u64::MAX, Fault::Kill)
    }
}

/// What an operation does, as far as faults go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Read,
    Mutate,
    /// It also needs space.
    Allocate,
}

/// Counts operations and knows which one fails.
#[derive(Default)]
pub(super) struct Gate {
    plan: Option<Plan>,
    ops: u64,
    fired: bool,
}

impl Gate {
    pub fn arm(&mut self, plan: Plan) {
        *self = Self { plan: Some(plan), ops: 0, fired: false };
    }

    /// After a reboot nothing fails any more.
    pub fn disarm(&mut self) {
        if let Some(plan) = &mut self.plan {
            plan.at = u64::MAX;
        }
    }

    pub fn ops(&self) -> u64 {
        self.ops
    }

    pub fn fired(&self) -> bool {
        self.fired
    }

    /// Counts an operation; the plan when its fault is due.
    fn count(&mut self, class: Class) -> Option<Plan> {
        if self.plan.is_some_and(|p| p.only_mutations) && class == Class::Read {
            return None;
        }
        let number = self.ops;
        self.ops += 1;
        let plan = self.plan.filter(|p| !self.fired && number >= p.at)?;
        if plan.fault == Fault::Enospc && class != Class::Allocate {
            return None;
        }
        self.fired = true;
        Some(plan)
    }
}

/// Why an operation did not happen.
#[derive(Debug)]
pub(super) struct Stop {
    error: io::Error,
    /// Half of it did.
    pub torn: bool,
    pub eio: bool,
}

impl From<Stop> for io::Error {
    fn from(stop: Stop) -> Self {
        stop.error
    }
}

pub(super) fn gone() -> io::Error {
    io::Error::other("process is gone")
}

impl State {
    /// Lets an operation of `process` pass, or lets it meet its fault.
    pub fn pass(&mut self, process: u64, class: Class) -> Result<(), Stop> {
        let Some(plan) = self.gate.count(class) else { return Ok(()) };
        let error = match plan.fault {
            Fault::Kill => {
                self.kill(process);
                gone()
            }
            Fault::PowerLoss => {
                self.cut_power();
                gone()
            }
            Fault::Eio => Errno::IO.into(),
            Fault::Enospc => Errno::NOSPC.into(),
        };
        let dies = matches!(plan.fault, Fault::Kill | Fault::PowerLoss);
        Err(Stop { error, torn: plan.torn && dies, eio: plan.fault == Fault::Eio })
    }
}
