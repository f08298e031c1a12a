//! Fills the map from the journal at start. Nobody else uses the map yet.

use super::MemoryStore;
use crate::edge::store::entry::{Entry, Live, Tie};
use crate::edge::store::intern::{ClientHash, stranger};
use crate::edge::store::journal::Loaded;
use crate::edge::store::record::{self, Record};
use crate::engine::session::{Client, SessionKey, Subscription, Timestamp, Wanted};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A map that is being filled.
pub(super) struct Loading<'a> {
    store: &'a MemoryStore,
    clients: HashMap<ClientHash, Arc<Client>>,
    now: Timestamp,
}

impl<'a> Loading<'a> {
    pub(super) fn new(store: &'a MemoryStore, now: Timestamp) -> Self {
        Self {
            store,
            clients: HashMap::new(),
            now,
        }
    }
}

impl Loaded for Loading<'_> {
    fn client(&mut self, hash: ClientHash, client: Client) {
        if let Some(client) = self.store.clients.intern(client) {
            self.clients.insert(hash, client);
        }
    }

    fn session(&mut self, key: SessionKey, bytes: &[u8]) -> bool {
        let entry = match record::decode(bytes) {
            Some(Record::Ended(expires)) => Entry::Ended(expires),
            Some(Record::Live {
                expires,
                client,
                level,
                subscriptions,
                ties,
            }) => {
                let client = self.clients.get(&client).map_or_else(stranger, Arc::clone);
                let mut live = Live::new(expires, self.now, client);
                live.level = level;
                for (upstream, uri) in subscriptions {
                    let subscription = Subscription {
                        upstream: self.store.names.intern(upstream),
                        uri: uri.into(),
                    };
                    live.subscribe(subscription, Wanted::FromNowOn);
                }
                for (upstream, binding) in ties {
                    live.insert(Tie::new(self.store.names.intern(upstream), binding));
                }
                Entry::Live(Box::new(live))
            }
            None => return false,
        };
        if entry.expires() <= self.now {
            return false;
        }
        if let Entry::Live(_) = entry {
            self.store.live.fetch_add(1, Relaxed);
        }
        self.store.sessions.insert(key.into(), entry);
        true
    }

    fn void(&mut self) {
        self.store.sessions.clear();
        self.store.live.store(0, Relaxed);
        self.clients.clear();
    }
}
