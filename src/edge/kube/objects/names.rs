//! How generated objects are named and labelled: the one place that decides it.
//!
//! Names begin with what the object is for (`mcp-public.…`), so that no two purposes meet in one name. Between the parts
//! stand dots: namespaces have none, so two Gateways never share a name. What does not fit is cut and hashed.

use crate::edge::kube::plan::{Endpoint, Place};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Field manager of everything that is applied, and value of the label [`MANAGED_BY`].
pub const MANAGER: &str = "mcp-manifold";
/// Label of everything that is generated.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: the Gateway it is generated for, as [`gateway_label`] writes it.
pub const GATEWAY: &str = "mcp-manifold/gateway";
/// Label: a [`Purpose`].
pub const PURPOSE: &str = "mcp-manifold/purpose";
/// Annotation: `<kind>/<namespace>/<name>` of what it is generated for.
pub const OWNER: &str = "mcp-manifold/owner";
/// `x-mcp-upstream` of the route that keeps the upstreams' policy in force while there is no upstream: the gateway's own
/// name, which no upstream may have.
pub const RESERVED_UPSTREAM: &str = "mcp-manifold";

/// Longest name of an object, in characters.
const MAX_NAME: usize = 253;
/// Longest value of a label, in characters.
const MAX_LABEL: usize = 63;
/// Characters of a hash that stands for what was cut, with its dash.
const HASH: usize = 9;

/// What a generated object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Where clients come in.
    Public,
    /// The same for sessions whose clients take requests: response bodies pass the processor too.
    Inspected,
    /// The way to one upstream.
    Upstream,
    /// What refuses clients on a user's own route to a registered server.
    Guard,
    /// The processor's own backends, Services and Deployments.
    Processor,
}

impl Purpose {
    /// The value of the label [`PURPOSE`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Inspected => "inspected",
            Self::Upstream => "upstream",
            Self::Guard => "guard",
            Self::Processor => "processor",
        }
    }
}

/// The public route of an endpoint: an HTTPRoute beside its owner.
#[must_use]
pub fn public_route(endpoint: &Endpoint) -> Place {
    beside_owner(endpoint, Purpose::Public)
}

/// The route of an endpoint's inspected sessions: an HTTPRoute beside its owner.
#[must_use]
pub fn inspected_route(endpoint: &Endpoint) -> Place {
    beside_owner(endpoint, Purpose::Inspected)
}

/// The route of an endpoint for an upstream that never is: it holds the upstreams' policy on the listener from the
/// beginning, and can be probed.
#[must_use]
pub fn reserved_route(endpoint: &Endpoint) -> Place {
    let own = format!("mcp-reserved.{}", local_id(endpoint));
    place(&endpoint.owner.place.namespace, &own)
}

/// The route to an upstream, by the upstream's name.
#[must_use]
pub fn upstream_route(namespace: &Arc<str>, upstream: &str) -> Place {
    place(namespace, &format!("mcp-upstream.{upstream}"))
}

/// What guards a user's route on one Gateway.
#[must_use]
pub fn guard_route(gateway: &Place, route: &Place) -> Place {
    let own = format!("mcp-guard.{}.{}", route.name, short_hash(&gateway_name(gateway)));
    place(&route.namespace, &own)
}

/// An object that stands once per Gateway and namespace.
#[must_use]
pub fn of_gateway(prefix: &str, gateway: &Place, namespace: &Arc<str>) -> Place {
    place(namespace, &format!("{prefix}.{}", gateway_name(gateway)))
}

/// Service and Deployment of the processors of a Gateway that has them on their own, see [`processors`].
#[must_use]
pub fn deployment(gateway: &Place, namespace: &Arc<str>) -> Place {
    Place {
        namespace: namespace.clone(),
        name: processors(gateway).into(),
    }
}

/// What the chart and the controller both call the processors of a Gateway, and the Secret with their certificate:
/// `mcp-manifold-<namespace>-<name>`, cut so that it is a Service's name, and a hash that tells Gateways apart.
#[must_use]
pub fn processors(gateway: &Place) -> String {
    let full = format!("{MANAGER}-{}-{}", gateway.namespace, gateway.name);
    // A Service's name has no dots.
    let kept: String = full.replace('.', "-").chars().take(MAX_LABEL - HASH).collect();
    let hash = short_hash(&format!("{}/{}", gateway.namespace, gateway.name));
    format!("{}-{hash}", kept.strip_suffix('-').unwrap_or(&kept))
}

/// The value of the label [`GATEWAY`].
#[must_use]
pub fn gateway_label(gateway: &Place) -> String {
    fit(&gateway_name(gateway), MAX_LABEL)
}

fn gateway_name(gateway: &Place) -> String {
    format!("{}.{}", gateway.namespace, gateway.name)
}

fn beside_owner(endpoint: &Endpoint, purpose: Purpose) -> Place {
    let own = format!("mcp-{}.{}", purpose.as_str(), local_id(endpoint));
    place(&endpoint.owner.place.namespace, &own)
}

/// The endpoint's id without its namespace, which the route shares.
fn local_id(endpoint: &Endpoint) -> &str {
    let namespace = &*endpoint.owner.place.namespace;
    let rest = endpoint.id.strip_prefix(namespace);
    rest.and_then(|rest| rest.strip_prefix('.')).unwrap_or(&endpoint.id)
}

fn place(namespace: &Arc<str>, name: &str) -> Place {
    Place {
        namespace: namespace.clone(),
        name: fit(name, MAX_NAME).into(),
    }
}

/// `text` where it has at most `longest` characters; else what fits of it, and a hash of the whole.
fn fit(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let kept: String = text.chars().take(longest - HASH).collect();
    format!("{}-{}", kept.trim_end_matches(['.', '-']), short_hash(text))
}

/// Eight hexadecimal characters.
fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_place(namespace: &str, name: &str) -> Place {
        place(&namespace.into(), name)
    }

    #[test]
    fn two_gateways_never_share_a_name() {
        let [one, other] = [mk_place("a-b", "c"), mk_place("a", "b-c")];
        let namespace: Arc<str> = "system".into();
        assert_ne!(
            of_gateway("mcp-public", &one, &namespace),
            of_gateway("mcp-public", &other, &namespace)
        );
        assert_ne!(gateway_label(&one), gateway_label(&other));
        assert_ne!(processors(&one), processors(&other));
        assert!(processors(&mk_place("team", &"gateway.".repeat(30))).len() <= MAX_LABEL);
    }

    #[test]
    fn a_gateway_with_a_long_name_has_a_label_that_tells_it_apart() {
        let [one, other] = ["a", "b"].map(|end| mk_place("team", &format!("{}{end}", "gateway-".repeat(20))));
        assert_eq!(gateway_label(&one).len(), MAX_LABEL);
        assert_ne!(gateway_label(&one), gateway_label(&other));
    }

    proptest! {
        #[test]
        fn what_is_cut_is_a_valid_label_still(text in "[a-z0-9]([a-z0-9.-]{0,300}[a-z0-9])?") {
            let label = fit(&text, MAX_LABEL);
            prop_assert!(label.len() <= MAX_LABEL);
            prop_assert!(label.starts_with(|first: char| first.is_ascii_alphanumeric()));
            prop_assert!(label.ends_with(|last: char| last.is_ascii_alphanumeric()));
        }
    }
}
