//! Counts: the buckets of `rateLimits`.
//!
//! A bucket lives under its limit's name for as long as the limit stays what it is: a reload that does not change it
//! leaves it as full as it was. Memory is bounded, see [`table`].

mod counter;
mod table;

use crate::engine::config::RateLimit;
use crate::engine::policy::rate::{Charge, Exhausted, Quota};
use arc_swap::ArcSwap;
use counter::Counter;
use std::collections::HashMap;
use std::sync::Arc;

/// All buckets of this process.
#[derive(Debug, Default)]
pub struct Throttle {
    /// By the names of their limits; written by the one who follows the configuration.
    counters: ArcSwap<HashMap<Arc<str>, Arc<Counter>>>,
}

impl Throttle {
    /// Counts for these limits from now on.
    pub fn follow(&self, limits: &[Arc<RateLimit>]) {
        let old = self.counters.load();
        let next = limits.iter().map(|limit| {
            let kept = old.get(&limit.name).filter(|counter| counter.limit() == &**limit);
            let counter = kept.map_or_else(|| Arc::new(Counter::new(Arc::clone(limit))), Arc::clone);
            (Arc::clone(&limit.name), counter)
        });
        self.counters.store(Arc::new(next.collect()));
    }

    /// Takes `charges` out of their buckets; the bucket that is nearest to its end comes back. What was taken before one is
    /// found empty stays taken. A limit that is not counted any more has no bucket, and nothing is taken.
    ///
    /// # Errors
    /// The first bucket that does not hold what it is charged.
    pub fn admit(&self, charges: &[Charge]) -> Result<Option<Box<Quota>>, Box<Exhausted>> {
        let counters = self.counters.load();
        let mut nearest: Option<Quota> = None;
        for charge in charges {
            let Some(counter) = counters.get(&charge.limit.name) else {
                continue;
            };
            let quota = counter.take(&charge.bucket, charge.cost).map_err(Box::new)?;
            if nearest
                .as_ref()
                .is_none_or(|nearest| quota.remaining < nearest.remaining)
            {
                nearest = Some(quota);
            }
        }
        Ok(nearest.map(Box::new))
    }

    /// Forgets buckets that are full again.
    pub fn sweep(&self) {
        for counter in self.counters.load().values() {
            counter.sweep();
        }
    }

    /// Buckets in memory, of each limit.
    pub fn buckets(&self) -> Vec<(Arc<str>, usize)> {
        let counters = self.counters.load();
        let each = counters.iter().map(|(name, counter)| (Arc::clone(name), counter.len()));
        each.collect()
    }
}

#[cfg(test)]
mod tests;
