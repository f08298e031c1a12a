//! The Gateways that an HTTPRoute asks for.

use super::grants::GATEWAY_API;
use super::object::place;
use crate::edge::kube::plan::Parent;
use gateway_api::httproutes::HttpRoute;

/// Its parent references that are Gateways, in its order.
#[must_use]
pub(crate) fn of(route: &HttpRoute) -> Vec<Parent> {
    let own = route.metadata.namespace.as_deref().unwrap_or_default();
    let references = route.spec.parent_refs.iter().flatten();
    let gateways = references.filter(|one| {
        one.group.as_deref().is_none_or(|group| group == GATEWAY_API)
            && one.kind.as_deref().is_none_or(|kind| kind == "Gateway")
    });
    let parent = |one: &gateway_api::httproutes::HttpRouteParentRefs| Parent {
        gateway: place(one.namespace.as_deref().unwrap_or(own), &one.name),
        section: one.section_name.as_deref().map(Into::into),
        port: one.port,
    };
    gateways.map(parent).collect()
}
