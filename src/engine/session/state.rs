//! `requestState` (SEP-2322) of a call that waits for its client: signed, self-contained, bound to what it is for.
//!
//! `mrs1.` + base64url without padding of 68 bytes; the bits that are left over are checked, so that it has one spelling:
//!
//! ```text
//! endpoint 4 | key 16 | principal 8 | request 16 | expires 8 (milliseconds) | signature 16
//! ```
//!
//! Nothing in it is secret: `key` is a random number that means something only to the process that parked the call. So it
//! is signed, not sealed. Whoever changes a bit, uses it for another request, at another endpoint, as somebody else, or too
//! late is refused.

use super::{EndpointHash, Keys, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What stands before it. No session id and no cursor begins with it.
const MARK: &str = "mrs1.";
const FACTS_LEN: usize = 52;
const SIGNATURE_LEN: usize = 16;

/// What a state says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestState {
    /// Where it was given.
    pub endpoint: EndpointHash,
    /// The parked call.
    pub key: u128,
    /// To whom; 0: anonymous.
    pub principal: u64,
    /// For which request: a digest of method, name and arguments.
    pub request: [u8; 16],
    /// Until when.
    pub expires: Timestamp,
}

/// Why a state is refused. To a client all of them are one; the log tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not the shape of a state, or signed by none of our keys.
    #[error("request state that this gateway did not give")]
    Forged,
    /// Given to somebody else, or elsewhere.
    #[error("request state of somebody else")]
    Foreign,
    /// Given for another request.
    #[error("request state of another request")]
    OtherRequest,
    /// Too late.
    #[error("request state expired")]
    Expired,
    /// Used before, given up, or of another replica.
    #[error("request state of a call that is not here")]
    Gone,
}

impl StateError {
    /// One word, for logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Forged => "state_forged",
            Self::Foreign => "state_foreign",
            Self::OtherRequest => "state_of_other_request",
            Self::Expired => "state_expired",
            Self::Gone => "state_gone",
        }
    }
}

impl RequestState {
    /// As a client gets it.
    #[must_use]
    pub fn sign(&self, keys: &Keys) -> String {
        let facts = self.pack();
        let mut signed = [0; FACTS_LEN + SIGNATURE_LEN];
        let (head, signature) = signed.split_at_mut(FACTS_LEN);
        head.copy_from_slice(&facts);
        signature.copy_from_slice(&keys.seal(MARK.as_bytes(), &facts));
        let mut text = String::from(MARK);
        URL_SAFE_NO_PAD.encode_string(signed, &mut text);
        text
    }

    /// The key in a presented state, if it is one for this request. `expected.key` does not count, and `expected.expires`
    /// is the time of now.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn verify(text: &str, expected: &Self, keys: &Keys) -> Result<u128, StateError> {
        let state = Self::read(text, keys).ok_or(StateError::Forged)?;
        if (state.endpoint, state.principal) != (expected.endpoint, expected.principal) {
            return Err(StateError::Foreign);
        }
        if state.request != expected.request {
            return Err(StateError::OtherRequest);
        }
        if state.expires <= expected.expires {
            return Err(StateError::Expired);
        }
        Ok(state.key)
    }

    fn read(text: &str, keys: &Keys) -> Option<Self> {
        let encoded = text.strip_prefix(MARK)?;
        let mut signed = [0; FACTS_LEN + SIGNATURE_LEN];
        let len = URL_SAFE_NO_PAD.decode_slice(encoded, &mut signed).ok()?;
        let (facts, signature) = signed.split_first_chunk::<FACTS_LEN>()?;
        (len == signed.len() && keys.has_sealed(MARK.as_bytes(), facts, signature)).then_some(())?;
        let (endpoint, rest) = facts.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (principal, rest) = rest.split_first_chunk()?;
        let (request, rest) = rest.split_first_chunk()?;
        let (expires, _) = rest.split_first_chunk()?;
        Some(Self {
            endpoint: EndpointHash(u32::from_be_bytes(*endpoint)),
            key: u128::from_be_bytes(*key),
            principal: u64::from_be_bytes(*principal),
            request: *request,
            expires: Timestamp(u64::from_be_bytes(*expires)),
        })
    }

    fn pack(&self) -> [u8; FACTS_LEN] {
        let fields: [&[u8]; 5] = [
            &self.endpoint.0.to_be_bytes(),
            &self.key.to_be_bytes(),
            &self.principal.to_be_bytes(),
            &self.request,
            &self.expires.0.to_be_bytes(),
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

    fn mk_state() -> RequestState {
        RequestState {
            endpoint: EndpointHash(1),
            key: 2,
            principal: 3,
            request: [4; 16],
            expires: Timestamp(5_000),
        }
    }

    /// `expected` for the same request at `now`.
    fn at(now: u64) -> RequestState {
        RequestState {
            key: 0,
            expires: Timestamp(now),
            ..mk_state()
        }
    }

    #[test]
    fn a_state_is_good_for_its_request_alone() {
        let keys = mk_keys("a");
        let text = mk_state().sign(&keys);
        let verify = |expected: &RequestState| RequestState::verify(&text, expected, &keys);
        assert_eq!(verify(&at(4_999)), Ok(2));
        assert_eq!(verify(&at(5_000)), Err(StateError::Expired));
        let other = RequestState { principal: 4, ..at(0) };
        assert_eq!(verify(&other), Err(StateError::Foreign));
        let other = RequestState {
            endpoint: EndpointHash(2),
            ..at(0)
        };
        assert_eq!(verify(&other), Err(StateError::Foreign));
        let other = RequestState {
            request: [5; 16],
            ..at(0)
        };
        assert_eq!(verify(&other), Err(StateError::OtherRequest));
        assert_eq!(
            RequestState::verify(&text, &at(0), &mk_keys("b")),
            Err(StateError::Forged)
        );
    }

    #[test]
    fn a_state_outlives_the_change_of_keys() {
        let text = mk_state().sign(&mk_keys("old"));
        let keys = Keys::derive(&[b"new".to_vec(), b"old".to_vec()]).expect("secrets");
        assert_eq!(RequestState::verify(&text, &at(0), &keys), Ok(2));
    }

    proptest! {
        #[test]
        fn a_state_comes_back_as_it_was_given(endpoint: u32, key: u128, principal: u64, request: [u8; 16], expires in 1_u64..) {
            let state = RequestState {
                endpoint: EndpointHash(endpoint), key, principal, request, expires: Timestamp(expires),
            };
            let expected = RequestState { key: 0, expires: Timestamp(expires - 1), ..state };
            prop_assert_eq!(RequestState::verify(&state.sign(&mk_keys("a")), &expected, &mk_keys("a")), Ok(key));
        }

        #[test]
        fn an_altered_state_is_none(at_char in 0..96_usize, to in "[A-Za-z0-9_.-]") {
            let keys = mk_keys("a");
            let text = mk_state().sign(&keys);
            prop_assert_eq!(text.len(), 96);
            let mut altered = text.clone();
            altered.replace_range(at_char..=at_char, &to);
            prop_assert_eq!(RequestState::verify(&altered, &at(0), &keys).is_ok(), altered == text);
        }

        #[test]
        fn whatever_a_client_sends_is_read(text in ".{0,120}", end in ".{1,5}") {
            let keys = mk_keys("a");
            prop_assert_eq!(RequestState::verify(&text, &at(0), &keys), Err(StateError::Forged));
            let longer = mk_state().sign(&keys) + &end;
            prop_assert_eq!(RequestState::verify(&longer, &at(0), &keys), Err(StateError::Forged));
        }
    }
}
