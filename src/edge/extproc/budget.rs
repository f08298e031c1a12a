//! A count of bytes shared by all exchanges. Reserving never waits: there is room or there is not.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use and the most that may be.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes, all free.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }
    }

    /// Changes the limit; what is in use stays.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes`. False: no room, nothing taken.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .is_ok()
    }

    /// Gives back what was reserved.
    pub fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_beyond_the_limit_takes_nothing() {
        let budget = Budget::new(10);
        assert!(budget.reserve(6));
        assert!(!budget.reserve(5));
        assert_eq!(budget.used(), 6);
        budget.release(6);
        assert!(budget.reserve(10), "all of it is free again");
    }

    #[test]
    fn a_sum_beyond_the_word_size_is_no_room() {
        let budget = Budget::new(usize::MAX);
        assert!(budget.reserve(1));
        assert!(!budget.reserve(usize::MAX));
    }

    #[test]
    fn a_lowered_limit_holds_for_the_next_reservation() {
        let budget = Budget::new(10);
        assert!(budget.reserve(8));
        budget.set_limit(4);
        assert!(!budget.reserve(1));
        budget.release(8);
        assert!(budget.reserve(4));
    }
}
