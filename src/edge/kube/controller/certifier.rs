//! Sees to it that the processors of every served Gateway have a good certificate in a Secret.

use super::identity::Known;
use super::names;
use super::vault::{Vault, VaultError};
use crate::edge::kube::plan::Place;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

/// How often certificates are looked at without any reason to.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(3);

/// The Gateways whose processors need one, with the namespace of each Secret. Sent again: somebody changed one.
pub(super) type Due = BTreeSet<(Place, String)>;

/// Until nobody asks any more.
pub(super) async fn certify(vault: Vault, mut authority: Known, mut due: watch::Receiver<Due>) {
    loop {
        let pause = match all(&vault, &mut authority, &mut due).await {
            true => LOOK,
            false => PAUSE,
        };
        tokio::select! {
            changed = due.changed() => if changed.is_err() { return },
            changed = authority.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// False: one of them could not be seen to.
async fn all(vault: &Vault, authority: &mut Known, due: &mut watch::Receiver<Due>) -> bool {
    let Some(authority) = authority.borrow_and_update().clone() else {
        return false;
    };
    let due = due.borrow_and_update().clone();
    let mut good = true;
    for (gateway, namespace) in &due {
        let name = names::certificate(gateway);
        let labels = names::labels(gateway);
        if let Err(error) = vault.certify(&authority, gateway, namespace, &name, &labels).await {
            complain(gateway, &error);
            good = false;
        }
    }
    good
}

fn complain(gateway: &Place, error: &VaultError) {
    warn!(gateway = %gateway, %error, "The processors of a Gateway have no good certificate.");
}
