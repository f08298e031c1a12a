//! The session map in memory.
//!
//! The call path (`recall`, `lookup`) takes one read lock of one shard and allocates nothing. A session that was not
//! remembered is live, since its id verified: another replica made it, or the journal was lost; it gets an entry
//! when there is something to remember. Sweeps (`take_idle`, `expire`) read first and lock only what they change.

mod loading;
mod pasts;

use super::entry::{Entry, Live, MapKey, Sessions, Tie};
use super::intern::{Clients, Names, stranger};
use super::journal::{Journal, JournalError};
use crate::engine::session::past::{Begun, Past};
use crate::engine::session::store::{Ended, Full};
use crate::engine::session::{
    Binding, Client, Delegation, Level, Lookup, Recall, SessionKey, SessionStore, Subscription, Timestamp, Wanted,
};
use dashmap::Entry as Slot;
use loading::Loading;
use pasts::Pasts;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Ended ids are remembered for as long as they would be valid, up to this many times `limits.sessions`.
const ENDED_PER_SESSION: usize = 16;

/// The session map of one process.
#[derive(Debug)]
pub struct MemoryStore {
    sessions: Arc<Sessions>,
    /// Number of live entries.
    live: AtomicUsize,
    /// `limits.sessions`
    limit: AtomicUsize,
    clients: Clients,
    names: Names,
    /// The time of the last sweep: new sessions count as used then.
    swept: AtomicU64,
    journal: Option<Journal>,
    pasts: Pasts,
}

