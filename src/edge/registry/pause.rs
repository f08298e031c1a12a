//! How long a processor waits before it tries the registry again: short at first, since another controller may lead
//! already; with jitter, so that all processors do not come back at once.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(50);
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// A controller that does not lead has answered: one that does is near, or soon will be.
const LONGEST_ANSWERED: Duration = Duration::from_secs(1);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    failures: u32,
}

impl Pause {
    /// One more failure: how long to wait.
    pub(super) fn next(&mut self) -> Duration {
        self.at_most(LONGEST)
    }

    /// One more failure, of somebody who answered: how long to wait.
    pub(super) fn next_answered(&mut self) -> Duration {
        self.at_most(LONGEST_ANSWERED)
    }

    fn at_most(&mut self, longest: Duration) -> Duration {
        let ceiling = ceiling(self.failures).min(longest);
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
    fn waits_grow_from_a_fifth_of_a_second_to_five() {
        let ceilings: Vec<u128> = (0..7).map(|failures| ceiling(failures).as_millis()).collect();
        assert_eq!(ceilings, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(ceiling(u32::MAX), LONGEST);
    }
}
