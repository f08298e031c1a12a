//! Who was shown what: listings by caller, upstream and credential, and the endpoints made of them. The caller who was not
//! seen for longest goes first.

use super::Allowance;
use crate::edge::http::Target;
use crate::engine::catalog::{Catalog, Kind};
use crate::engine::mcp::Era;
use crate::engine::session::Delegation;
use crate::engine::snapshot::{Endpoint, UpstreamIndex};
use crate::engine::stream::Kinds;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of all listings together.
const BYTES: usize = 256 << 20;
/// Credentials of one caller at one upstream: a caller may have several clients, each with a token of its own.
const CREDENTIALS: usize = 4;
/// Endpoints made for one caller: for several credentials, several paths.
const ENDPOINTS: usize = 8;

/// One caller at one upstream.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) principal: Arc<str>,
    /// Configured name.
    pub(super) upstream: Arc<str>,
}

/// What a caller sees: of each upstream that was to be had, what it listed.
pub(super) type Sights = Vec<(UpstreamIndex, Listed)>;

/// The same in short, to tell whether anything has changed.
pub(super) type Stamps = Vec<(UpstreamIndex, u64)>;

pub(super) fn stamps(sights: &Sights) -> Stamps {
    sights.iter().map(|(index, listed)| (*index, listed.stamp)).collect()
}

/// All callers.
#[derive(Default)]
pub(super) struct Table {
    callers: HashMap<Arc<str>, Caller>,
    /// Endpoints for those who were shown nothing: all the same.
    blank: Vec<Seen>,
    /// Counts uses, listings, endpoints: no number is given twice.
    numbers: u64,
}

#[derive(Default)]
struct Caller {
    /// When last; greater is later.
    used: u64,
    slots: Vec<(Arc<str>, Slot)>,
    seen: Vec<Seen>,
}

/// An endpoint that was made for a caller.
struct Seen {
    of: Weak<Endpoint>,
    stamps: Stamps,
    endpoint: Arc<Endpoint>,
}

/// What is known of one caller with one credential at one upstream.
pub(super) struct Slot {
    pub(super) target: Arc<Target>,
    pub(super) delegation: Delegation,
    pub(super) state: State,
    /// Number of the last listing.
    pub(super) flight: u64,
    /// Somebody was answered without it.
    pub(super) missed: bool,
    /// It has changed while it was listed.
    pub(super) again: bool,
    /// Somebody hears what the upstream announces to the caller.
    pub(super) watched: bool,
    /// Lists that the upstream said have changed, and that were not listed since.
    pub(super) said: Kinds,
    /// When last; no two slots have the same.
    pub(super) used: u64,
}

pub(super) enum State {
    /// Nothing is known.
    Idle,
    /// It is being listed.
    Flying {
        since: Instant,
        /// True once it is known what came of it.
        landed: watch::Receiver<bool>,
    },
    Listed(Listed),
    /// The last attempt failed.
    Failed {
        at: Instant,
    },
}

/// What an upstream listed for a caller.
#[derive(Clone)]
pub(super) struct Listed {
    pub(super) catalog: Catalog,
    pub(super) at: Instant,
    stamp: u64,
    bytes: usize,
}

impl Listed {
    pub(super) fn new(catalog: Catalog, stamp: u64, at: Instant) -> Self {
        let listings = [Era::Legacy, Era::Modern].into_iter();
        let items = listings
            .filter_map(|era| catalog.listing(era))
            .flat_map(|listing| Kind::ALL.into_iter().flat_map(|kind| listing.items(kind)));
        // Its name and place in tables weigh as much again as a small item.
        let bytes = items.map(|item| item.raw.len() * 2 + 256).sum();
        Self {
            catalog,
            at,
            stamp,
            bytes,
        }
    }
}

impl Slot {
    /// Whoever comes from now on does not wait.
    pub(super) fn give_up_waiting(&mut self) {
        if let State::Flying { since, .. } = &mut self.state {
            *since = since
                .checked_sub(std::time::Duration::from_secs(3600))
                .unwrap_or(*since);
        }
    }

    const fn bytes(&self) -> usize {
        match &self.state {
            State::Listed(listed) => listed.bytes,
            State::Idle | State::Flying { .. } | State::Failed { .. } => 0,
        }
    }
}

