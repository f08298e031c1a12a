//! Who calls, as it was established before anything is decided: by Envoy (JWT) or by the processor (keys, passwords).
//!
//! Plain data. What is not authenticated is [`Identity::default`]: no principal, no claims, no roles, no scopes.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a verified JWT says (RFC 7519, 4).
pub type Claims = Map<String, Value>;

/// The caller of one exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// Who; `None`: anonymous. Of a JWT its `sub`, of a key or password the name it was given to.
    pub principal: Option<Arc<str>>,
    /// Of the verified JWT; empty for everybody else.
    pub claims: Claims,
    /// Of the key or password, or the JWT's.
    pub roles: Vec<Arc<str>>,
    /// `scope` of the JWT (RFC 8693, 4.2).
    pub scopes: Vec<Arc<str>>,
}

impl Identity {
    /// First 64 bits of the SHA-256 of the principal; 0: anonymous. Stands in session ids, which belong to one principal.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let Some(principal) = &self.principal else { return 0 };
        let digest: [u8; 32] = Sha256::digest(principal.as_bytes()).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        // 0 stands for nobody.
        u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_anonymous_hash_to_zero() {
        let named = |name: &str| Identity {
            principal: Some(name.into()),
            ..Identity::default()
        };
        assert_eq!(Identity::default().hash(), 0);
        assert_ne!(named("").hash(), 0);
        assert_ne!(named("a").hash(), named("b").hash());
    }
}
