//! The gateway session id: signed, self-contained, verified without a look-up (design 4).
//!
//! `mp1.` or `mi1.` (inspected) + base64url without padding of 51 bytes, so that no bit is left over:
//!
//! ```text
//! version 1 | flags 1 | endpoint 4 | key 16 | expires 5 (seconds) | principal 8 | signature 16
//! ```
//!
//! The signature is HMAC-SHA256 over the mark and the 35 bytes before it, cut to 128 bits. Numbers are big-endian.
//! An id has exactly one spelling: whatever differs by a bit is refused. It is a bearer secret: log its
//! [`fingerprint`], never itself.

use super::Timestamp;
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ClientFlags;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Length of every session id, in characters.
pub const ID_LEN: usize = MARK_LEN + 68;

const MARK_LEN: usize = 4;
const PLAIN: &[u8; MARK_LEN] = b"mp1.";
const INSPECTED: &[u8; MARK_LEN] = b"mi1.";
const CLAIMS_LEN: usize = 35;
const SIGNATURE_LEN: usize = 16;

/// The 128 random bits of a session id: the key of the session map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u128);

/// Which endpoint a session belongs to: the first 32 bits of the SHA-256 of the endpoint's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointHash(pub u32);

impl EndpointHash {
    /// Of an endpoint's id.
    #[must_use]
    pub fn of(endpoint: &str) -> Self {
        let [a, b, c, d, ..] = digest(endpoint.as_bytes());
        Self(u32::from_be_bytes([a, b, c, d]))
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

/// The signing keys, each hashed once beforehand: the current one signs, all of them verify. Never empty.
#[derive(Clone)]
pub struct Keys {
    current: Hmac<Sha256>,
    previous: Arc<[Hmac<Sha256>]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", 1 + self.previous.len())
    }
}

// === impl Keys ===

impl Keys {
    /// Derives one key of each secret (SHA-256 of its bytes). `None` without secrets.
    #[must_use]
    pub fn derive(secrets: &[Vec<u8>]) -> Option<Self> {
        let mut keys = secrets
            .iter()
            .map(|secret| Hmac::<Sha256>::new_from_slice(&digest(secret)).ok())
            .collect::<Option<Vec<_>>>()?
            .into_iter();
        Some(Self {
            current: keys.next()?,
            previous: keys.collect(),
        })
    }

    /// The id for these claims.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        let mark = if claims.flags.any() { INSPECTED } else { PLAIN };
        let packed = pack(claims);
        let mut signed = [0; CLAIMS_LEN + SIGNATURE_LEN];
        let (head, signature) = signed.split_at_mut(CLAIMS_LEN);
        head.copy_from_slice(&packed);
        signature.copy_from_slice(&self.seal(mark, &packed));

        let mut id = String::with_capacity(ID_LEN);
        id.extend(mark.iter().copied().map(char::from));
        URL_SAFE_NO_PAD.encode_string(signed, &mut id);
        id
    }

    /// Signs something else than an id; `mark` tells what, and is no beginning of an id.
    pub(super) fn seal(&self, mark: &[u8], bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        let full = mac(&self.current, mark, bytes).finalize().into_bytes();
        full.first_chunk().copied().unwrap_or_default()
    }

    /// Whether one of these keys has signed it; compared in constant time.
    pub(super) fn has_sealed(&self, mark: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_LEN
            && std::iter::once(&self.current)
                .chain(self.previous.iter())
                .any(|key| mac(key, mark, bytes).verify_truncated_left(signature).is_ok())
    }

    /// What a presented id says.
    ///
    /// # Errors
    /// See [`IdError`]; signatures are compared in constant time.
    pub fn verify(&self, id: &[u8], endpoint: EndpointHash, now: Timestamp) -> Result<Claims, IdError> {
        let (mark, encoded) = split(id).ok_or(IdError::Malformed)?;
        let mut signed = [0; CLAIMS_LEN + SIGNATURE_LEN];
        URL_SAFE_NO_PAD
            .decode_slice(encoded, &mut signed)
            .map_err(|_| IdError::Malformed)?;
        let (packed, signature) = signed.split_first_chunk().ok_or(IdError::Malformed)?;

        if !self.has_sealed(mark, packed, signature) {
            return Err(IdError::Forged);
        }
        let claims = unpack(packed).ok_or(IdError::Malformed)?;
        if claims.endpoint != endpoint {
            return Err(IdError::ForeignEndpoint);
        }
        if claims.expires <= now {
            return Err(IdError::Expired);
        }
        Ok(claims)
    }
}

/// What stands for a session id in logs, metadata and spans: the first 8 bytes of its SHA-256, in hex.
#[must_use]
pub fn fingerprint(id: &[u8]) -> Arc<str> {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    let mut digits = [b'0'; 16];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest(id)) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    std::str::from_utf8(&digits).unwrap_or_default().into()
}

fn split(id: &[u8]) -> Option<(&[u8; MARK_LEN], &[u8; ID_LEN - MARK_LEN])> {
    let (mark, encoded) = id.split_first_chunk()?;
    (mark == PLAIN || mark == INSPECTED).then_some(())?;
    Some((mark, encoded.try_into().ok()?))
}

fn mac(key: &Hmac<Sha256>, mark: &[u8], packed: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(mark);
    mac.update(packed);
    mac
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn pack(claims: &Claims) -> [u8; CLAIMS_LEN] {
    let seconds = (claims.expires.0 / 1000).min((1 << 40) - 1).to_be_bytes();
    let fields: [&[u8]; 5] = [
        &[version_code(claims.version), claims.flags.bits()],
        &claims.endpoint.0.to_be_bytes(),
        &claims.key.0.to_be_bytes(),
        seconds.split_at(3).1,
        &claims.principal.to_be_bytes(),
    ];
    let mut packed = [0; CLAIMS_LEN];
    for (slot, byte) in packed.iter_mut().zip(fields.into_iter().flatten()) {
        *slot = *byte;
    }
    packed
}

/// `None`: signed by a newer release that knows a version which we do not.
fn unpack(packed: &[u8; CLAIMS_LEN]) -> Option<Claims> {
    let ([version, flags], rest) = packed.split_first_chunk()?;
    let (endpoint, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let ([a, b, c, d, e], rest) = rest.split_first_chunk()?;
    let (principal, _) = rest.split_first_chunk()?;
    Some(Claims {
        flags: ClientFlags::from_bits(*flags),
        version: Version::ALL
            .into_iter()
            .find(|known| version_code(*known) == *version)?,
        endpoint: EndpointHash(u32::from_be_bytes(*endpoint)),
        key: SessionKey(u128::from_be_bytes(*key)),
        expires: Timestamp(u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e]) * 1000),
        principal: u64::from_be_bytes(*principal),
    })
}

/// Clients hold ids for weeks: a code keeps its meaning from release to release.
const fn version_code(version: Version) -> u8 {
    match version {
        Version::V2024_11_05 => 1,
        Version::V2025_03_26 => 2,
        Version::V2025_06_18 => 3,
        Version::V2025_11_25 => 4,
        Version::V2026_07_28 => 5,
    }
}

#[cfg(test)]
mod tests;
