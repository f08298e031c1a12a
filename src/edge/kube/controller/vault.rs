//! The Secrets that the controller keeps: its certificate authority, the keys of every Gateway, and the certificates that
//! processors show to the registry.
//!
//! The authority and the keys are made once, by whichever replica comes first; a Secret that was made by another one in
//! the meantime is read instead. Nothing here is ever logged.

use super::authority::{AUTHORITY_LIFETIME, Authority, AuthorityError, Holder, Moment, Pair};
use crate::edge::kube::index::Keys;
use crate::edge::kube::objects::names;
use crate::edge::kube::plan::Place;
use crate::engine::config::Confidential;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The Secret of the certificate authority.
pub const AUTHORITY: &str = "mcp-manifold-ca";
/// When the authority was made, in seconds since 1970.
const MADE: &str = "mcp-manifold/made";
/// Shorter keys are no keys.
const SHORTEST: usize = 32;

/// Why a Secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum VaultError {
    /// The API server refused, or is not there.
    #[error("{}", super::said(.0))]
    Kube(#[from] kube::Error),
    /// Its content cannot be made or used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Somebody else's object has the name.
    #[error("Secret {0} exists and is not of this Gateway: delete it or rename the Gateway")]
    Foreign(String),
    /// An operator must look.
    #[error("Secret {0} is damaged: key {1} is missing or too short; delete the Secret to have it made anew")]
    Damaged(String, &'static str),
}

/// Reads and writes Secrets.
#[derive(Clone)]
pub(super) struct Vault {
    pub(super) client: Client,
    /// The controller's.
    pub(super) namespace: String,
}

/// The time since 1970.
pub(super) fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

// === impl Vault ===

impl Vault {
    /// The authority: the one that is kept, a new one where there is none or where two thirds of its life are over.
    pub(super) async fn authority(&self) -> Result<Authority, VaultError> {
        let secrets = self.secrets(&self.namespace);
        let Some(kept) = secrets.get_opt(AUTHORITY).await? else {
            let made = authority_secret(&Authority::generate(now())?);
            return read_authority(&create(&secrets, &made).await?);
        };
        let authority = read_authority(&kept)?;
        let made = kept.annotations().get(MADE).and_then(|made| made.parse().ok());
        let made = made.map_or(Moment::ZERO, Moment::from_secs);
        if now().saturating_sub(made) < AUTHORITY_LIFETIME * 2 / 3 {
            return Ok(authority);
        }
        let mut next = authority_secret(&Authority::succeed(&authority, now())?);
        // A replica that was faster wins by a conflict; the next look reads its authority.
        next.metadata.resource_version = kept.resource_version();
        read_authority(&secrets.replace(AUTHORITY, &PostParams::default(), &next).await?)
    }

    /// The keys of a Gateway, made on first use.
    pub(super) async fn keys(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<Keys, VaultError> {
        let secrets = self.secrets(&self.namespace);
        let kept = match secrets.get_opt(name).await? {
            Some(kept) => kept,
            None => create(&secrets, &keys_secret(name, labels)).await?,
        };
        owned(&kept, labels)?;
        read_keys(&kept)
    }

    /// The processors of `gateway` find a good certificate in the Secret `name`; a new one is issued where theirs is
    /// none, is of another authority, or ends soon.
    pub(super) async fn certify(
        &self,
        authority: &Authority,
        gateway: &Place,
        namespace: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), VaultError> {
        let secrets = self.secrets(namespace);
        let holder = Holder::Client(identity(gateway));
        let kept = secrets.get_opt(name).await?;
        if let Some(kept) = &kept {
            owned(kept, labels)?;
            let pair = pair(kept);
            let trusted = text(kept, "ca.crt").is_some_and(|trusted| trusted == authority.trusted());
            if trusted && pair.is_some_and(|pair| authority.vouches(&holder, &pair, now())) {
                return Ok(());
            }
        }
        let pair = authority.issue(&holder, now())?;
        let mut secret = tls_secret(name, labels, &pair, authority.trusted());
        secret.type_ = kept.map_or(secret.type_, |kept| kept.type_);
        let parameters = PatchParams::apply(names::MANAGER).force();
        secrets.patch(name, &parameters, &Patch::Apply(&secret)).await?;
        Ok(())
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// What a processor's certificate says of it.
pub(super) fn identity(gateway: &Place) -> String {
    format!("mcp-manifold://gateway/{}/{}", gateway.namespace, gateway.name)
}

/// Makes it, or reads the one that somebody else just made.
async fn create(secrets: &Api<Secret>, secret: &Secret) -> Result<Secret, kube::Error> {
    match secrets.create(&PostParams::default(), secret).await {
        Err(kube::Error::Api(status)) if status.code == 409 => secrets.get(&secret.name_any()).await,
        other => other,
    }
}

/// Names of different Gateways may meet in one Secret's name.
fn owned(secret: &Secret, labels: &BTreeMap<String, String>) -> Result<(), VaultError> {
    match labels
        .iter()
        .all(|(key, value)| secret.labels().get(key) == Some(value))
    {
        true => Ok(()),
        false => Err(VaultError::Foreign(shown(secret))),
    }
}

// === contents ===

fn authority_secret(authority: &Authority) -> Secret {
    let labels = BTreeMap::from([(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned())]);
    let mut secret = tls_secret(AUTHORITY, &labels, &authority.pair(), authority.trusted());
    let made = now().as_secs().to_string();
    secret.metadata.annotations = Some(BTreeMap::from([(MADE.to_owned(), made)]));
    secret
}

fn read_authority(secret: &Secret) -> Result<Authority, VaultError> {
    let part = |key| text(secret, key).ok_or_else(|| VaultError::Damaged(shown(secret), key));
    Ok(Authority::read(part("tls.crt")?, part("tls.key")?, part("ca.crt")?)?)
}

fn keys_secret(name: &str, labels: &BTreeMap<String, String>) -> Secret {
    let data = ["route-key", "session-key"].map(|key| (key.to_owned(), ByteString(random().into_bytes())));
    Secret {
        metadata: metadata(name, labels),
        data: Some(BTreeMap::from(data)),
        ..Secret::default()
    }
}

/// `previous-session-key` is for operators: a session key that is replaced goes on verifying as that.
fn read_keys(secret: &Secret) -> Result<Keys, VaultError> {
    let part = |key| {
        let text = text(secret, key)
            .map(str::trim_end)
            .filter(|text| text.len() >= SHORTEST);
        text.map(|text| Confidential(Arc::from(text)))
    };
    let damaged = |key| VaultError::Damaged(shown(secret), key);
    let route = part("route-key").filter(|key| key.0.bytes().all(|byte| byte.is_ascii_graphic()));
    let current = part("session-key").ok_or_else(|| damaged("session-key"))?;
    Ok(Keys {
        route_key: route.ok_or_else(|| damaged("route-key"))?,
        session_keys: [Some(current), part("previous-session-key")]
            .into_iter()
            .flatten()
            .collect(),
    })
}

fn tls_secret(name: &str, labels: &BTreeMap<String, String>, pair: &Pair, trusted: &str) -> Secret {
    let data = [
        ("tls.crt", &*pair.certificate),
        ("tls.key", &*pair.key),
        ("ca.crt", trusted),
    ];
    let data = data.map(|(key, value)| (key.to_owned(), ByteString(value.into())));
    Secret {
        metadata: metadata(name, labels),
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(BTreeMap::from(data)),
        ..Secret::default()
    }
}

fn metadata(name: &str, labels: &BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels.clone()),
        ..ObjectMeta::default()
    }
}

fn pair(secret: &Secret) -> Option<Pair> {
    Some(Pair {
        certificate: text(secret, "tls.crt")?.to_owned(),
        key: text(secret, "tls.key")?.to_owned(),
    })
}

fn text<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok()
}

fn shown(secret: &Secret) -> String {
    format!("{}/{}", secret.namespace().unwrap_or_default(), secret.name_any())
}

/// 32 random bytes in hex.
fn random() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> BTreeMap<String, String> {
        BTreeMap::from([("mcp-manifold/gateway".to_owned(), "infra.main".to_owned())])
    }

    #[test]
    fn new_keys_are_random_and_read_back() {
        let (one, two) = (keys_secret("x", &labels()), keys_secret("x", &labels()));
        let (one, two) = (read_keys(&one).unwrap(), read_keys(&two).unwrap());
        assert_ne!(one, two);
        assert_eq!(one.session_keys.len(), 1);
        assert_ne!(one.route_key, one.session_keys[0]);
    }

    #[test]
    fn a_previous_session_key_goes_on_verifying() {
        let mut secret = keys_secret("x", &labels());
        let data = secret.data.as_mut().unwrap();
        let old = data["session-key"].clone();
        data.insert("previous-session-key".to_owned(), old);
        data.insert("session-key".to_owned(), ByteString(random().into_bytes()));
        assert_eq!(read_keys(&secret).unwrap().session_keys.len(), 2);
    }

    #[test]
    fn a_damaged_secret_is_told_and_never_shown() {
        let mut secret = keys_secret("x", &labels());
        let short = ByteString(b"hunter2".to_vec());
        secret.data.as_mut().unwrap().insert("route-key".to_owned(), short);
        let error = read_keys(&secret).unwrap_err().to_string();
        assert!(error.contains("route-key"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_secret_of_another_gateway_is_left_alone() {
        let secret = keys_secret("x", &labels());
        let other = BTreeMap::from([("mcp-manifold/gateway".to_owned(), "in.fra-main".to_owned())]);
        assert!(owned(&secret, &labels()).is_ok());
        assert!(matches!(owned(&secret, &other), Err(VaultError::Foreign(_))));
    }

    #[test]
    fn an_authority_survives_its_secret() {
        let made = Authority::generate(now()).unwrap();
        let read = read_authority(&authority_secret(&made)).unwrap();
        assert_eq!(read.trusted(), made.trusted());
    }
}
