//! Which upstream a session's latest calls went to, so that a cancellation finds its way.
//!
//! Hashes, not names: a session that made its 64 calls pays 8 bytes for each. Two calls of one session that share a hash
//! cannot do harm to others, and a cancelled call that is not under way is ignored by every upstream.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// So many are remembered.
const LAST: usize = 64;

/// One call: hashes of its raw id and of its upstream's name.
#[derive(Clone, Copy, Debug)]
struct Call {
    id: u32,
    upstream: u32,
}

/// The latest calls of one session. The lock guards a push or a search through 64 numbers.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<VecDeque<Call>>);

impl Calls {
    pub(super) fn remember(&self, upstream: &str, id: &[u8]) {
        let call = Call {
            id: hash(id),
            upstream: hash(upstream.as_bytes()),
        };
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() == LAST {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Tells the upstream of the latest call with this id by its name.
    pub(super) fn owner(&self, id: &[u8]) -> Option<impl Fn(&str) -> bool + use<>> {
        let id = hash(id);
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let upstream = calls.iter().rev().find(|call| call.id == id)?.upstream;
        Some(move |name: &str| hash(name.as_bytes()) == upstream)
    }

    /// How many calls ago each upstream was called last, told by its name; those that were not are as old as all.
    pub(super) fn ages(&self) -> impl Fn(&str) -> usize + use<> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest_first: Vec<u32> = calls.iter().rev().map(|call| call.upstream).collect();
        move |name: &str| {
            let name = hash(name.as_bytes());
            let at = latest_first.iter().position(|upstream| *upstream == name);
            at.unwrap_or(latest_first.len())
        }
    }
}

/// FNV-1a: a few bytes, once for each call.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_call_with_an_id_counts() {
        let calls = Calls::default();
        calls.remember("a", b"1");
        calls.remember("b", b"\"1\"");
        calls.remember("c", b"1");
        let owner = |id: &[u8]| {
            let is_owner = calls.owner(id);
            ["a", "b", "c"]
                .into_iter()
                .find(|name| is_owner.as_ref().is_some_and(|is| is(name)))
        };
        assert_eq!(owner(b"1"), Some("c"));
        assert_eq!(owner(b"\"1\""), Some("b"));
        assert_eq!(owner(b"2"), None);
    }

    #[test]
    fn upstreams_are_ordered_by_their_latest_call() {
        let calls = Calls::default();
        for upstream in ["a", "b", "a"] {
            calls.remember(upstream, b"1");
        }
        let age = calls.ages();
        assert_eq!(["a", "b", "c"].map(&age), [0, 1, 3]);
    }

    #[test]
    fn only_the_last_calls_are_remembered() {
        let calls = Calls::default();
        for id in 0..=LAST {
            calls.remember("a", id.to_string().as_bytes());
        }
        assert!(calls.owner(b"0").is_none());
        assert!(calls.owner(b"1").is_some());
    }
}
