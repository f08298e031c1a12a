//! Counts for one limit: a bucket for each key, refilled evenly (GCRA, which `governor` implements).

use super::table::Table;
use crate::engine::config::RateLimit;
use crate::engine::policy::rate::{Exhausted, Quota};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::{NotUntil, RateLimiter};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Buckets of one limit, as many as there are sessions by default: less than 4 MB of memory.
const MOST: usize = 100_000;
/// A full table is looked through for buckets that nobody needs at most this often.
const LOOK: Duration = Duration::from_secs(1);

/// The buckets of one limit.
pub(super) struct Counter {
    limit: Arc<RateLimit>,
    limiter: RateLimiter<u64, Table, MonotonicClock, StateInformationMiddleware>,
    size: usize,
    /// Nobody outside knows which keys fall together.
    hasher: RandomState,
    began: Instant,
    /// Milliseconds after `began`.
    looked: AtomicU64,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Counter")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Counter {
    pub(super) fn new(limit: Arc<RateLimit>) -> Self {
        Self::with_size(limit, MOST)
    }

    pub(super) fn with_size(limit: Arc<RateLimit>, size: usize) -> Self {
        let interval = interval(&limit);
        let quota = governor::Quota::with_period(interval)
            .expect("an interval is above 0")
            .allow_burst(limit.burst);
        Self {
            limiter: RateLimiter::new(quota, Table::new(size), MonotonicClock),
            limit,
            size,
            hasher: RandomState::new(),
            began: Instant::now(),
            looked: AtomicU64::new(0),
        }
    }

    pub(super) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.limiter.len()
    }

    /// Takes `cost` out of this bucket.
    ///
    /// # Errors
    /// It does not hold so much: it stays as it is.
    pub(super) fn take(&self, bucket: &[Arc<str>], cost: NonZeroU32) -> Result<Quota, Exhausted> {
        let key = self.hasher.hash_one(bucket);
        if self.limiter.len() >= self.size && self.is_time_to_look() {
            self.sweep();
        }
        match self.limiter.check_key_n(&key, cost) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                let missing = self.limit.burst.get().saturating_sub(remaining);
                Ok(self.quota(remaining, interval(&self.limit) * missing))
            }
            Ok(Err(not_until)) => Err(self.exhausted(&not_until, cost)),
            // The configuration was checked; one who gets here has to wait for ever.
            Err(_) => Err(Exhausted {
                quota: self.quota(0, self.limit.unit.duration()),
                retry_after: self.limit.unit.duration().as_secs(),
            }),
        }
    }

    /// Forgets buckets that are full again.
    pub(super) fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    fn exhausted(&self, not_until: &NotUntil<Instant>, cost: NonZeroU32) -> Exhausted {
        let wait = not_until.wait_time_from(MonotonicClock.now());
        let behind = self.limit.burst.get().saturating_sub(cost.get());
        Exhausted {
            quota: self.quota(0, wait + interval(&self.limit) * behind),
            retry_after: seconds(wait).max(1),
        }
    }

    fn quota(&self, remaining: u32, full_in: Duration) -> Quota {
        Quota {
            limit: Arc::clone(&self.limit.name),
            burst: self.limit.burst.get(),
            count: self.limit.count.get(),
            window: self.limit.unit.duration().as_secs(),
            remaining,
            reset: seconds(full_in),
        }
    }

    fn is_time_to_look(&self) -> bool {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(looked) >= u64::try_from(LOOK.as_millis()).unwrap_or(u64::MAX);
        due && self
            .looked
            .compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// Between two drops into a bucket.
fn interval(limit: &RateLimit) -> Duration {
    limit.unit.duration() / limit.count.get()
}

/// Rounded up: whoever waits so long finds it done.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
