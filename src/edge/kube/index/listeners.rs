//! Which listeners of a Gateway take a route, as Gateway API decides it: name and port, allowed kinds and namespaces,
//! overlapping hostnames.

use super::problem::{Problem, Why};
use super::services::{self, Labels};
use crate::edge::kube::plan::{Door, Parent, Place};
use gateway_api::gateways::{Gateway, GatewayListeners, GatewayListenersAllowedRoutesNamespacesFrom as From};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// A route that asks to be taken.
pub(crate) struct Guest<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// That namespace's labels.
    pub labels: Option<&'a Labels>,
    /// Its hostnames; empty: any.
    pub hosts: &'a [String],
}

/// The listeners that take the route by this parent reference, in the Gateway's order; at least one.
///
/// # Errors
/// `ListenerNotAllowed`: none of them does; the message says which condition failed.
pub(crate) fn taking<'g>(
    gateway: &'g Gateway,
    parent: &Parent,
    guest: &Guest<'_>,
) -> Result<Vec<&'g GatewayListeners>, Problem> {
    let at = shown(&parent.gateway);
    let named: Vec<_> = gateway
        .spec
        .listeners
        .iter()
        .filter(|one| is_meant(one, parent))
        .collect();
    if named.is_empty() {
        let which = match (&parent.section, parent.port) {
            (Some(section), _) => format!("no listener named {section:?}"),
            (None, Some(port)) => format!("no listener on port {port}"),
            (None, None) => "no listener".to_owned(),
        };
        return Err(Problem::new(
            Why::ListenerNotAllowed,
            format!("Gateway {at} has {which}"),
        ));
    }
    let open: Vec<_> = named.into_iter().filter(|one| admits(one, gateway, guest)).collect();
    if open.is_empty() {
        return Err(Problem::new(
            Why::ListenerNotAllowed,
            format!(
                "no listener of Gateway {at} accepts HTTPRoutes from namespace {}: see allowedRoutes of the listener",
                guest.namespace
            ),
        ));
    }
    let fitting: Vec<_> = open.into_iter().filter(|one| shares_a_host(one, guest.hosts)).collect();
    if fitting.is_empty() {
        return Err(Problem::new(
            Why::ListenerNotAllowed,
            format!(
                "no listener of Gateway {at} has a hostname that covers {}",
                guest.hosts.join(", ")
            ),
        ));
    }
    Ok(fitting)
}

/// How a route of `host` is reached by a listener; `None`: the route is for all hosts.
#[must_use]
pub(crate) fn door(listener: &GatewayListeners, host: Option<&str>) -> Door {
    let known = |host: &&str| !host.is_empty();
    let host = host.filter(known).or(listener.hostname.as_deref().filter(known));
    let host = host.unwrap_or("mcp-manifold-probe.invalid").to_ascii_lowercase();
    // Where the listener is narrower, so is what reaches it.
    let host = match (host.strip_prefix('*'), listener.hostname.as_deref().filter(known)) {
        (Some(_), Some(narrow)) if !narrow.starts_with('*') => narrow.to_ascii_lowercase(),
        (Some(_), Some(narrow)) if narrow.len() > host.len() => {
            format!("mcp-manifold-probe{}", narrow.trim_start_matches('*'))
        }
        (Some(below), _) => format!("mcp-manifold-probe{below}"),
        (None, _) => host,
    };
    Door {
        port: listener.port,
        tls: listener.protocol == "HTTPS",
        host: host.into(),
    }
}

fn shown(place: &Place) -> String {
    format!("{}/{}", place.namespace, place.name)
}

fn is_meant(listener: &GatewayListeners, parent: &Parent) -> bool {
    let section = parent.section.as_deref().is_none_or(|section| section == listener.name);
    section && parent.port.is_none_or(|port| port == listener.port)
}

fn admits(listener: &GatewayListeners, gateway: &Gateway, guest: &Guest<'_>) -> bool {
    let allowed = listener.allowed_routes.as_ref();
    let kinds = allowed.and_then(|allowed| allowed.kinds.as_deref()).unwrap_or_default();
    let is_http = ["HTTP", "HTTPS"].contains(&listener.protocol.as_str());
    if !is_http || !(kinds.is_empty() || kinds.iter().any(|kind| kind.kind == "HTTPRoute")) {
        return false;
    }
    let namespaces = allowed.and_then(|allowed| allowed.namespaces.as_ref());
    match namespaces
        .and_then(|namespaces| namespaces.from.as_ref())
        .unwrap_or(&From::Same)
    {
        From::All => true,
        From::Same => gateway.metadata.namespace.as_deref() == Some(guest.namespace),
        From::Selector => {
            let selector = namespaces.and_then(|namespaces| namespaces.selector.as_ref());
            selector.is_some_and(|selector| services::selects(&ours(selector), guest.labels))
        }
    }
}

/// The generated bindings have a selector type of their own for every place.
fn ours(selector: &gateway_api::gateways::GatewayListenersAllowedRoutesNamespacesSelector) -> LabelSelector {
    let requirement = |one: &gateway_api::gateways::GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions| {
        LabelSelectorRequirement {
            key: one.key.clone(),
            operator: one.operator.clone(),
            values: one.values.clone(),
        }
    };
    let expressions = selector.match_expressions.as_deref();
    LabelSelector {
        match_labels: selector.match_labels.clone(),
        match_expressions: expressions.map(|all| all.iter().map(requirement).collect()),
    }
}

fn shares_a_host(listener: &GatewayListeners, hosts: &[String]) -> bool {
    hosts.is_empty() || hosts.iter().any(|host| covers(listener, host))
}

/// Whether requests for this host of a route come by the listener.
#[must_use]
pub(crate) fn covers(listener: &GatewayListeners, host: &str) -> bool {
    let named = listener.hostname.as_deref().filter(|name| !name.is_empty());
    named.is_none_or(|name| overlap(name, host))
}

/// Whether a name exists that both stand for. A wildcard stands for one or more labels.
#[must_use]
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (None, None) => one == other,
        (Some(suffix), None) => is_below(&other, suffix),
        (None, Some(suffix)) => is_below(&one, suffix),
        (Some(suffix), Some(other)) => suffix.ends_with(other) || other.ends_with(suffix),
    }
}

/// `suffix` begins with the dot.
fn is_below(host: &str, suffix: &str) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

#[cfg(test)]
mod tests;
