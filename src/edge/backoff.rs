//! How long to wait after a failure: exponential, with jitter, so that many who failed at once do not come back at once.
//!
//! Pure arithmetic but for the jitter; every room may use it.

use std::time::Duration;

/// Between which bounds waits are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// No wait is shorter.
    pub shortest: Duration,
    /// The longest first wait; it doubles with each failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

/// Counts failures in a row.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    bounds: Bounds,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, failures: 0 }
    }

    /// One more failure: how long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        self.next_wait_within(self.bounds.longest)
    }

    /// One more failure, after which `longest` is enough: how long to wait.
    pub fn next_wait_within(&mut self, longest: Duration) -> Duration {
        let ceiling = self.ceiling().min(longest).max(self.bounds.shortest);
        self.failures = self.failures.saturating_add(1);
        rand::random_range(self.bounds.shortest..=ceiling)
    }

    /// It worked.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.bounds.first.saturating_mul(factor).min(self.bounds.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        shortest: Duration::from_millis(500),
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
    };

    #[test]
    fn the_longest_wait_doubles_up_to_the_bound() {
        let ceiling = |failures| {
            Backoff {
                bounds: BOUNDS,
                failures,
            }
            .ceiling()
            .as_secs()
        };
        let ceilings: Vec<u64> = (0..7).map(ceiling).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(ceiling(u32::MAX), 30);
    }

    #[test]
    fn no_wait_leaves_the_bounds_however_short_the_caller_wants_it() {
        let mut backoff = Backoff::new(BOUNDS);
        for _ in 0..100 {
            let wait = backoff.next_wait();
            assert!((BOUNDS.shortest..=BOUNDS.longest).contains(&wait), "{wait:?}");
        }
        assert_eq!(backoff.next_wait_within(Duration::ZERO), BOUNDS.shortest);
    }
}
