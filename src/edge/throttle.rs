//! Counts: the buckets of `rateLimits`, here or at a service that several gateways share, and what goes on at once.
//!
//! A bucket lives under its limit's name for as long as the limit stays what it is: a reload that does not change it
//! leaves it as full as it was. Memory is bounded, see [`table`].

mod counter;
mod places;
mod service;
mod table;

use crate::engine::config::RateLimit;
use crate::engine::config::rate_limit_service::RateLimitService;
use crate::engine::policy::rate::{Charge, Exhausted, Quota};
use arc_swap::ArcSwap;
use counter::Counter;
use service::Service;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

pub use places::{Held, Places};

/// All buckets of this process.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Written by the one who follows the configuration.
    counting: ArcSwap<Counting>,
}

#[derive(Debug, Default)]
struct Counting {
    /// By the names of their limits.
    counters: HashMap<Arc<str>, Arc<Counter>>,
    service: Option<Arc<Service>>,
}

/// What comes of a charge: now, or once the service has answered.
pub enum Counted {
    /// Memory knows.
    Now(Verdict),
    /// Takes as long as `rateLimitService.timeout` at most.
    Later(Pin<Box<dyn Future<Output = Verdict> + Send>>),
}

/// What comes of a charge.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Everything was there; the bucket that is nearest to its end.
    Admitted(Option<Box<Quota>>),
    /// The first bucket that did not hold what it was charged.
    Exhausted(Box<Exhausted>),
    /// The service did not count, and nothing is to pass without it.
    Uncounted,
}

impl Throttle {
    /// Counts for these limits from now on. Needs a runtime, which holds the connection to the service.
    ///
    /// # Errors
    /// The service's address is none; nothing has changed.
    pub fn follow(
        &self,
        limits: &[Arc<RateLimit>],
        service: Option<&RateLimitService>,
    ) -> Result<(), tonic::transport::Error> {
        let old = self.counting.load();
        let service = match service {
            None => None,
            Some(wanted) => Some(match &old.service {
                Some(kept) if kept.config() == wanted => Arc::clone(kept),
                Some(_) | None => Arc::new(Service::new(wanted)?),
            }),
        };
        let counters = limits.iter().map(|limit| {
            let kept = old
                .counters
                .get(&limit.name)
                .filter(|counter| counter.limit() == &**limit);
            let counter = kept.map_or_else(|| Arc::new(Counter::new(Arc::clone(limit))), Arc::clone);
            (Arc::clone(&limit.name), counter)
        });
        self.counting.store(Arc::new(Counting {
            counters: counters.collect(),
            service,
        }));
        Ok(())
    }

    /// Takes `charges` out of their buckets. What was taken before one is found empty stays taken. A limit that is not
    /// counted any more has no bucket, and nothing is taken.
    pub fn admit(&self, charges: Vec<Charge>) -> Counted {
        let counting = self.counting.load();
        let Some(service) = &counting.service else {
            return Counted::Now(counting.admit(&charges));
        };
        let (service, counting) = (Arc::clone(service), Arc::clone(&counting));
        Counted::Later(Box::pin(async move {
            match service.admit(&charges).await {
                Ok(Ok(quota)) => Verdict::Admitted(quota),
                Ok(Err(exhausted)) => Verdict::Exhausted(exhausted),
                Err(_) if service.config().failure_mode_deny => Verdict::Uncounted,
                Err(_) => counting.admit(&charges),
            }
        }))
    }

    /// Forgets buckets that are full again.
    pub fn sweep(&self) {
        for counter in self.counting.load().counters.values() {
            counter.sweep();
        }
    }

    /// Buckets in memory, of each limit.
    pub fn buckets(&self) -> Vec<(Arc<str>, usize)> {
        let counting = self.counting.load();
        let each = counting.counters.iter();
        each.map(|(name, counter)| (Arc::clone(name), counter.len())).collect()
    }
}

impl Counting {
    fn admit(&self, charges: &[Charge]) -> Verdict {
        let mut nearest: Option<Quota> = None;
        for charge in charges {
            let Some(counter) = self.counters.get(&charge.limit.name) else {
                continue;
            };
            match counter.take(&charge.bucket, charge.cost) {
                Ok(quota)
                    if nearest
                        .as_ref()
                        .is_some_and(|nearest| nearest.remaining <= quota.remaining) => {}
                Ok(quota) => nearest = Some(quota),
                Err(exhausted) => return Verdict::Exhausted(Box::new(exhausted)),
            }
        }
        Verdict::Admitted(nearest.map(Box::new))
    }
}

#[cfg(test)]
mod tests;
