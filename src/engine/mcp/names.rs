//! Exposed names: prefix and upstream name joined within what clients accept (design: Names).

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;

/// The longest exposed name that all known clients accept.
pub const MAX_NAME: usize = 64;
/// `_` and 8 hex digits.
const HASH: usize = 9;

/// The exposed name of a tool: prefix + name, made safe (`[A-Za-z0-9_-]`), and cut to [`MAX_NAME`] with a hash of
/// (upstream, name) where that changed anything, so that two names never become one.
#[must_use]
pub fn join_tool(prefix: &str, upstream: &str, name: &str) -> String {
    let plain = format!("{prefix}{name}");
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !plain.is_empty() && plain.len() <= MAX_NAME && plain.chars().all(is_safe) {
        return plain;
    }
    let safe = plain.chars().map(|letter| if is_safe(letter) { letter } else { '_' });
    let mut exposed: String = safe.take(MAX_NAME - HASH).collect();
    let digest = Sha256::new()
        .chain_update(upstream)
        .chain_update([0])
        .chain_update(name)
        .finalize();
    exposed.push('_');
    for byte in digest.iter().take(4) {
        let _ = write!(exposed, "{byte:02x}");
    }
    exposed
}

/// The exposed name of a prompt: prefixed only.
#[must_use]
pub fn join_prompt<'a>(prefix: &str, name: &'a str) -> Cow<'a, str> {
    if prefix.is_empty() {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{prefix}{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_safe_short_name_is_only_prefixed() {
        assert_eq!(join_tool("github_", "github", "search"), "github_search");
    }

    #[test]
    fn names_that_look_alike_once_made_safe_stay_apart() {
        let (dot, slash) = (join_tool("a_", "a", "x.y"), join_tool("a_", "a", "x/y"));
        assert_eq!(dot, "a_x_y_7ace4eaa", "clients and policies remember it");
        assert_ne!(dot, slash);
    }

    #[test]
    fn a_long_name_is_cut_to_the_budget() {
        assert_eq!(join_tool("p_", "p", &"x".repeat(200)).len(), MAX_NAME);
    }

    proptest! {
        #[test]
        fn every_exposed_name_is_one_that_clients_accept(prefix in "[a-z_-]{0,70}", name in ".{0,100}") {
            let exposed = join_tool(&prefix, "u", &name);
            prop_assert!((1..=MAX_NAME).contains(&exposed.len()));
            prop_assert!(exposed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
        }
    }
}