impl MemoryStore {
    /// A map of at most `limit` sessions that is forgotten with the process.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            sessions: Arc::default(),
            live: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            clients: Clients::default(),
            names: Names::default(),
            swept: AtomicU64::new(0),
            journal: None,
            pasts: Pasts::default(),
        }
    }

    /// The same; `pasts` hears of sessions that are over and had begun in this process.
    #[must_use]
    pub fn told_to(mut self, pasts: impl Fn(Past) + Send + Sync + 'static) -> Self {
        self.pasts = Pasts::told_to(pasts);
        self
    }

    /// A session that was just remembered began so.
    pub fn begun(&self, key: SessionKey, begun: Begun) {
        if let Some(Entry::Live(live)) = self.sessions.get_mut(&key.into()).as_deref_mut() {
            live.begun = Some(begun);
            live.touch(begun.at);
        }
    }

    fn over(&self, live: &Live) {
        if let Some(past) = live.past() {
            self.pasts.tell(past);
        }
    }

    /// A map with a journal in `dir`, which must exist. Reads the journal: call it before serving. Dropping the map
    /// writes what is not written yet.
    ///
    /// # Errors
    /// Another process holds the journal, or the folder cannot be used.
    pub fn open(dir: PathBuf, limit: usize, now: Timestamp) -> Result<Self, JournalError> {
        let mut store = Self::new(limit);
        store.swept = AtomicU64::new(now.0);
        let sessions = Arc::clone(&store.sessions);
        let mut loading = Loading::new(&store, now);
        let journal = Journal::open(dir, sessions, &mut loading)?;
        // Its hold on all clients ends here, else the sweep would find each of them in use.
        drop(loading);
        store.clients.sweep(|client| journal.gone(client));
        store.journal = Some(journal);
        Ok(store)
    }

    /// Changes `limits.sessions`; sessions beyond it stay until they are idle.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// Whether the session is known, and in use or used since `before`.
    pub(super) fn is_used(&self, key: SessionKey, before: Timestamp) -> bool {
        let entry = self.sessions.get(&key.into());
        entry.is_some_and(|entry| match &*entry {
            Entry::Live(live) => live.idle_since().is_none_or(|since| since >= before),
            Entry::Ended(_) => false,
        })
    }

    /// Why the journal is behind, if it is: what it does not know a restart will not know either.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.journal.as_ref()?.trouble()
    }

    fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    fn changed(&self, key: MapKey) {
        if let Some(journal) = &self.journal {
            journal.changed(key);
        }
    }

    fn swept(&self) -> Timestamp {
        Timestamp(self.swept.load(Relaxed))
    }

    /// Changes a live session, remembering it if it was not. False if it is ended.
    fn change(&self, key: SessionKey, expires: Timestamp, now: Timestamp, change: impl FnOnce(&mut Live)) -> bool {
        let key = MapKey::from(key);
        match self.sessions.entry(key) {
            Slot::Occupied(mut slot) => match slot.get_mut() {
                Entry::Live(live) => {
                    live.touch(now);
                    change(live);
                }
                Entry::Ended(_) => return false,
            },
            Slot::Vacant(slot) => {
                let mut live = Box::new(Live::new(expires, now, stranger()));
                change(&mut live);
                self.live.fetch_add(1, Relaxed);
                slot.insert(Entry::Live(live));
            }
        }
        self.changed(key);
        true
    }

    /// Removes an entry if `over` still says so; its ties.
    fn remove_if(&self, key: MapKey, over: impl FnOnce(&Entry) -> bool) -> Vec<(String, Binding)> {
        let Some((_, entry)) = self.sessions.remove_if(&key, |_, entry| over(entry)) else {
            return Vec::new();
        };
        self.changed(key);
        match entry {
            Entry::Live(mut live) => {
                self.live.fetch_sub(1, Relaxed);
                self.over(&live);
                live.take_ties()
            }
            Entry::Ended(_) => Vec::new(),
        }
    }

    /// The keys and a time of all entries that `pick` has one for.
    fn select(&self, pick: impl Fn(&Entry) -> Option<Timestamp>) -> Vec<(Timestamp, MapKey)> {
        self.sessions
            .iter()
            .filter_map(|entry| Some((pick(entry.value())?, *entry.key())))
            .collect()
    }

    /// Keeps a tenth of the room free by forgetting the longest idle sessions: their ids stay valid, only level and
    /// client are lost. Without it, clients that never send DELETE would fill the map for the lifetime of their ids.
    fn make_room(&self, before: Timestamp) {
        let excess = self.len().saturating_sub(self.limit() - self.limit() / 10);
        if excess == 0 {
            return;
        }
        let idle = self.select(|entry| idle_since(entry, before));
        let forgotten = oldest(idle, excess);
        for key in &forgotten {
            self.remove_if(*key, |entry| idle_since(entry, before).is_some());
        }
        tracing::info!(sessions = forgotten.len(), "Forgot idle sessions to make room.");
    }

    /// Forgets the ended ids that are the first to expire anyway, if there are too many.
    fn shed_ended(&self) {
        let kept = self.limit().saturating_mul(ENDED_PER_SESSION);
        let excess = self.sessions.len().saturating_sub(self.len()).saturating_sub(kept);
        if excess == 0 {
            return;
        }
        let forgotten = oldest(self.select(ended_until), excess);
        for key in &forgotten {
            self.remove_if(*key, |entry| ended_until(entry).is_some());
        }
        tracing::warn!(
            sessions = forgotten.len(),
            "Forgot ended sessions before they expired: too many."
        );
    }
}

// === impl SessionStore ===

impl SessionStore for MemoryStore {
    fn start(&self, key: SessionKey, expires: Timestamp, client: Client) -> Result<(), Full> {
        let client = self.clients.intern(client).ok_or(Full)?;
        let limit = self.limit();
        self.live
            .fetch_update(Relaxed, Relaxed, |live| (live < limit).then_some(live + 1))
            .map_err(|_| Full)?;
        let key = MapKey::from(key);
        let live = Box::new(Live::new(expires, self.swept(), client));
        if let Some(Entry::Live(_)) = self.sessions.insert(key, Entry::Live(live)) {
            self.live.fetch_sub(1, Relaxed);
        }
        self.changed(key);
        Ok(())
    }

