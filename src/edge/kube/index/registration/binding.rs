//! Which endpoints a registered route belongs to: those of extensions on the port of a listener that takes the route.

use crate::edge::kube::index::listeners::{self, Guest};
use crate::edge::kube::index::object::{Age, place, place_of};
use crate::edge::kube::index::problem::{Problem, Why};
use crate::edge::kube::index::store::Reader;
use crate::edge::kube::index::{extension, parents};
use crate::edge::kube::plan::{Parent, Place};
use gateway_api::httproutes::HttpRoute;
use std::sync::Arc;

/// The endpoint of a registration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Binding {
    /// The Gateway.
    pub gateway: Place,
    /// The extension.
    pub extension: Place,
    /// When the extension was made.
    pub age: Age,
    /// The extension's authorities, PEM.
    pub ca: Option<Arc<str>>,
}

/// The route's endpoint. A route on several Gateways belongs to the one with the oldest extension: an upstream has one
/// endpoint.
///
/// # Errors
/// `NoExtension`, `ListenerNotAllowed`: why there is none.
pub(crate) fn of(reader: &mut Reader<'_>, route: &HttpRoute) -> Result<Binding, Problem> {
    let mut best: Option<Binding> = None;
    let mut problem = None;
    for parent in parents::of(route) {
        match binding(reader, route, &parent) {
            Ok(binding) => {
                if best.as_ref().is_none_or(|best| binding.age < best.age) {
                    best = Some(binding);
                }
            }
            Err(other) => problem = problem.or(Some(other)),
        }
    }
    best.ok_or_else(|| {
        let at = place_of(&route.metadata);
        let none = || {
            Problem::new(
                Why::NoExtension,
                format!("HTTPRoute {at} names no Gateway in parentRefs"),
            )
        };
        problem.unwrap_or_else(none)
    })
}

fn binding(reader: &mut Reader<'_>, route: &HttpRoute, parent: &Parent) -> Result<Binding, Problem> {
    let at = &parent.gateway;
    let none = |message| Problem::new(Why::NoExtension, message);
    let Some(gateway) = reader.gateway(at) else {
        return Err(none(format!("Gateway {at} does not exist")));
    };
    let extensions: Vec<_> = reader.extensions().filter(|answer| answer.gateway == *at).collect();
    let Some(first) = extensions.iter().min_by_key(|answer| &answer.age) else {
        return Err(none(format!("no MCPGatewayExtension has Gateway {at} as its target")));
    };
    let own = place_of(&route.metadata);
    let namespace = reader.namespace(&place("", &own.namespace));
    let guest = Guest {
        namespace: &own.namespace,
        labels: namespace.and_then(|namespace| namespace.metadata.labels.as_ref()),
        hosts: route.spec.hostnames.as_deref().unwrap_or_default(),
    };
    let listeners = listeners::taking(gateway, parent, &guest)?;
    let ports: Vec<i32> = listeners.iter().map(|listener| listener.port).collect();
    let valid = extensions
        .iter()
        .filter_map(|answer| Some((answer, answer.frame.as_ref().ok()?)));
    let serving = valid.filter(|(_, frame)| ports.contains(&frame.port));
    match serving.min_by_key(|(answer, _)| &answer.age) {
        Some((answer, frame)) => Ok(Binding {
            gateway: at.clone(),
            extension: answer.owner.place.clone(),
            age: answer.age.clone(),
            ca: frame.ca.clone(),
        }),
        None => Err(none(unserved(first, at, &ports))),
    }
}

fn unserved(first: &extension::Answer, gateway: &Place, ports: &[i32]) -> String {
    let extension = &first.owner.place;
    match &first.frame {
        Err(problem) => format!("MCPGatewayExtension {extension} is not ready: {problem}"),
        Ok(frame) => format!(
            "MCPGatewayExtension {extension} serves port {} of Gateway {gateway}, the route is on {ports:?}",
            frame.port
        ),
    }
}
