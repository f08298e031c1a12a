//! What upstreams list for each caller (`listing: perPrincipal`), and the endpoints that are made of it.
//!
//! Lives in memory alone, bounded in callers, bytes and age. What was listed is used for the very credential that it was
//! listed with. There is one listing at a time for a caller and an upstream; whoever comes meanwhile waits for it, but not
//! longer than `lists.first` after it began. An upstream that was not to be had in that time is left out, and its clients are
//! told once it is there.

mod flight;
mod lister;
mod table;
mod watcher;

use super::hub;
use super::notices::Errand;
use crate::edge::http::{Target, Targets};
use crate::engine::config::Lists;
use crate::engine::exchange::step::Viewer;
use crate::engine::mcp::{Era, Version};
use crate::engine::snapshot::Endpoint;
use crate::engine::stream::Kinds;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use table::{Key, Sights, Slot, State, Table};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use watcher::Watcher;

/// An upstream that announces a change with every listing must not keep us listing.
const BETWEEN: Duration = Duration::from_millis(500);

/// `lists:` of the configuration, as far as callers are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// A request waits at most so long for what is being listed.
    pub first: Duration,
    /// Callers at a time.
    pub principals: usize,
    /// Of a listing.
    pub age: Duration,
}

impl Allowance {
    /// As configured.
    #[must_use]
    pub const fn of(lists: &Lists) -> Self {
        Self {
            first: lists.first,
            principals: lists.principals,
            age: lists.principal_age,
        }
    }
}

/// The endpoint of a caller, now or later.
pub enum Look {
    /// It is known.
    Now(Arc<Endpoint>),
    /// Something is being listed.
    Later(BoxFuture<'static, Arc<Endpoint>>),
}

/// See the module. Clones are the same.
#[derive(Clone)]
pub struct Views {
    inner: Arc<Inner>,
}

struct Inner {
    targets: Arc<Targets>,
    runtime: Handle,
    /// Ends the sessions that were opened for a listing.
    notices: mpsc::UnboundedSender<Errand>,
    /// Whose streams hear of changes.
    hub: OnceLock<Weak<hub::Inner>>,
    /// Held for look-ups and changes; endpoints are made outside.
    state: Mutex<(Allowance, Table)>,
}

impl Views {
    pub(super) fn new(
        targets: Arc<Targets>,
        runtime: Handle,
        notices: mpsc::UnboundedSender<Errand>,
        bounds: Allowance,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                targets,
                runtime,
                notices,
                hub: OnceLock::new(),
                state: Mutex::new((bounds, Table::default())),
            }),
        }
    }

    /// Whose streams hear of changes; told once.
    pub(super) fn tell(&self, hub: Weak<hub::Inner>) {
        let _ = self.inner.hub.set(hub);
    }

    /// Other bounds; what exceeds them goes.
    pub fn set_bounds(&self, bounds: Allowance) {
        let mut state = self.inner.state();
        state.0 = bounds;
        state.1.shrink(&bounds);
    }

    /// `Question::View`: the endpoint as this caller sees it.
    #[must_use]
    pub fn look(&self, viewer: Viewer) -> Look {
        let (sights, waits) = self.inner.check(&viewer, true);
        let Some((deadline, flights)) = waits else {
            return Look::Now(self.inner.endpoint(&viewer, sights));
        };
        let inner = Arc::clone(&self.inner);
        Look::Later(Box::pin(async move {
            let landed = async {
                for mut flight in flights {
                    // An error: it has crashed.
                    let _ = flight.wait_for(|landed| *landed).await;
                }
            };
            let _ = tokio::time::timeout_at(deadline, landed).await;
            let (sights, _) = inner.check(&viewer, false);
            inner.endpoint(&viewer, sights)
        }))
    }

    /// An upstream says, to one of this principal's clients, that these lists have changed: it is listed anew, and then all of
    /// the principal's clients are told.
    pub fn changed(&self, upstream: &Arc<str>, principal: &Arc<str>, kinds: Kinds) {
        self.inner.changed(upstream, principal, kinds);
    }

    /// A client of this principal has begun to listen: what upstreams announce to it is heard from now on.
    pub(super) fn attend(&self, principal: &Arc<str>) {
        let unwatched = {
            let now = Instant::now();
            let mut state = self.inner.state();
            let (bounds, table) = &mut *state;
            // It hears of them once they are there, without asking.
            for (key, slot) in table.failed_of(principal) {
                let long_ago = now.checked_sub(bounds.first).unwrap_or(now);
                self.inner.begin(slot, &key, long_ago, now);
            }
            table.unwatched_of(principal)
        };
        for key in unwatched {
            self.inner.watch(&key);
        }
    }

    /// The upstream has refused this principal's credential: what it listed with it holds no more.
    pub fn refused(&self, upstream: &str, principal: &str) {
        self.inner.state().1.forget(principal, upstream);
    }

    /// The modern version that the upstream speaks with this principal, who was shown it in that era only.
    pub(super) fn modern_only(&self, principal: &Arc<str>, upstream: &Arc<str>) -> Option<Version> {
        let key = Key {
            principal: Arc::clone(principal),
            upstream: Arc::clone(upstream),
        };
        let mut state = self.inner.state();
        let State::Listed(listed) = &state.1.latest(&key)?.state else {
            return None;
        };
        let catalog = &listed.catalog;
        catalog
            .listing(Era::Modern)
            .filter(|_| catalog.listing(Era::Legacy).is_none())
            .map(|listing| listing.version)
    }

    /// Forgets what is too old.
    pub fn sweep(&self) {
        let mut state = self.inner.state();
        let (bounds, table) = &mut *state;
        table.sweep(bounds, Instant::now());
    }

    /// Callers of whom something is kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.state().1.len()
    }

    /// Nothing is kept of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Flights to wait for, and until when.
