//! Nothing but what was signed is taken for a session id, and a signed one says what it was made of.

use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ClientFlags;
use mcp_manifold::engine::session::{Claims, EndpointHash, Keys, SessionKey, Timestamp};

pub(crate) fn check(input: (u128, u64, u32, u8, &[u8])) {
    let (key, principal, endpoint, position, bytes) = input;
    let keys = Keys::derive(&[b"current".to_vec(), b"previous".to_vec()]).expect("there are keys");
    let (endpoint, now) = (EndpointHash(endpoint), Timestamp(1_790_000_000_000));
    assert!(
        keys.verify(bytes, endpoint, now).is_err(),
        "nobody can guess a signature"
    );

    let claims = Claims {
        flags: ClientFlags::default(),
        version: Version::V2025_11_25,
        endpoint,
        key: SessionKey(key),
        expires: Timestamp(now.0 + 1_000),
        principal,
    };
    let id = keys.sign(&claims).into_bytes();
    assert_eq!(keys.verify(&id, endpoint, now), Ok(claims));
    assert!(keys.verify(&id, EndpointHash(endpoint.0 ^ 1), now).is_err());
    assert!(keys.verify(&id, endpoint, claims.expires).is_err());

    let at = usize::from(position) % id.len();
    let end = id.len().min(at + bytes.len());
    let mut altered = id.clone();
    altered.splice(at..end, bytes.iter().copied());
    assert!(
        altered == id || keys.verify(&altered, endpoint, now).is_err(),
        "an altered id"
    );
}
