//! How the Secrets of a Gateway are named and labelled.

use crate::edge::kube::objects::names::{self, Purpose};
use crate::edge::kube::plan::Place;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest name of a Secret.
const LONGEST: usize = 253;

/// The Secret with the certificate of a Gateway's processors: `mcp-manifold-<namespace>-<name>`.
pub(super) fn certificate(gateway: &Place) -> String {
    fit(format!("mcp-manifold-{}-{}", gateway.namespace, gateway.name))
}

/// The Secret with the keys of a Gateway's processors: `mcp-manifold-keys-<namespace>-<name>`.
pub(super) fn keys(gateway: &Place) -> String {
    fit(format!("mcp-manifold-keys-{}-{}", gateway.namespace, gateway.name))
}

/// The labels of both.
pub(super) fn labels(gateway: &Place) -> BTreeMap<String, String> {
    let labels = [
        (names::MANAGED_BY, names::MANAGER.to_owned()),
        (names::GATEWAY, names::gateway_label(gateway)),
        (names::PURPOSE, Purpose::Processor.as_str().to_owned()),
    ];
    labels.map(|(key, value)| (key.to_owned(), value)).into()
}

/// The value of the label that tells for which Gateway something is there.
pub(super) fn label(gateway: &Place) -> Arc<str> {
    names::gateway_label(gateway).into()
}

fn fit(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept: String = name.chars().take(LONGEST - hash.len() - 1).collect();
    format!("{}-{hash}", kept.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_cut_and_told_apart() {
        let gateway = |end: &str| Place {
            namespace: "n".into(),
            name: format!("{}{end}", "g".repeat(250)).into(),
        };
        let (one, two) = (certificate(&gateway("1")), certificate(&gateway("2")));
        assert_ne!(one, two);
        assert_eq!(one.len(), LONGEST);
        let short = Place {
            namespace: "infra".into(),
            name: "main".into(),
        };
        assert_eq!(keys(&short), "mcp-manifold-keys-infra-main");
    }
}
