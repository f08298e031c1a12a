//! Names: of upstreams, unique in the cluster and short enough for every place they are used in; of Services in DNS.

use crate::edge::kube::plan::Place;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// As long as a name in the configuration file may be.
const MAX: usize = 253;
const HASH: usize = 8;

/// The parts with dots between; one that is too long is cut and ends in a hash of the whole.
#[must_use]
pub(crate) fn upstream(parts: &[&str]) -> String {
    let whole = parts.join(".");
    if whole.len() <= MAX {
        return whole;
    }
    let end = whole.floor_char_boundary(MAX - HASH - 1);
    let mut name = whole.get(..end).unwrap_or_default().to_owned();
    name.push('-');
    name.push_str(&hash(&[&whole]));
    name
}

/// Eight characters that tell these parts from others.
#[must_use]
pub(crate) fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        // No name has a zero byte.
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let mut text = String::with_capacity(HASH);
    for byte in digest.finalize().iter().take(HASH / 2) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// How cluster DNS knows a Service.
#[must_use]
pub(crate) fn service(service: &Place, cluster_domain: &str) -> String {
    format!("{}.{}.svc.{cluster_domain}", service.name, service.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_and_stay_short() {
        assert_eq!(upstream(&["team", "weather"]), "team.weather");
        let long = "x".repeat(253);
        let one = upstream(&["team", &long]);
        let other = upstream(&["other", &long]);
        assert_eq!(one.len(), MAX);
        assert_ne!(
            one.rsplit('-').next(),
            other.rsplit('-').next(),
            "the hash tells them apart"
        );
    }
}
