//! The gateway session id: signed, self-contained, verified without a look-up (design 4). (Interface first; body to come.)
//!
//! `mp1.` or `mi1.` (inspected) + base64url without padding of: client flags, version, endpoint hash, 128 random bits,
//! expiry (seconds), principal hash, HMAC-SHA256 cut to 128 bits over all of it and the mark. Under 100 characters.

use super::Timestamp;
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ClientFlags;

/// The 128 random bits of a session id: the key of the session map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u128);

/// Which endpoint a session belongs to: the first 32 bits of the SHA-256 of the endpoint's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointHash(pub u32);

impl EndpointHash {
    /// Of an endpoint's id.
    #[must_use]
    pub fn of(_endpoint: &str) -> Self {
        unimplemented!()
    }
}

/// What an id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// What the client declared at initialize; any of them makes the session an inspected one.
    pub flags: ClientFlags,
    /// Negotiated at initialize.
    pub version: Version,
    /// Where it is valid.
    pub endpoint: EndpointHash,
    /// Its key in the map.
    pub key: SessionKey,
    /// Until when, to the second.
    pub expires: Timestamp,
    /// First 64 bits of the SHA-256 of the principal; 0: anonymous.
    pub principal: u64,
}

/// Why an id is refused. To a client all of them are 404; the log tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the shape of an id.
    #[error("malformed session id")]
    Malformed,
    /// Signed by none of our keys.
    #[error("session id with a wrong signature")]
    Forged,
    /// Of another endpoint.
    #[error("session id of another endpoint")]
    ForeignEndpoint,
    /// Over.
    #[error("session id expired")]
    Expired,
}

/// The signing keys: the current one signs, all of them verify.
#[derive(Clone)]
pub struct Keys(Vec<[u8; 32]>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// Derives one key of each secret (SHA-256 of its bytes). `None` without secrets.
    #[must_use]
    pub fn derive(_secrets: &[Vec<u8>]) -> Option<Self> {
        unimplemented!()
    }

    /// The id for these claims.
    #[must_use]
    pub fn sign(&self, _claims: &Claims) -> String {
        unimplemented!()
    }

    /// What a presented id says.
    ///
    /// # Errors
    /// See [`IdError`]; signatures are compared in constant time.
    pub fn verify(&self, _id: &[u8], _endpoint: EndpointHash, _now: Timestamp) -> Result<Claims, IdError> {
        unimplemented!()
    }
}
