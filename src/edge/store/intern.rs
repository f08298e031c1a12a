//! Shares what many sessions have in common: what their clients said of themselves, and upstream names.
//!
//! Only `start` and `bind` come here, so plain locks do. A sweep drops what no session uses any more.

use crate::engine::session::Client;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// All different clients together may take this many bytes; one that sends a new description with each initialize
/// meets `Full` rather than the end of our memory.
const CLIENT_BYTES: usize = 64 << 20;

/// Identifies a client: the head of the SHA-256 of what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientHash(pub(super) u128);

impl ClientHash {
    pub(super) fn of(client: &Client) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update((client.capabilities.len() as u64).to_be_bytes())
            .chain_update(client.capabilities.as_bytes())
            .chain_update(client.info.as_bytes())
            .finalize()
            .into();
        let (head, _) = digest.split_first_chunk().expect("32 bytes hold 16");
        Self(u128::from_be_bytes(*head))
    }
}

/// What a session has whose client we never met: another replica did, or the journal was lost.
pub(super) fn stranger() -> Arc<Client> {
    static STRANGER: LazyLock<Arc<Client>> = LazyLock::new(Arc::default);
    Arc::clone(&STRANGER)
}

/// The clients of all sessions.
#[derive(Debug)]
pub(super) struct Clients {
    table: Mutex<ClientTable>,
    /// The most bytes.
    room: usize,
}

#[derive(Debug, Default)]
struct ClientTable {
    known: HashMap<ClientHash, Arc<Client>>,
    bytes: usize,
}

impl Default for Clients {
    fn default() -> Self {
        Self::with_room(CLIENT_BYTES)
    }
}

impl Clients {
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            table: Mutex::default(),
            room,
        }
    }

    /// The shared copy of `client`; `None` if there are too many different ones.
    pub(super) fn intern(&self, client: Client) -> Option<Arc<Client>> {
        let hash = ClientHash::of(&client);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.known.get(&hash) {
            return Some(Arc::clone(known));
        }
        let bytes = table.bytes + size(&client);
        if bytes > self.room {
            return None;
        }
        table.bytes = bytes;
        let client = Arc::new(client);
        table.known.insert(hash, Arc::clone(&client));
        Some(client)
    }

    /// Drops clients without a session. `forget` gets each of them before anybody can bring it back.
    pub(super) fn sweep(&self, mut forget: impl FnMut(ClientHash)) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let ClientTable { known, bytes } = &mut *table;
        known.retain(|hash, client| {
            // The last one is ours, and nobody gets another without this lock.
            let used = Arc::strong_count(client) > 1;
            if !used {
                *bytes -= size(client);
                forget(*hash);
            }
            used
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).known.len()
    }
}

fn size(client: &Client) -> usize {
    client.capabilities.len() + client.info.len() + 128
}

/// The names of all upstreams that sessions are tied to.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashSet<Arc<str>>>);

impl Names {
    /// The shared copy of `name`.
    pub(super) fn intern(&self, name: &str) -> Arc<str> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        names.insert(Arc::clone(&name));
        name
    }

    /// Drops names without a tie.
    pub(super) fn sweep(&self) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|name| Arc::strong_count(name) > 1);
    }
}
