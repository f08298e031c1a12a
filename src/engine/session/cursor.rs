//! Where a client stands in a list that is given in pages: opaque, signed, self-contained.
//!
//! base64url without padding of 33 bytes, so that a cursor has one spelling:
//!
//! ```text
//! endpoint 4 | list 1 | start 4 | whole 8 | signature 16
//! ```
//!
//! Clients hold it for a moment only. Whether `start` still means anything, `whole` tells: a list of another length is
//! another list.

use super::{EndpointHash, Keys};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// No session id begins with it: a cursor is never taken for one, nor the other way round.
const MARK: &[u8] = b"cur.";
const FACTS_LEN: usize = 17;
const SIGNATURE_LEN: usize = 16;

/// A place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Where the list was given.
    pub endpoint: EndpointHash,
    /// Which list; the meaning is the giver's.
    pub list: u8,
    /// The segment that comes next.
    pub start: u32,
    /// Bytes of the whole list.
    pub whole: u64,
}

impl Cursor {
    /// As a client gets it.
    #[must_use]
    pub fn sign(&self, keys: &Keys) -> String {
        let facts = self.pack();
        let mut signed = [0; FACTS_LEN + SIGNATURE_LEN];
        let (head, signature) = signed.split_at_mut(FACTS_LEN);
        head.copy_from_slice(&facts);
        signature.copy_from_slice(&keys.seal(MARK, &facts));
        URL_SAFE_NO_PAD.encode(signed)
    }

    /// What a presented cursor says; `None` if it is none of ours.
    #[must_use]
    pub fn verify(text: &str, keys: &Keys) -> Option<Self> {
        let mut signed = [0; FACTS_LEN + SIGNATURE_LEN];
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut signed).ok()?;
        let (facts, signature) = signed.split_first_chunk::<FACTS_LEN>()?;
        (len == signed.len() && keys.has_sealed(MARK, facts, signature)).then_some(())?;
        let (endpoint, rest) = facts.split_first_chunk()?;
        let ([list], rest) = rest.split_first_chunk()?;
        let (start, rest) = rest.split_first_chunk()?;
        let (whole, _) = rest.split_first_chunk()?;
        Some(Self {
            endpoint: EndpointHash(u32::from_be_bytes(*endpoint)),
            list: *list,
            start: u32::from_be_bytes(*start),
            whole: u64::from_be_bytes(*whole),
        })
    }

    fn pack(&self) -> [u8; FACTS_LEN] {
        let fields: [&[u8]; 4] = [
            &self.endpoint.0.to_be_bytes(),
            &[self.list],
            &self.start.to_be_bytes(),
            &self.whole.to_be_bytes(),
        ];
        let mut packed = [0; FACTS_LEN];
        for (slot, byte) in packed.iter_mut().zip(fields.into_iter().flatten()) {
            *slot = *byte;
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_keys(secret: &str) -> Keys {
        Keys::derive(&[secret.as_bytes().to_vec()]).expect("there is one secret")
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was_given(endpoint: u32, list: u8, start: u32, whole: u64) {
            let cursor = Cursor { endpoint: EndpointHash(endpoint), list, start, whole };
            let text = cursor.sign(&mk_keys("a"));
            prop_assert_eq!(Cursor::verify(&text, &mk_keys("a")), Some(cursor));
            prop_assert_eq!(Cursor::verify(&text, &mk_keys("b")), None, "signed by somebody else");
        }

        #[test]
        fn an_altered_cursor_is_none(at in 0..44_usize, to in "[A-Za-z0-9_-]") {
            let cursor = Cursor { endpoint: EndpointHash(1), list: 2, start: 3, whole: 4 };
            let text = cursor.sign(&mk_keys("a"));
            let mut altered = text.clone();
            altered.replace_range(at..=at, &to);
            prop_assert_eq!(Cursor::verify(&altered, &mk_keys("a")).is_some(), altered == text);
        }

        #[test]
        fn whatever_a_client_sends_is_read(text in ".{0,60}") {
            prop_assert_eq!(Cursor::verify(&text, &mk_keys("a")), None);
        }
    }
}