impl Table {
    /// A number that nobody has.
    pub(super) const fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn len(&self) -> usize {
        self.callers.len()
    }

    /// What is known of this caller with this credential; a new place for it, if nothing is.
    pub(super) fn slot(
        &mut self,
        key: &Key,
        target: &Arc<Target>,
        delegation: &Delegation,
        bounds: &Allowance,
    ) -> &mut Slot {
        let used = self.number();
        if !self.callers.contains_key(&key.principal) && self.callers.len() >= bounds.principals {
            self.evict();
        }
        let caller = self.callers.entry(Arc::clone(&key.principal)).or_default();
        caller.used = used;
        let is_it = |(name, slot): &(Arc<str>, Slot)| {
            *name == key.upstream && Arc::ptr_eq(&slot.target, target) && slot.delegation == *delegation
        };
        let at = caller.slots.iter().position(is_it).unwrap_or_else(|| {
            caller.make_room(&key.upstream, target);
            let slot = Slot {
                target: Arc::clone(target),
                delegation: delegation.clone(),
                state: State::Idle,
                flight: used,
                missed: false,
                again: false,
                watched: false,
                said: Kinds::default(),
                used,
            };
            caller.slots.push((Arc::clone(&key.upstream), slot));
            caller.slots.len() - 1
        });
        let (_, slot) = &mut caller.slots[at];
        slot.used = used;
        slot
    }

    /// What the caller was shown last by this upstream; what was shown with other credentials is forgotten.
    pub(super) fn only(&mut self, key: &Key) -> Option<&mut Slot> {
        let latest = self.latest(key)?.used;
        let caller = self.callers.get_mut(&key.principal)?;
        caller
            .slots
            .retain(|(name, slot)| *name != key.upstream || slot.used == latest);
        self.latest(key)
    }

    /// What the caller was shown last by this upstream.
    pub(super) fn latest(&mut self, key: &Key) -> Option<&mut Slot> {
        let used = self.number();
        let caller = self.callers.get_mut(&key.principal)?;
        let mine = caller.slots.iter().filter(|(name, _)| *name == key.upstream);
        let latest = mine.map(|(_, slot)| slot.used).max()?;
        let mut mine = caller.slots.iter_mut();
        let (_, slot) = mine.find(|(name, slot)| *name == key.upstream && slot.used == latest)?;
        slot.used = used;
        Some(slot)
    }

    /// The credential is the one that this caller was seen with last.
    pub(super) fn is_latest(&self, key: &Key, delegation: &Delegation) -> bool {
        let caller = self.callers.get(&key.principal);
        let slots = caller.iter().flat_map(|caller| &caller.slots);
        let mine = slots.filter(|(name, _)| *name == key.upstream);
        let latest = mine.map(|(_, slot)| slot).max_by_key(|slot| slot.used);
        latest.is_some_and(|slot| slot.delegation == *delegation)
    }

    /// Nobody hears any more what the upstream announces.
    pub(super) fn unwatched(&mut self, key: &Key, delegation: &Delegation) {
        let caller = self.callers.get_mut(&key.principal);
        let slots = caller.into_iter().flat_map(|caller| &mut caller.slots);
        for (_, slot) in slots.filter(|(name, slot)| *name == key.upstream && slot.delegation == *delegation) {
            slot.watched = false;
        }
    }

    /// What was not to be had for this caller.
    pub(super) fn failed_of(&mut self, principal: &Arc<str>) -> impl Iterator<Item = (Key, &mut Slot)> {
        let caller = self.callers.get_mut(principal);
        let slots = caller.into_iter().flat_map(|caller| &mut caller.slots);
        let failed = slots.filter(|(_, slot)| matches!(slot.state, State::Failed { .. }));
        failed.map(|(name, slot)| {
            let key = Key {
                principal: Arc::clone(principal),
                upstream: Arc::clone(name),
            };
            (key, slot)
        })
    }

    /// Where nobody hears what is announced to this caller.
    pub(super) fn unwatched_of(&self, principal: &Arc<str>) -> Vec<Key> {
        let caller = self.callers.get(principal);
        let slots = caller.iter().flat_map(|caller| &caller.slots);
        let silent = slots.filter(|(_, slot)| !slot.watched && matches!(slot.state, State::Listed(_)));
        let key = |(name, _): &(Arc<str>, Slot)| Key {
            principal: Arc::clone(principal),
            upstream: Arc::clone(name),
        };
        silent.map(key).collect()
    }