    fn recall(&self, key: SessionKey, now: Timestamp) -> Recall {
        match self.sessions.get(&key.into()).as_deref() {
            Some(Entry::Live(live)) => {
                live.touch(now);
                Recall::Live
            }
            Some(Entry::Ended(_)) => Recall::Ended,
            None => Recall::Live,
        }
    }

    fn lookup(&self, key: SessionKey, upstream: &str, now: Timestamp) -> Lookup {
        match self.sessions.get(&key.into()).as_deref() {
            Some(Entry::Live(live)) => {
                live.touch(now);
                live.binding(upstream).map_or(Lookup::Unbound, Lookup::Bound)
            }
            Some(Entry::Ended(_)) => Lookup::Ended,
            None => Lookup::Unbound,
        }
    }

    fn hold(&self, key: SessionKey, upstream: &str, call: &[u8]) {
        if let Some(Entry::Live(live)) = self.sessions.get(&key.into()).as_deref() {
            live.hold(upstream, call);
        }
    }

    fn attend(&self, key: SessionKey) {
        if let Some(Entry::Live(live)) = self.sessions.get(&key.into()).as_deref() {
            live.attend();
        }
    }

    fn release(&self, key: SessionKey, calls: u32, now: Timestamp) {
        if let Some(Entry::Live(live)) = self.sessions.get(&key.into()).as_deref() {
            live.release(calls);
            live.touch(now);
        }
    }

    fn client(&self, key: SessionKey) -> (Arc<Client>, Option<Level>) {
        match self.sessions.get(&key.into()).as_deref() {
            Some(Entry::Live(live)) => (Arc::clone(&live.client), live.level),
            Some(Entry::Ended(_)) | None => (stranger(), None),
        }
    }

    fn bind(&self, key: SessionKey, expires: Timestamp, upstream: &str, binding: Binding, now: Timestamp) -> bool {
        let tie = Tie::new(self.names.intern(upstream), binding);
        self.change(key, expires, now, |live| live.insert(tie))
    }

    fn delegate(&self, key: SessionKey, expires: Timestamp, upstream: &str, delegation: Delegation) {
        match self.sessions.get_mut(&key.into()).as_deref_mut() {
            Some(Entry::Live(live)) if *live.delegation(upstream) == delegation => {}
            Some(Entry::Live(live)) => live.delegate(self.names.intern(upstream), delegation),
            Some(Entry::Ended(_)) => {}
            None => {
                let upstream = self.names.intern(upstream);
                self.change(key, expires, self.swept(), |live| live.delegate(upstream, delegation));
            }
        }
    }

    fn refresh(&self, key: SessionKey, upstream: &str, delegation: Delegation) {
        if let Some(Entry::Live(live)) = self.sessions.get_mut(&key.into()).as_deref_mut()
            && live.knows(upstream)
            && *live.delegation(upstream) != delegation
        {
            live.delegate(self.names.intern(upstream), delegation);
        }
    }

    fn delegation(&self, key: SessionKey, upstream: &str) -> Delegation {
        match self.sessions.get(&key.into()).as_deref() {
            Some(Entry::Live(live)) => live.delegation(upstream).clone(),
            Some(Entry::Ended(_)) | None => Delegation::NONE,
        }
    }

    fn unbind(&self, key: SessionKey, upstream: &str, stale: Option<&str>) {
        let key = MapKey::from(key);
        let removed = match self.sessions.get_mut(&key).as_deref_mut() {
            Some(Entry::Live(live)) => live.remove(upstream, stale),
            Some(Entry::Ended(_)) | None => false,
        };
        if removed {
            self.changed(key);
        }
    }

    fn set_level(&self, key: SessionKey, expires: Timestamp, level: Level) -> bool {
        self.change(key, expires, self.swept(), |live| live.level = Some(level))
    }

    fn subscribe(&self, key: SessionKey, expires: Timestamp, subscription: Subscription, wanted: Wanted) {
        let subscription = Subscription {
            upstream: self.names.intern(&subscription.upstream),
            ..subscription
        };
        self.change(key, expires, self.swept(), |live| live.subscribe(subscription, wanted));
    }

