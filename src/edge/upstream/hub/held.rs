//! What streams hold of events that are not complete, counted together with everything else that is held.

use std::sync::Arc;

/// What of `limits.bodies` is free: shared with whoever else holds something.
pub trait Bodies: Send + Sync {
    /// Takes `bytes`. False: there is no room, nothing was taken.
    fn reserve(&self, bytes: usize) -> bool;
    /// Gives back what was taken.
    fn release(&self, bytes: usize);
}

/// What one stream holds; given back when dropped.
pub(super) struct Held {
    bodies: Arc<dyn Bodies>,
    bytes: usize,
}

impl Held {
    pub(super) fn new(bodies: &Arc<dyn Bodies>) -> Self {
        Self {
            bodies: Arc::clone(bodies),
            bytes: 0,
        }
    }

    /// So much it is now. False: there is no room for more, it counts as before.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(more) if more > 0 && !self.bodies.reserve(more) => return false,
            Some(_) => {}
            None => self.bodies.release(self.bytes - bytes),
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bodies.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Ten(AtomicUsize);

    impl Bodies for Ten {
        fn reserve(&self, bytes: usize) -> bool {
            let free = |left: usize| left.checked_sub(bytes);
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
        }

        fn release(&self, bytes: usize) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_held_counts_until_it_is_let_go() {
        let ten = Arc::new(Ten(AtomicUsize::new(10)));
        let bodies: Arc<dyn Bodies> = Arc::clone(&ten) as _;
        let left = || ten.0.load(Ordering::Relaxed);
        let (mut one, mut other) = (Held::new(&bodies), Held::new(&bodies));
        assert!(one.set(4) && one.set(7) && one.set(7));
        assert_eq!(left(), 3);
        assert!(!other.set(4), "more than there is");
        assert!(other.set(3) && one.set(1));
        assert_eq!(left(), 6);
        drop((one, other));
        assert_eq!(left(), 10);
    }
}