    /// The slot that waits for this flight.
    pub(super) fn flown(&mut self, key: &Key, delegation: &Delegation, flight: u64) -> Option<&mut Slot> {
        let caller = self.callers.get_mut(&key.principal)?;
        let mut slots = caller.slots.iter_mut().map(|(name, slot)| (&*name, slot));
        let waits = |(name, slot): &(&Arc<str>, &mut Slot)| {
            **name == key.upstream && slot.flight == flight && slot.delegation == *delegation
        };
        slots.find(waits).map(|(_, slot)| slot)
    }

    pub(super) fn forget(&mut self, principal: &str, upstream: &str) {
        if let Some(caller) = self.callers.get_mut(principal) {
            caller.slots.retain(|(name, _)| **name != *upstream);
        }
    }

    /// The endpoint that was made of this, if it was.
    pub(super) fn seen(&self, principal: &str, of: &Arc<Endpoint>, stamps: &Stamps) -> Option<Arc<Endpoint>> {
        let seen = match stamps.as_slice() {
            [] => &self.blank,
            _ => &self.callers.get(principal)?.seen,
        };
        let made = seen
            .iter()
            .find(|seen| seen.of.as_ptr() == Arc::as_ptr(of) && seen.stamps == *stamps)?;
        Some(Arc::clone(&made.endpoint))
    }

    pub(super) fn keep(&mut self, principal: &str, of: &Arc<Endpoint>, stamps: Stamps, endpoint: &Arc<Endpoint>) {
        let all = match stamps.as_slice() {
            [] => Some(&mut self.blank),
            // Whoever was evicted meanwhile is not taken in again by that.
            _ => self.callers.get_mut(principal).map(|caller| &mut caller.seen),
        };
        let Some(all) = all else { return };
        all.retain(|seen| seen.of.strong_count() > 0);
        if all.len() >= ENDPOINTS {
            all.remove(0);
        }
        all.push(Seen {
            of: Arc::downgrade(of),
            stamps,
            endpoint: Arc::clone(endpoint),
        });
    }

    /// Forgets callers until the bounds hold.
    pub(super) fn shrink(&mut self, bounds: &Allowance) {
        while self.callers.len() > bounds.principals.max(1) {
            self.evict();
        }
        while self.bytes() > BYTES && self.callers.len() > 1 {
            self.evict();
        }
    }

    /// Forgets what is too old, and whom nothing is known of.
    pub(super) fn sweep(&mut self, bounds: &Allowance, now: Instant) {
        for caller in self.callers.values_mut() {
            caller.slots.retain(|(_, slot)| match &slot.state {
                State::Idle => false,
                State::Flying { .. } => true,
                State::Listed(listed) => now < listed.at + bounds.age,
                State::Failed { at } => now < *at + bounds.age,
            });
            caller.seen.retain(|seen| seen.of.strong_count() > 0);
        }
        self.callers.retain(|_, caller| !caller.slots.is_empty());
        self.blank.retain(|seen| seen.of.strong_count() > 0);
    }

    fn bytes(&self) -> usize {
        let slots = self.callers.values().flat_map(|caller| &caller.slots);
        slots.map(|(_, slot)| slot.bytes()).sum()
    }

    fn evict(&mut self) {
        let oldest = self.callers.iter().min_by_key(|(_, caller)| caller.used);
        if let Some(oldest) = oldest.map(|(principal, _)| Arc::clone(principal)) {
            self.callers.remove(&oldest);
        }
    }
}

impl Caller {
    /// For one more credential at this upstream; what was listed there before it was configured anew goes.
    fn make_room(&mut self, upstream: &Arc<str>, target: &Arc<Target>) {
        self.slots
            .retain(|(name, slot)| name != upstream || Arc::ptr_eq(&slot.target, target));
        let mine = || self.slots.iter().filter(|(name, _)| name == upstream);
        if mine().count() < CREDENTIALS {
            return;
        }
        if let Some(oldest) = mine().map(|(_, slot)| slot.used).min() {
            self.slots.retain(|(_, slot)| slot.used != oldest);
        }
    }
}
