//! What the map holds for one gateway session, and the map itself.
//!
//! Small on purpose: a session without ties costs one map slot, one box and a share of an interned client.

use super::calls::Calls;
use crate::engine::mcp::Version;
use crate::engine::session::past::{Begun, Ending, Past};
use crate::engine::session::store::SUBSCRIPTIONS;
use crate::engine::session::{Binding, Client, Delegation, Level, SessionKey, Subscription, Timestamp, Wanted};
use dashmap::DashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// All sessions that something must be remembered of.
pub(super) type Sessions = DashMap<MapKey, Entry, BuildHasherDefault<PassThrough>>;

/// A session key in halves: aligned to 8 bytes instead of 16, which makes a map slot 32 bytes instead of 48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapKey {
    high: u64,
    low: u64,
}

impl From<SessionKey> for MapKey {
    fn from(SessionKey(bits): SessionKey) -> Self {
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
        }
    }
}

impl From<MapKey> for u128 {
    fn from(key: MapKey) -> Self {
        (Self::from(key.high) << 64) | Self::from(key.low)
    }
}

impl Hash for MapKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// The keys are random bits which clients cannot choose (they are signed): half of them is the hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }
}

/// One session.
#[derive(Debug)]
pub(super) enum Entry {
    /// May go on. Boxed, so that ended ones stay small: there may be many of them for weeks.
    Live(Box<Live>),
    /// Ended by DELETE; its id would be valid until then.
    Ended(Timestamp),
}

impl Entry {
    /// When its id stops being valid.
    pub(super) fn expires(&self) -> Timestamp {
        match self {
            Self::Live(live) => live.expires,
            Self::Ended(expires) => *expires,
        }
    }
}

/// A session that may go on.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) expires: Timestamp,
    /// Milliseconds; atomic, so that a use needs no write lock.
    used: AtomicU64,
    /// Calls under way.
    held: AtomicU32,
    /// `None`: in another process, or in an earlier life of this one.
    pub(super) begun: Option<Begun>,
    pub(super) client: Arc<Client>,
    pub(super) level: Option<Level>,
    calls: Calls,
    /// Sorted by upstream.
    ties: Box<[Tie]>,
    /// In the order in which they came.
    subscriptions: Box<[Subscription]>,
    /// What speaks for the client, by upstream (interned). Never written down.
    delegations: Box<[(Arc<str>, Delegation)]>,
}

/// The tie to one upstream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tie {
    /// Configured name, interned.
    pub(super) upstream: Arc<str>,
    pub(super) id: Option<Arc<str>>,
    pub(super) version: Version,
    /// Boxed: most have none.
    pub(super) address: Option<Box<SocketAddr>>,
    /// Not written down.
    pub(super) opened: Option<Timestamp>,
}

impl Tie {
    pub(super) fn new(upstream: Arc<str>, binding: Binding) -> Self {
        Self {
            upstream,
            id: binding.id,
            version: binding.version,
            address: binding.address.map(Box::new),
            opened: binding.opened,
        }
    }

    pub(super) fn binding(&self, delegation: Delegation) -> Binding {
        Binding {
            id: self.id.clone(),
            version: self.version,
            address: self.address.as_deref().copied(),
            delegation,
            opened: self.opened,
        }
    }
}

// === impl Live ===

impl Live {
    pub(super) fn new(expires: Timestamp, now: Timestamp, client: Arc<Client>) -> Self {
        Self {
            expires,
            used: AtomicU64::new(now.0),
            held: AtomicU32::new(0),
            begun: None,
            client,
            level: None,
            calls: Calls::default(),
            ties: Box::default(),
            subscriptions: Box::default(),
            delegations: Box::default(),
        }
    }

    /// What speaks for the client at `upstream`.
    pub(super) fn delegation(&self, upstream: &str) -> &Delegation {
        let known = self.delegations.iter().find(|(name, _)| **name == *upstream);
        known.map_or(&Delegation::NONE, |(_, delegation)| delegation)
    }

    /// Anything is sent to `upstream` for this session besides calls.
    pub(super) fn knows(&self, upstream: &str) -> bool {
        let tied = self.ties.iter().any(|tie| *tie.upstream == *upstream);
        let subscribed = || self.subscriptions.iter().any(|one| *one.upstream == *upstream);
        let spoken = || self.delegations.iter().any(|(name, _)| **name == *upstream);
        tied || subscribed() || spoken()
    }

    /// The same from now on.
    pub(super) fn delegate(&mut self, upstream: Arc<str>, delegation: Delegation) {
        if let Some((_, known)) = self.delegations.iter_mut().find(|(name, _)| *name == upstream) {
            *known = delegation;
            return;
        }
        let mut all = std::mem::take(&mut self.delegations).into_vec();
        all.push((upstream, delegation));
        self.delegations = all.into_boxed_slice();
    }

