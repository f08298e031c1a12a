//! Which eras of an upstream are fresh: its two keepers know it of each other.

use crate::engine::mcp::Era;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Which eras are fresh, known to both keepers of an upstream.
#[derive(Debug, Default)]
pub(in crate::edge::upstream) struct FreshEras {
    legacy: Freshness,
    modern: Freshness,
}

#[derive(Debug, Default)]
pub(super) struct Freshness {
    pub(super) fresh: AtomicBool,
    /// Told whenever `fresh` becomes true.
    pub(super) came_up: Notify,
}

impl FreshEras {
    pub(super) fn came_up(&self, era: Era) {
        let this = self.of(era);
        if !this.fresh.swap(true, Ordering::Relaxed) {
            this.came_up.notify_waiters();
        }
    }

    pub(super) fn failed(&self, era: Era) {
        self.of(era).fresh.store(false, Ordering::Relaxed);
    }

    pub(super) const fn other(&self, era: Era) -> &Freshness {
        match era {
            Era::Legacy => &self.modern,
            Era::Modern => &self.legacy,
        }
    }

    const fn of(&self, era: Era) -> &Freshness {
        match era {
            Era::Legacy => &self.legacy,
            Era::Modern => &self.modern,
        }
    }
}
