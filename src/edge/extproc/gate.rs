//! Counts running exchanges and refuses new ones at the limit or while draining.

use crate::engine::exchange::event::Refusal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The door that every exchange goes through.
#[derive(Debug)]
pub struct Gate {
    open: AtomicUsize,
    limit: AtomicUsize,
    draining: AtomicBool,
}

/// One exchange inside; leaves when dropped.
#[derive(Debug)]
pub struct Admission(Arc<Gate>);

impl Gate {
    /// A gate for `limit` exchanges at once.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            open: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            draining: AtomicBool::new(false),
        }
    }

    /// Changes the limit; running exchanges stay.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Lets nobody in any more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Exchanges inside.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Lets one in.
    ///
    /// # Errors
    /// [`Refusal`] while draining or at the limit.
    pub fn admit(self: &Arc<Self>) -> Result<Admission, Refusal> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Refusal::Draining);
        }
        let admission = Admission(Arc::clone(self));
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit.load(Ordering::Relaxed) {
            return Err(Refusal::TooManyStreams);
        }
        Ok(admission)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gate_opens_when_somebody_leaves() {
        let gate = Arc::new(Gate::new(1));
        let first = gate.admit().expect("room for one");
        assert_eq!(gate.admit().unwrap_err(), Refusal::TooManyStreams);
        assert_eq!(gate.open(), 1, "a refused one does not count");
        drop(first);
        assert!(gate.admit().is_ok());
    }

    #[test]
    fn a_draining_gate_stays_shut() {
        let gate = Arc::new(Gate::new(1));
        gate.drain();
        assert_eq!(gate.admit().unwrap_err(), Refusal::Draining);
        assert_eq!(gate.open(), 0);
    }
}