type Waits = (Instant, Vec<watch::Receiver<bool>>);

impl Inner {
    /// What is known of everything that this caller may see; begins to list what is not. With what is to be waited for, if
    /// that is wanted.
    fn check(self: &Arc<Self>, viewer: &Viewer, may_wait: bool) -> (Sights, Option<Waits>) {
        let now = Instant::now();
        let targets = self.targets.load();
        let mut state = self.state();
        let (bounds, table) = &mut *state;
        let (mut sights, mut waits) = (Sights::new(), None::<Waits>);
        for (index, voice) in &viewer.voices {
            let upstream = viewer.endpoint.upstream(*index);
            let target = upstream.and_then(|upstream| targets.get(&*upstream.name));
            let (Ok(delegation), Some(target)) = (voice, target) else {
                continue;
            };
            let key = Key {
                principal: Arc::clone(&viewer.principal),
                upstream: Arc::clone(target.name()),
            };
            let slot = table.slot(&key, target, delegation, bounds);
            let begin = match &slot.state {
                State::Listed(listed) if now < listed.at + bounds.age => {
                    sights.push((*index, listed.clone()));
                    continue;
                }
                State::Flying { landed, .. } if landed.has_changed().is_ok() => None,
                // It was waited for before.
                State::Failed { .. } => Some(now.checked_sub(bounds.first).unwrap_or(now)),
                State::Flying { landed, .. } if *landed.borrow() => Some(now.checked_sub(bounds.first).unwrap_or(now)),
                State::Idle | State::Listed(_) | State::Flying { .. } => Some(now),
            };
            if let Some(since) = begin {
                self.begin(slot, &key, since, now);
            }
            let State::Flying { since, landed } = &slot.state else {
                continue;
            };
            let deadline = *since + bounds.first;
            if may_wait && now < deadline {
                let waits = waits.get_or_insert_with(|| (deadline, Vec::new()));
                waits.0 = waits.0.max(deadline);
                waits.1.push(landed.clone());
            } else {
                slot.missed = true;
            }
        }
        (sights, waits)
    }

