//! A limit on how fast bytes come, shared by everything that fetches.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How far the limit may be overdrawn after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Bytes per second, for all pulls that are given the same one.
#[derive(Debug)]
pub struct RateLimit {
    bytes_per_second: NonZeroU64,
    /// When the bytes that were let through so far are paid for.
    paid: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// A limit of so many bytes per second.
    #[must_use]
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, paid: Mutex::new(None) }
    }

    /// Waits until `bytes` more may pass.
    pub(super) async fn take(&self, bytes: usize) {
        let wait = self.charge(bytes as u64, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn charge(&self, bytes: u64, now: Instant) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let until = paid.unwrap_or(earliest).max(earliest) + cost;
        *paid = Some(until);
        until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_at_the_rate_and_a_pause_earns_little() {
        let limit = RateLimit::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        assert_eq!(limit.charge(100, start), Duration::ZERO);
        assert_eq!(limit.charge(500, start), Duration::from_millis(500));
        assert_eq!(limit.charge(500, start), Duration::from_millis(1000));
        let later = start + Duration::from_secs(60);
        assert_eq!(limit.charge(1100, later), Duration::from_millis(1000));
    }
}
