//! ReferenceGrants: who may refer into another namespace.

use super::store::Reader;
use crate::edge::kube::plan::Place;
use std::sync::Arc;

/// The group of Gateway API.
pub(crate) const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// The group of Kuadrant's resources.
pub(crate) const KUADRANT: &str = "mcp.kuadrant.io";

/// A kind of object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sort {
    /// Its API group.
    pub group: &'static str,
    /// Its kind.
    pub kind: &'static str,
}

impl Sort {
    /// Kuadrant's extension.
    pub(crate) const EXTENSION: Self = Self::new(KUADRANT, "MCPGatewayExtension");
    /// Kuadrant's registration.
    pub(crate) const REGISTRATION: Self = Self::new(KUADRANT, "MCPServerRegistration");
    /// Gateway API's.
    pub(crate) const GATEWAY: Self = Self::new(GATEWAY_API, "Gateway");
    /// Gateway API's.
    pub(crate) const ROUTE: Self = Self::new(GATEWAY_API, "HTTPRoute");
    /// agentgateway's.
    pub(crate) const AGENTGATEWAY: Self = Self::new("agentgateway.dev", "AgentgatewayBackend");
    /// kgateway's older one.
    pub(crate) const KGATEWAY: Self = Self::new("gateway.kgateway.dev", "Backend");
    /// The core API's.
    pub(crate) const SERVICE: Self = Self::new("", "Service");

    const fn new(group: &'static str, kind: &'static str) -> Self {
        Self { group, kind }
    }
}

/// Whether objects of the sort `from` in `namespace` may refer to this one: they may in their own namespace, and where a
/// grant beside the target says so.
pub(crate) fn allowed(reader: &mut Reader<'_>, from: Sort, namespace: &Arc<str>, to: Sort, target: &Place) -> bool {
    if *namespace == target.namespace {
        return true;
    }
    reader.grants(&target.namespace).into_iter().any(|grant| {
        let mut origins = grant.spec.from.iter();
        let mut targets = grant.spec.to.iter();
        let origin =
            origins.any(|one| one.group == from.group && one.kind == from.kind && *one.namespace == **namespace);
        origin
            && targets.any(|one| {
                let name = one.name.as_deref().filter(|name| !name.is_empty());
                one.group == to.group && one.kind == to.kind && name.is_none_or(|name| *name == *target.name)
            })
    })
}

/// The sentence that says which grant is missing.
#[must_use]
pub(crate) fn missing(from: Sort, namespace: &str, to: Sort, target: &Place) -> String {
    format!(
        "a ReferenceGrant in namespace {} must allow {} of namespace {namespace} to refer to {} {}",
        target.namespace, from.kind, to.kind, target.name
    )
}
