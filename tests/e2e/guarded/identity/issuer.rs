//! An issuer of tokens in this process: signs what a test wants, serves its public keys as a test wants.

use crate::e2e::harness::puppet::{Act, Puppet};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// A signing key.
pub(crate) struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

/// See the module.
pub(crate) struct Issuer {
    pub(crate) server: Puppet,
    pub(crate) key: Key,
}

impl Key {
    pub(crate) fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("generated");
        Self {
            id: id.to_owned(),
            pair: EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).expect("read back"),
        }
    }

    /// The public half (RFC 7517).
    pub(crate) fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }

    /// A token with these claims; `more` stands in its header.
    pub(crate) fn sign_with(&self, claims: &Value, more: &Value) -> String {
        let mut header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id});
        for (name, value) in more.as_object().into_iter().flatten() {
            header[name] = value.clone();
        }
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, &json!({}))
    }
}

impl Issuer {
    /// Serves its one key.
    pub(crate) async fn start() -> Self {
        let issuer = Self {
            server: Puppet::start(&[]).await,
            key: Key::new("first"),
        };
        issuer.publish(&[&issuer.key]);
        issuer
    }

    /// What its tokens say as `iss`.
    pub(crate) fn name(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub(crate) fn jwks_url(&self) -> String {
        format!("http://{}/jwks", self.server.address)
    }

    /// Serves these keys from now on.
    pub(crate) fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        let jwks = json!({ "keys": keys }).to_string();
        self.server.play(move |_| Some(Act::text(200, &jwks)));
    }

    /// Good for an hour, for `audience`.
    pub(crate) fn claims(&self, subject: &str, audience: &str) -> Value {
        json!({"iss": self.name(), "sub": subject, "aud": audience, "iat": now(), "exp": now() + 3600})
    }

    /// A good token of that subject for [`super::OWN`].
    pub(crate) fn token(&self, subject: &str) -> String {
        self.key.sign(&self.claims(subject, super::OWN))
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

/// A part of a token.
pub(crate) fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