    fn bound(&self, tie: &Tie) -> Binding {
        tie.binding(self.delegation(&tie.upstream).clone())
    }

    pub(super) fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Begins or ends a subscription; one beyond the bound is not remembered.
    pub(super) fn subscribe(&mut self, subscription: Subscription, wanted: Wanted) {
        let mut all = std::mem::take(&mut self.subscriptions).into_vec();
        all.retain(|known| *known != subscription);
        if wanted == Wanted::FromNowOn && all.len() < SUBSCRIPTIONS {
            all.push(subscription);
        }
        self.subscriptions = all.into_boxed_slice();
    }

    /// What is left of it: it lasted until it was last used.
    pub(super) fn past(&self) -> Option<Past> {
        let until = Timestamp(self.used.load(Ordering::Relaxed));
        Some(self.begun?.past(until, Ending::Closed))
    }

    /// Counts as used at `now`.
    pub(super) fn touch(&self, now: Timestamp) {
        // A plain store would do but for two calls at once with their times swapped; the check also spares the
        // cache line where calls come in the same millisecond.
        if self.used.load(Ordering::Relaxed) < now.0 {
            self.used.store(now.0, Ordering::Relaxed);
        }
    }

    /// A call to `upstream` is under way.
    pub(super) fn hold(&self, upstream: &str, call: &[u8]) {
        self.held.fetch_add(1, Ordering::Relaxed);
        self.calls.remember(upstream, call);
    }

    /// The client holds a stream open.
    pub(super) fn attend(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// The tie to the upstream that `call` went to.
    pub(super) fn owner(&self, call: &[u8]) -> Option<(String, Binding)> {
        let is_owner = self.calls.owner(call)?;
        let tie = self.ties.iter().find(|tie| is_owner(&tie.upstream))?;
        Some((tie.upstream.to_string(), self.bound(tie)))
    }

    /// So many calls are over. Some may have been held under an entry that is gone.
    pub(super) fn release(&self, calls: u32) {
        let less = |held: u32| Some(held.saturating_sub(calls));
        // Always `Some`: it cannot fail.
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Since when nobody has used it; `None`: somebody does.
    pub(super) fn idle_since(&self) -> Option<Timestamp> {
        let idle = self.held.load(Ordering::Relaxed) == 0;
        idle.then(|| Timestamp(self.used.load(Ordering::Relaxed)))
    }

    pub(super) fn ties(&self) -> &[Tie] {
        &self.ties
    }

    pub(super) fn tie(&self, upstream: &str) -> Option<&Tie> {
        let at = self.find(upstream).ok()?;
        self.ties.get(at)
    }

    /// The tie to `upstream`, as it is used.
    pub(super) fn binding(&self, upstream: &str) -> Option<Binding> {
        self.tie(upstream).map(|tie| self.bound(tie))
    }

    /// Adds the tie, or replaces the one to the same upstream.
    pub(super) fn insert(&mut self, tie: Tie) {
        let mut ties = std::mem::take(&mut self.ties).into_vec();
        match ties.binary_search_by(|known| known.upstream.cmp(&tie.upstream)) {
            Ok(at) => drop(std::mem::replace(&mut ties[at], tie)),
            Err(at) => {
                // Not the doubling of a plain insert: ties are few and stay long.
                ties.reserve_exact(1);
                ties.insert(at, tie);
            }
        }
        self.ties = ties.into_boxed_slice();
    }

    /// Removes the tie if its upstream session id is still `stale`. True if it was.
    pub(super) fn remove(&mut self, upstream: &str, stale: Option<&str>) -> bool {
        if self.tie(upstream).is_none_or(|tie| tie.id.as_deref() != stale) {
            return false;
        }
        let mut ties = std::mem::take(&mut self.ties).into_vec();
        ties.retain(|tie| &*tie.upstream != upstream);
        self.ties = ties.into_boxed_slice();
        true
    }

    /// All ties: (upstream, binding).
    pub(super) fn bindings(&self) -> Vec<(String, Binding)> {
        let pair = |tie: &Tie| (tie.upstream.to_string(), self.bound(tie));
        self.ties.iter().map(pair).collect()
    }

    /// The same, that to the upstream that was called last first.
    pub(super) fn bindings_by_call(&self) -> Vec<(String, Binding)> {
        let age = self.calls.ages();
        let mut bindings = self.bindings();
        bindings.sort_by_key(|(upstream, _)| age(upstream));
        bindings
    }

    /// Takes all ties.
    pub(super) fn take_ties(&mut self) -> Vec<(String, Binding)> {
        let taken = self.bindings();
        self.ties = Box::default();
        self.delegations = Box::default();
        taken
    }

    fn find(&self, upstream: &str) -> Result<usize, usize> {
        self.ties.binary_search_by(|tie| (*tie.upstream).cmp(upstream))
    }
}