    fn subscriptions(&self, key: SessionKey) -> Vec<Subscription> {
        match self.sessions.get(&key.into()).as_deref() {
            Some(Entry::Live(live)) => live.subscriptions().to_vec(),
            Some(Entry::Ended(_)) | None => Vec::new(),
        }
    }

    fn ties(&self, key: SessionKey) -> Vec<(String, Binding)> {
        match self.sessions.get(&key.into()).as_deref() {
            Some(Entry::Live(live)) => live.bindings_by_call(),
            Some(Entry::Ended(_)) | None => Vec::new(),
        }
    }

    fn owner(&self, key: SessionKey, call: &[u8]) -> Option<(String, Binding)> {
        match self.sessions.get(&key.into()).as_deref() {
            Some(Entry::Live(live)) => live.owner(call),
            Some(Entry::Ended(_)) | None => None,
        }
    }

    fn end(&self, key: SessionKey, expires: Timestamp) -> Ended {
        let key = MapKey::from(key);
        let (first, bindings) = match self.sessions.insert(key, Entry::Ended(expires)) {
            Some(Entry::Live(mut live)) => {
                self.live.fetch_sub(1, Relaxed);
                self.over(&live);
                (true, live.take_ties())
            }
            Some(Entry::Ended(_)) => (false, Vec::new()),
            None => (true, Vec::new()),
        };
        self.changed(key);
        Ended {
            first,
            bindings,
            written: match &self.journal {
                Some(journal) => Box::pin(journal.written()),
                None => Box::pin(std::future::ready(true)),
            },
        }
    }

    fn take_idle(&self, before: Timestamp) -> Vec<(String, Binding)> {
        let mut taken = Vec::new();
        for (_, key) in self.select(|entry| idle_since(entry, before).filter(|_| has_ties(entry))) {
            let Some(mut entry) = self.sessions.get_mut(&key) else {
                continue;
            };
            if let Entry::Live(live) = &mut *entry
                && live.idle_since().is_some_and(|since| since < before)
            {
                taken.append(&mut live.take_ties());
                self.changed(key);
            }
        }
        self.make_room(before);
        taken
    }

    fn expire(&self, now: Timestamp) -> Vec<(String, Binding)> {
        self.swept.fetch_max(now.0, Relaxed);
        let expired = self.select(|entry| Some(entry.expires()).filter(|expires| *expires <= now));
        let taken = expired
            .into_iter()
            .flat_map(|(_, key)| self.remove_if(key, |entry| entry.expires() <= now))
            .collect();
        self.shed_ended();
        self.clients.sweep(|client| {
            if let Some(journal) = &self.journal {
                journal.gone(client);
            }
        });
        self.names.sweep();
        if self.sessions.capacity() > 8 * self.sessions.len() + 4096 {
            self.sessions.shrink_to_fit();
        }
        taken
    }

    fn len(&self) -> usize {
        self.live.load(Relaxed)
    }
}

fn idle_since(entry: &Entry, before: Timestamp) -> Option<Timestamp> {
    match entry {
        Entry::Live(live) => live.idle_since().filter(|since| *since < before),
        Entry::Ended(_) => None,
    }
}

fn has_ties(entry: &Entry) -> bool {
    match entry {
        Entry::Live(live) => !live.ties().is_empty(),
        Entry::Ended(_) => false,
    }
}

fn ended_until(entry: &Entry) -> Option<Timestamp> {
    match entry {
        Entry::Live(_) => None,
        Entry::Ended(expires) => Some(*expires),
    }
}

/// The keys with the `count` earliest times.
fn oldest(mut keys: Vec<(Timestamp, MapKey)>, count: usize) -> Vec<MapKey> {
    keys.sort_unstable_by_key(|(time, _)| *time);
    keys.truncate(count);
    keys.into_iter().map(|(_, key)| key).collect()
}

#[cfg(test)]
mod tests;
