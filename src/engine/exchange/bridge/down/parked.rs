//! A call that waits for its client to come back: kept by an edge room for a while, with the upstream's open stream.

use super::open::Open;
use crate::engine::exchange::step::Notice;
use crate::engine::session::Timestamp;
use std::sync::Arc;

/// A parked call. Only an exchange that resumes it looks inside.
#[derive(Debug)]
pub struct Parked {
    pub(super) open: Open,
    pub(super) principal: u64,
    pub(super) expires: Timestamp,
}

impl Parked {
    /// At whom: configured name.
    #[must_use]
    pub fn upstream(&self) -> &Arc<str> {
        &self.open.call.upstream.name
    }

    /// Whose; 0: anonymous.
    #[must_use]
    pub const fn principal(&self) -> u64 {
        self.principal
    }

    /// Until when it is worth keeping.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Its session, where the gateway closes all of them.
    #[must_use]
    pub fn released(&self) -> Option<Notice> {
        self.open.give_back()
    }

    /// What is to be done when nobody has come back: the upstream hears that, and its session is closed.
    #[must_use]
    pub fn given_up(self) -> Vec<Notice> {
        let cancelled = self.open.elsewhere.is_none().then(|| self.open.cancelled());
        cancelled.into_iter().chain(self.open.close()).collect()
    }

    /// A call that is nothing but parked.
    #[cfg(test)]
    pub(crate) fn for_tests(principal: u64, expires: Timestamp) -> Self {
        let snapshot = crate::engine::snapshot::testing::two_upstreams();
        let upstream = snapshot
            .endpoints
            .first()
            .and_then(|endpoint| endpoint.upstreams.first());
        let open = Open::for_tests(Arc::clone(upstream.expect("there are two")));
        Self {
            open,
            principal,
            expires,
        }
    }
}
