//! How long to wait after a failure: exponential, with jitter, so that a thousand gateways do not come back at once.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(500);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// One more failure: how long to wait before the next attempt.
    pub(super) fn next(&mut self) -> Duration {
        let ceiling = ceiling(self.failures);
        self.failures = self.failures.saturating_add(1);
        rand::random_range(SHORTEST..=ceiling)
    }

    /// It worked.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

fn ceiling(failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
    FIRST.saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_one_second_to_thirty() {
        let ceilings: Vec<u64> = (0..7).map(|failures| ceiling(failures).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(ceiling(u32::MAX), LONGEST);
    }

    #[test]
    fn a_wait_is_never_shorter_than_half_a_second() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            let wait = backoff.next();
            assert!((SHORTEST..=LONGEST).contains(&wait), "{wait:?}");
        }
    }
}
