//! HTTPRoutes that name backend objects: each such rule is an endpoint on every Gateway of the route.
//!
//! Envoy Gateway does not know these kinds and answers 500 on such a rule; routes of ours stand before it. They serve one
//! path: that of an exact match, or of a prefix longer than `/`; else `/mcp`.

mod attachment;
mod endpoint;

use super::super::extension::served_by_envoy_gateway;
use super::super::grants::{self, Sort};
use super::super::listeners::{self, Guest};
use super::super::object::{Age, Kind, Object, age, place, place_of};
use super::super::parents;
use super::super::problem::{Problem, Why};
use super::super::store::Reader;
use crate::edge::kube::plan::{self, Door, Owner, Parent, Place};
use crate::edge::kube::resources::Route;
use attachment::Attachment;
use gateway_api::gateways::GatewayListeners;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use attachment::backends_of;

/// What an HTTPRoute came to that names a backend object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// The route.
    pub owner: Owner,
    /// The generation that was looked at.
    pub generation: Option<i64>,
    /// Decides who comes first.
    pub age: Age,
    /// Its endpoints, each on one Gateway.
    pub endpoints: Vec<(Place, plan::Endpoint)>,
    /// Gateways of Envoy Gateway that it asks for, and what they say of it.
    pub parents: Vec<(Parent, Result<(), Problem>)>,
    /// What is wrong with its references and matches.
    pub problems: Vec<Problem>,
}

/// Resolves it. `None`: it names no backend object that is ours.
pub(crate) fn resolve(reader: &mut Reader<'_>, route: &Arc<Route>) -> Option<Answer> {
    let named = attachment::of(route);
    let own = place_of(&route.metadata);
    let mut problems = named.problems;
    let mut attachments = Vec::new();
    for attachment in named.attachments {
        match backend(reader, &own, &attachment) {
            Ok(true) => attachments.push(attachment),
            Ok(false) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if attachments.is_empty() && problems.is_empty() {
        return None;
    }
    let parents: Vec<_> = parents::of(route)
        .into_iter()
        .filter_map(|parent| {
            let taken = taken(reader, route, &parent)?;
            Some((parent, taken))
        })
        .collect();
    Some(Answer {
        owner: Object::Route(Arc::clone(route)).owner(),
        generation: route.metadata.generation,
        age: age(&route.metadata),
        endpoints: endpoints(reader, route, &attachments, &parents),
        parents,
        problems,
    })
}

/// Whether the backend object that is named exists, is about MCP, and may be named.
fn backend(reader: &mut Reader<'_>, own: &Place, attachment: &Attachment) -> Result<bool, Problem> {
    let key = &attachment.backend;
    let to = if key.kind == Kind::KgatewayBackend {
        Sort::KGATEWAY
    } else {
        Sort::AGENTGATEWAY
    };
    if !grants::allowed(reader, Sort::ROUTE, &own.namespace, to, &key.place) {
        let sentence = grants::missing(Sort::ROUTE, &own.namespace, to, &key.place);
        return Err(Problem::new(Why::ReferenceGrantRequired, sentence));
    }
    if reader.object(key.clone()).is_none() {
        let message = format!("{} {} does not exist", to.kind, key.place);
        return Err(Problem::new(Why::BackendNotFound, message));
    }
    Ok(reader.backend(key).is_some())
}

/// Whether the Gateway takes the route; `None`: it is not one of Envoy Gateway's, so others answer for it.
fn taken(reader: &mut Reader<'_>, route: &Route, parent: &Parent) -> Option<Result<(), Problem>> {
    let gateway = reader.gateway(&parent.gateway)?;
    served_by_envoy_gateway(reader, gateway).ok()?;
    let hosts = route.spec.hostnames.as_deref().unwrap_or_default();
    Some(admitted(reader, parent, &place_of(&route.metadata).namespace, hosts))
}

/// Whether a route of this namespace with these hosts is taken by the parent.
fn admitted(reader: &mut Reader<'_>, parent: &Parent, namespace: &Arc<str>, hosts: &[String]) -> Result<(), Problem> {
    door(reader, parent, namespace, hosts).map(|_| ())
}

/// ... and by which listener it is reached then.
fn door(reader: &mut Reader<'_>, parent: &Parent, namespace: &Arc<str>, hosts: &[String]) -> Result<Door, Problem> {
    let Some(gateway) = reader.gateway(&parent.gateway) else {
        let message = format!("Gateway {} does not exist", parent.gateway);
        return Err(Problem::new(Why::ListenerNotAllowed, message));
    };
    let labels = reader
        .namespace(&place("", namespace))
        .and_then(|namespace| namespace.metadata.labels.as_ref());
    let guest = Guest {
        namespace,
        labels,
        hosts,
    };
    let taking = listeners::taking(gateway, parent, &guest)?;
    let host = |listener: &GatewayListeners| hosts.iter().find(|host| listeners::covers(listener, host));
    let nobody = || {
        Problem::new(
            Why::ListenerNotAllowed,
            format!("Gateway {} has no listener", parent.gateway),
        )
    };
    let first = taking.first().ok_or_else(nobody)?;
    Ok(listeners::door(first, host(first).map(String::as_str)))
}

/// One for each Gateway and attachment.
fn endpoints(
    reader: &mut Reader<'_>,
    route: &Arc<Route>,
    attachments: &[Attachment],
    parents: &[(Parent, Result<(), Problem>)],
) -> Vec<(Place, plan::Endpoint)> {
    let mut by_gateway: BTreeMap<&Place, Vec<Parent>> = BTreeMap::new();
    for (parent, _) in parents.iter().filter(|(_, taken)| taken.is_ok()) {
        by_gateway.entry(&parent.gateway).or_default().push(parent.clone());
    }
    let mut endpoints = Vec::new();
    for (gateway, parents) in by_gateway {
        for attachment in attachments {
            let made = endpoint::make(reader, route, attachment, &parents, &endpoints);
            endpoints.extend(made.map(|made| (gateway.clone(), made)));
        }
    }
    endpoints
}
