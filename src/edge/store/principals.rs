//! How many sessions each principal uses: `limits.sessionsPerPrincipal`.
//!
//! A session counts while it was used within `session.idle`. Clients that never send DELETE are not punished for it: what
//! they have left behind counts no more after that time. Nothing of it outlives the process.

use super::MemoryStore;
use crate::engine::session::{SessionKey, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Principals without a session in use are dropped each time so many more are known.
const SWEEP: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Principals {
    /// Short: a session begins.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<u64, Vec<SessionKey>>,
    /// Sweep when so many are known.
    sweep: usize,
}

impl Principals {
    /// Counts a session that begins. False: that principal uses `limit` others since `before`. 0, the anonymous, are not
    /// counted.
    #[must_use]
    pub fn begin(
        &self,
        principal: u64,
        session: SessionKey,
        limit: usize,
        before: Timestamp,
        store: &MemoryStore,
    ) -> bool {
        if principal == 0 {
            return true;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if inner.sessions.len() >= inner.sweep.max(SWEEP) {
            inner
                .sessions
                .retain(|_, own| own.iter().any(|key| store.is_used(*key, before)));
            inner.sweep = inner.sessions.len() + SWEEP;
        }
        let own = inner.sessions.entry(principal).or_default();
        // Only who seems to be at the limit is worth a look at each session.
        if own.len() >= limit {
            own.retain(|key| store.is_used(*key, before));
        }
        let room = own.len() < limit;
        if room {
            own.push(session);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::session::{Client, SessionStore};

    const EVER: Timestamp = Timestamp(u64::MAX);

    fn begin(principals: &Principals, store: &MemoryStore, principal: u64, key: u128, before: u64) -> bool {
        let key = SessionKey(key);
        let room = principals.begin(principal, key, 2, Timestamp(before), store);
        if room {
            store.start(key, EVER, Client::default()).expect("there is room");
        }
        room
    }

    #[test]
    fn a_principal_has_so_many_sessions_in_use_and_others_have_theirs() {
        let (principals, store) = (Principals::default(), MemoryStore::new(100));
        assert!(begin(&principals, &store, 7, 1, 0) && begin(&principals, &store, 7, 2, 0));
        assert!(!begin(&principals, &store, 7, 3, 0), "a third");
        assert!(begin(&principals, &store, 8, 4, 0), "another principal");
        for key in 10..20 {
            assert!(begin(&principals, &store, 0, key, 0), "the anonymous");
        }
        store.end(SessionKey(1), EVER);
        assert!(begin(&principals, &store, 7, 5, 0), "one has ended");
    }

    #[test]
    fn what_is_idle_does_not_count() {
        let (principals, store) = (Principals::default(), MemoryStore::new(100));
        assert!(begin(&principals, &store, 7, 1, 0) && begin(&principals, &store, 7, 2, 0));
        store.recall(SessionKey(1), Timestamp(50));
        assert!(begin(&principals, &store, 7, 3, 40), "the second was not used since");
        store.recall(SessionKey(3), Timestamp(50));
        assert!(!begin(&principals, &store, 7, 4, 40));
    }

    #[test]
    fn principals_that_are_gone_are_forgotten() {
        let (principals, store) = (Principals::default(), MemoryStore::new(100_000));
        for principal in 1..=20_000 {
            assert!(begin(&principals, &store, principal, u128::from(principal), 10));
        }
        let known = principals.inner.lock().expect("whole").sessions.len();
        assert!(known <= SWEEP + 1, "{known}");
    }
}
