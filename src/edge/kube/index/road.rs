//! What probes have found of the generated route to an upstream, and what that means for its readiness.

use super::conditions::{Truth, Verdict};
use crate::edge::kube::plan;

/// The condition about a route that could not be asked for.
pub(crate) const UNVERIFIED: &str = "RouteUnverified";
/// The reason where nothing is known of a route yet.
pub(crate) const PENDING: &str = "RoutePending";

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Road {
    /// It stands, and the processor refuses whoever enters there.
    Guarded,
    /// It leads past the processor: something else answered, with this HTTP status.
    Open(u16),
    /// Envoy answers with this HTTP status of its own.
    Broken(u16),
    /// It could not be found out, for this reason. Calls are made all the same.
    Unverified(String),
}

/// Why an upstream that a processor has listed is not ready all the same, for its route's sake.
pub(crate) fn obstacle(upstream: &plan::Upstream, road: Option<&Road>) -> Option<(&'static str, String)> {
    let name = &upstream.assigned.name;
    // What is always called by the processor itself has no route.
    upstream.rule.as_ref()?;
    match road {
        None => Some((PENDING, format!("the route of {name} is not in Envoy yet"))),
        Some(Road::Guarded | Road::Unverified(_)) => None,
        Some(Road::Open(status)) => Some((
            "RouteOpen",
            format!(
                "the generated route of {name} leads past the processor (status {status}): no EnvoyExtensionPolicy of \
                 mcp-manifold is in force on it; look for other EnvoyExtensionPolicies that target it, and for the \
                 ReferenceGrant of mcp-manifold in its namespace"
            ),
        )),
        Some(Road::Broken(status)) => Some((
            "RouteBroken",
            format!("Envoy answers {status} on the generated route of {name}: see the status of its HTTPRoute"),
        )),
    }
}

/// The condition that says so where a route could not be asked for.
pub(crate) fn unverified(road: Option<&Road>) -> Option<Verdict> {
    let Some(Road::Unverified(reason)) = road else {
        return None;
    };
    let message = format!("the generated route could not be tried, calls are made all the same: {reason}");
    Some(Verdict::new(UNVERIFIED, Truth::True, "ProbeFailed", message))
}
