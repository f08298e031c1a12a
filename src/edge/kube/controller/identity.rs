//! What the controller shows to processors and whom it trusts: every replica has a server certificate of the common
//! authority, made in memory and replaced in time.

use super::authority::{Authority, Holder, Pair};
use super::vault::{Vault, VaultError, now};
use crate::engine::config::Confidential;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// How often the authority is looked at: another replica may have replaced it.
const LOOK: Duration = Duration::from_secs(60);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// A server's certificate, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who signs processors' certificates.
    pub ca: Arc<str>,
    /// The certificate.
    pub certificate: Arc<str>,
    /// Its key.
    pub key: Confidential,
}

/// The authority, as soon as it is known.
pub(super) type Known = watch::Receiver<Option<Arc<Authority>>>;

/// Keeps the authority and this replica's certificate current, for ever.
pub(super) async fn keep(
    vault: Vault,
    names: Vec<String>,
    known: watch::Sender<Option<Arc<Authority>>>,
    identity: watch::Sender<Option<Identity>>,
) {
    let mut renewal = Renewal {
        holder: Holder::Server(names),
        pair: None,
    };
    let mut well = true;
    loop {
        let authority = vault.authority().await;
        match authority.and_then(|authority| renewal.take(authority, &known, &identity)) {
            Ok(()) => {
                well = true;
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => {
                if std::mem::take(&mut well) {
                    warn!(%error, "The certificate authority cannot be read or made for now.");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

struct Renewal {
    holder: Holder,
    pair: Option<Pair>,
}

// === impl Renewal ===

impl Renewal {
    fn take(
        &mut self,
        authority: Authority,
        known: &watch::Sender<Option<Arc<Authority>>>,
        identity: &watch::Sender<Option<Identity>>,
    ) -> Result<(), VaultError> {
        let pair = match self.pair.take() {
            Some(pair) if authority.vouches(&self.holder, &pair, now()) => pair,
            Some(_) | None => {
                info!("A server certificate is issued.");
                authority.issue(&self.holder, now())?
            }
        };
        let shown = Identity {
            ca: authority.trusted().into(),
            certificate: pair.certificate.as_str().into(),
            key: Confidential(pair.key.as_str().into()),
        };
        self.pair = Some(pair);
        identity.send_if_modified(|identity| identity.replace(shown.clone()).as_ref() != Some(&shown));
        known.send_if_modified(|known| {
            let same = known
                .as_ref()
                .is_some_and(|known| known.trusted() == authority.trusted());
            if !same {
                *known = Some(Arc::new(authority));
            }
            !same
        });
        Ok(())
    }
}

/// Not the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_until_its_authority_changes() {
        let (known, _known) = watch::channel(None);
        let (identity, mut shown) = watch::channel(None);
        let mut renewal = Renewal {
            holder: Holder::Server(vec!["controller.system.svc".to_owned()]),
            pair: None,
        };
        let authority = Authority::generate(now()).unwrap();
        let (pair, trusted) = (authority.pair(), authority.trusted().to_owned());
        let again = Authority::read(&pair.certificate, &pair.key, &trusted).unwrap();
        renewal.take(authority, &known, &identity).unwrap();
        assert!(shown.has_changed().unwrap());
        let first = shown.borrow_and_update().clone();
        renewal.take(again, &known, &identity).unwrap();
        assert!(!shown.has_changed().unwrap());
        renewal
            .take(Authority::generate(now()).unwrap(), &known, &identity)
            .unwrap();
        assert_ne!(*shown.borrow_and_update(), first);
    }
}
