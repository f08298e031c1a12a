//! The keys of Gateways while this replica leads, and whose processors need certificates.

use super::certifier::Due;
use super::names;
use super::vault::Vault;
use crate::edge::kube::index::Keys;
use crate::edge::kube::plan::Place;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

/// Pause before keys are asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module. What is being read ends with this.
pub(super) struct Keyring {
    vault: Vault,
    keys: HashMap<Place, Keys>,
    loading: JoinSet<(Place, Keys)>,
    due: watch::Sender<Due>,
}

// === impl Keyring ===

impl Keyring {
    /// An empty one; the other end is for whoever makes certificates.
    pub(super) fn new(vault: Vault) -> (Self, watch::Receiver<Due>) {
        let (due, wanted) = watch::channel(Due::new());
        let keyring = Self {
            vault,
            keys: HashMap::new(),
            loading: JoinSet::new(),
            due,
        };
        (keyring, wanted)
    }

    pub(super) fn get(&self, gateway: &Place) -> Option<&Keys> {
        self.keys.get(gateway)
    }

    /// Reads the keys of a Gateway, or makes them; again and again until that succeeds. -> [`Keyring::loaded`]
    pub(super) fn load(&mut self, gateway: Place) {
        let vault = self.vault.clone();
        self.loading.spawn(async move {
            loop {
                match vault.keys(&names::keys(&gateway), &names::labels(&gateway)).await {
                    Ok(keys) => return (gateway, keys),
                    Err(error) => warn!(%gateway, %error, "The keys of a Gateway cannot be read or made."),
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// The next keys that have been read; they are kept. Nothing is lost where this is not waited for to the end.
    pub(super) async fn loaded(&mut self) -> (Place, Keys) {
        loop {
            match self.loading.join_next().await {
                Some(Ok((gateway, keys))) => {
                    self.keys.insert(gateway.clone(), keys.clone());
                    return (gateway, keys);
                }
                // Only when everything ends.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Keeps the keys of these Gateways only.
    pub(super) fn retain(&mut self, live: impl Fn(&Place) -> bool) {
        self.keys.retain(|gateway, _| live(gateway));
    }

    /// The processors of these Gateways, each in the namespace named, need certificates from now on.
    pub(super) fn certify(&self, due: impl Iterator<Item = (Place, String)>) {
        let due: Due = due.collect();
        self.due
            .send_if_modified(|before| std::mem::replace(before, due.clone()) != due);
    }

    /// Somebody changed a Secret of ours: certificates are to be looked at.
    pub(super) fn look(&self) {
        self.due.send_modify(|_| {});
    }
}
