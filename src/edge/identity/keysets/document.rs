//! The document with an issuer's public keys (RFC 7517, 5). Pure.
//!
//! Only what is compared later is read: the ids of keys that could verify anything. What verifies is Envoy's business.

use serde::Deserialize;

/// An issuer has a handful.
const MOST_KEYS: usize = 256;
/// Bytes of an id.
const LONGEST_ID: usize = 256;

/// Why a document is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// Garbage.
    #[error("is no JSON object with keys")]
    NotKeys,
    /// Envoy would keep what it has, too.
    #[error("holds no key that could verify a token")]
    Empty,
    /// Somebody means harm, or it is another document.
    #[error("holds too many keys, or ids that are too long")]
    TooMuch,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Key>,
}

/// Members that say nothing here may be of any kind.
#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    kty: serde_json::Value,
    #[serde(default)]
    kid: serde_json::Value,
}

/// The ids of all keys, sorted; an empty one for each that has none.
///
/// # Errors
/// See [`Unusable`].
pub(super) fn keys(body: &[u8]) -> Result<Vec<Box<str>>, Unusable> {
    let document: Document = serde_json::from_slice(body).map_err(|_| Unusable::NotKeys)?;
    let of_use = |key: &Key| matches!(key.kty.as_str(), Some("RSA" | "EC" | "OKP" | "oct"));
    let id = |key: &Key| Box::from(key.kid.as_str().unwrap_or_default());
    let mut ids: Vec<Box<str>> = document.keys.iter().filter(|key| of_use(key)).map(id).collect();
    if ids.is_empty() {
        return Err(Unusable::Empty);
    }
    if ids.len() > MOST_KEYS || ids.iter().any(|id| id.len() > LONGEST_ID) {
        return Err(Unusable::TooMuch);
    }
    ids.sort_unstable();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_of_keys_that_can_verify_are_read() {
        let body = br#"{"keys":[{"kty":"RSA","kid":"b","n":"x"},{"kty":"EC","kid":"a"},{"kty":"EC"},{"kty":"odd","kid":"c"}]}"#;
        assert_eq!(keys(body), Ok(vec!["".into(), "a".into(), "b".into()]));
    }

    #[test]
    fn what_holds_no_keys_is_told_apart() {
        for (body, expected) in [
            ("<html>", Unusable::NotKeys),
            ("[]", Unusable::NotKeys),
            ("{}", Unusable::NotKeys),
            (r#"{"keys":{}}"#, Unusable::NotKeys),
            (r#"{"keys":[]}"#, Unusable::Empty),
            (r#"{"keys":[{"kid":"a"},{"kty":7}]}"#, Unusable::Empty),
        ] {
            assert_eq!(keys(body.as_bytes()), Err(expected), "{body}");
        }
        let many = vec![r#"{"kty":"EC"}"#; MOST_KEYS + 1].join(",");
        assert_eq!(
            keys(format!(r#"{{"keys":[{many}]}}"#).as_bytes()),
            Err(Unusable::TooMuch)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = keys(&body);
        }
    }
}
