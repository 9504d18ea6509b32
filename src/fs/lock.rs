//! Waiting for advisory locks, with a limit.

use std::time::{Duration, Instant};

use super::{File, LockKind, Result};

/// Asks for the lock until it is had or `patience` is over; false when it is over.
///
/// Advisory locks have no wait with a limit of their own, so this one asks again and again.
pub(crate) fn wait(file: &File, kind: LockKind, patience: Duration) -> Result<bool> {
    wait_for(|| file.try_lock(kind), patience)
}

/// As [`wait`], for a lock that `ask` asks for.
pub(crate) fn wait_for(mut ask: impl FnMut() -> Result<bool>, patience: Duration) -> Result<bool> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(100);
    while !ask()? {
        if began.elapsed() >= patience {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(true)
}