    /// The endpoint with this in it: the one that was made before, if nothing has changed.
    fn endpoint(&self, viewer: &Viewer, sights: Sights) -> Arc<Endpoint> {
        let stamps = table::stamps(&sights);
        let number = {
            let table = &mut self.state().1;
            if let Some(seen) = table.seen(&viewer.principal, &viewer.endpoint, &stamps) {
                return seen;
            }
            table.number()
        };
        let listed: Vec<_> = sights
            .into_iter()
            .map(|(index, listed)| (index, listed.catalog))
            .collect();
        let Some(own) = viewer.endpoint.of_caller(&listed, number) else {
            return Arc::clone(&viewer.endpoint);
        };
        let own = Arc::new(own);
        self.state().1.keep(&viewer.principal, &viewer.endpoint, stamps, &own);
        own
    }

    /// Begins to list for the caller of `slot`, not before `earliest`. It is waited for as if it had begun at `since`.
    fn begin(self: &Arc<Self>, slot: &mut Slot, key: &Key, since: Instant, earliest: Instant) {
        let (done, landed) = watch::channel(false);
        slot.flight = slot.used;
        slot.state = State::Flying { since, landed };
        let flight = flight::Flight {
            inner: Arc::clone(self),
            key: key.clone(),
            target: Arc::clone(&slot.target),
            delegation: slot.delegation.clone(),
            number: slot.flight,
            done,
        };
        self.runtime.spawn(flight.run(earliest));
    }

    fn changed(self: &Arc<Self>, upstream: &Arc<str>, principal: &Arc<str>, kinds: Kinds) {
        let now = Instant::now();
        let key = Key {
            principal: Arc::clone(principal),
            upstream: Arc::clone(upstream),
        };
        {
            let table = &mut self.state().1;
            if let Some(slot) = table.only(&key) {
                slot.said = slot.said.or(kinds);
                match &slot.state {
                    State::Listed(listed) => {
                        let earliest = listed.at + BETWEEN;
                        self.begin(slot, &key, now, earliest);
                    }
                    // It may have been read before the change.
                    State::Flying { .. } => slot.again = true,
                    State::Failed { .. } | State::Idle => {}
                }
                return;
            }
        }
        self.announce(principal, kinds);
    }

    /// Begins to hear what the upstream announces to this caller, if somebody wants to know.
    fn watch(self: &Arc<Self>, key: &Key) {
        if !self.is_heard(&key.principal) {
            return;
        }
        let mut state = self.state();
        let Some(slot) = state.1.latest(key) else { return };
        let State::Listed(listed) = &slot.state else { return };
        if slot.watched || !Watcher::is_of_use(&listed.catalog) {
            return;
        }
        let watcher = Watcher {
            inner: Arc::clone(self),
            key: key.clone(),
            target: Arc::clone(&slot.target),
            delegation: slot.delegation.clone(),
            catalog: listed.catalog.clone(),
        };
        slot.watched = true;
        self.runtime.spawn(watcher.run());
    }

    /// A session of this caller has a stream of that upstream.
    fn hears_itself(&self, key: &Key) -> bool {
        let hub = self.hub.get().and_then(Weak::upgrade);
        hub.is_some_and(|hub| hub.feeds(&key.principal, &key.upstream))
    }

    /// The clients of this principal hear that these lists have changed.
    fn announce(&self, principal: &str, kinds: Kinds) {
        if let Some(hub) = self.hub.get().and_then(Weak::upgrade) {
            hub.tell_caller(principal, kinds);
        }
    }

    /// A client of this principal holds a stream open.
    fn is_heard(&self, principal: &str) -> bool {
        let hub = self.hub.get().and_then(Weak::upgrade);
        hub.is_some_and(|hub| hub.hears(principal))
    }

    /// The server is still the one that is called by this name.
    fn is_current(&self, target: &Arc<Target>) -> bool {
        let targets = self.targets.load();
        targets
            .get(&**target.name())
            .is_some_and(|now| Arc::ptr_eq(now, target))
    }

    fn state(&self) -> MutexGuard<'_, (Allowance, Table)> {
        // Nothing panics while it is held; and if: the table is still a table.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
