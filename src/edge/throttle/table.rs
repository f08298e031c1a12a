//! The buckets of one limit: a table that never grows beyond its size, whoever fills it.
//!
//! Once it is full of buckets in use, keys that are not in it share one more bucket: they are limited together rather than
//! not at all, and cannot push out those who are known.

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buckets of one limit.
#[derive(Debug)]
pub(super) struct Table {
    /// Guards the buckets for as long as one is looked at: some 100 ns.
    buckets: Mutex<Buckets>,
    size: usize,
}

#[derive(Debug, Default)]
struct Buckets {
    /// When each will be full again, by the hash of its key: in nanoseconds since the limiter began.
    known: HashMap<u64, Nanos>,
    /// Of all the others.
    shared: Option<Nanos>,
}

impl Table {
    /// At most `size` buckets, and one for the rest.
    pub(super) fn new(size: usize) -> Self {
        Self {
            buckets: Mutex::default(),
            size,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        // What a panic interrupted was one number.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut buckets = self.lock();
        if let Some(full) = buckets.known.get_mut(key) {
            let (outcome, next) = decide(Some(*full))?;
            *full = next;
            return Ok(outcome);
        }
        if buckets.known.len() >= self.size {
            let (outcome, next) = decide(buckets.shared)?;
            buckets.shared = Some(next);
            return Ok(outcome);
        }
        let (outcome, next) = decide(None)?;
        buckets.known.insert(*key, next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<u64> for Table {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock().known.retain(|_, full| *full > drop_below);
    }

    fn shrink_to_fit(&self) {
        let mut buckets = self.lock();
        if buckets.known.capacity() > buckets.known.len().saturating_mul(4) {
            buckets.known.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.lock().known.len()
    }

    fn is_empty(&self) -> bool {
        self.lock().known.is_empty()
    }
}
