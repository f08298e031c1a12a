//! What is known of an issuer's public keys: whether they are fresh enough to be trusted, and which it has taken back.
//!
//! Envoy keeps the keys that it got last for as long as it runs, and remembers tokens that it has verified: neither ever
//! ends by itself. So the processor looks after the keys too, and what it knows is compared with what a token says.

use std::collections::BTreeMap;

/// What is known of the keys of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// They could not be had for longer than `jwks.keepLastGood`, or never: no token of this issuer counts.
    pub lapsed: bool,
    /// Ids (`kid`) of keys that were its own and are not any more, the latest last.
    pub retired: Vec<Box<str>>,
}

/// By issuer.
pub type Standings = BTreeMap<Box<str>, Standing>;

impl Standing {
    /// Nothing is known, so nothing counts.
    pub const UNKNOWN: Self = Self {
        lapsed: true,
        retired: Vec::new(),
    };

    /// Whether the issuer has taken this key back.
    #[must_use]
    pub fn is_retired(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.retired.iter().any(|retired| **retired == *key))
    }
}
