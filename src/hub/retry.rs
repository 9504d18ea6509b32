//! When a request that failed is made again.

use std::time::Duration;

use crate::error::HubError;

/// How often, and how far apart, a request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often in all a request is made that brings nothing.
    pub attempts: u32,
    /// The first pause; each further one is twice as long.
    pub base: Duration,
    /// The longest pause of our own choice.
    pub cap: Duration,
    /// The longest pause that a server may ask for; one that asks for more gets no further request.
    pub patience: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 8,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(20),
            patience: Duration::from_secs(600),
        }
    }
}

impl Retry {
    /// One attempt.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait before the next attempt, after `failures` (1 or more) in a row of which
    /// `error` is the last. `None`: give up.
    ///
    /// A part of each pause is chance, so that workers that failed together do not come back
    /// together. What the server asks for is a lower bound.
    #[must_use]
    pub fn pause(&self, failures: u32, error: &HubError) -> Option<Duration> {
        if failures >= self.attempts || !error.is_retryable() {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        if asked > self.patience {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.base.saturating_mul(1 << doublings).min(self.cap);
        let ours = full.mul_f64(0.5 + fastrand::f64() / 2.0);
        Some(asked.saturating_add(if asked.is_zero() { ours } else { self.base.min(ours) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(retry_after: Option<u64>) -> HubError {
        let retry_after = retry_after.map(Duration::from_secs);
        HubError::RateLimited { url: String::new(), retry_after }
    }

    #[test]
    fn pauses_grow_to_the_cap_and_end() {
        let retry = Retry::default();
        let mut last = Duration::ZERO;
        for failures in 1..retry.attempts {
            let full = (retry.base * (1 << (failures - 1))).min(retry.cap);
            let pause = retry.pause(failures, &limited(None)).unwrap();
            assert!(pause >= full / 2 && pause <= full, "{failures}: {pause:?}");
            assert!(pause >= last / 2);
            last = pause;
        }
        assert_eq!(retry.pause(retry.attempts, &limited(None)), None);
        assert_eq!(Retry::never().pause(1, &limited(None)), None);
    }

    #[test]
    fn the_server_is_left_alone_for_as_long_as_it_asks() {
        let retry = Retry::default();
        let pause = retry.pause(1, &limited(Some(55))).unwrap();
        assert!(pause >= Duration::from_secs(55) && pause < Duration::from_secs(56));
        assert_eq!(retry.pause(1, &limited(Some(3600))), None);
    }

    #[test]
    fn what_cannot_change_is_not_repeated() {
        let error = HubError::Disabled { model: "a/b".parse().unwrap() };
        assert_eq!(Retry::default().pause(1, &error), None);
    }
}
