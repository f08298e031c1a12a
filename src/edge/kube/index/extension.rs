//! What a gateway extension comes to: a listener of a Gateway, the host clients use, the frame of an endpoint.
//!
//! Of several in one namespace, and of several on one port of a Gateway, the oldest counts. Which registrations belong to
//! it is their side's matter.

use super::conditions::Verdict;
use super::filters;
use super::grants::{self, Sort};
use super::listeners::{self, Guest};
use super::object::{Age, Kind, Object, age, place, place_of};
use super::problem::{Problem, Why};
use super::store::Reader;
use super::trust;
use crate::edge::kube::plan::{self, Owner, Parent, Place};
use crate::edge::kube::resources::Extension;
use gateway_api::gateways::{Gateway, GatewayListeners};
use std::sync::Arc;

/// On an HTTPRoute that the user makes instead of ours: the extension's name.
pub const OWN_ROUTE: &str = "mcp-manifold/extension";

/// What an extension came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// The extension.
    pub owner: Owner,
    /// The generation that was looked at.
    pub generation: Option<i64>,
    /// Decides who comes first.
    pub age: Age,
    /// The Gateway it names.
    pub gateway: Place,
    /// What it is good for.
    pub frame: Result<Frame, Problem>,
    /// What else an operator should know.
    pub warnings: Vec<Verdict>,
    /// Fields without effect.
    pub ignored: Vec<&'static str>,
}

/// A valid extension.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    /// The listener's port: routes on it belong to this extension.
    pub port: i32,
    /// Its endpoint, upstreams not filled in.
    pub endpoint: plan::Endpoint,
    /// The URL for clients, where the host is known.
    pub url: Option<String>,
    /// Authorities besides those that a server has itself, PEM.
    pub ca: Option<Arc<str>>,
}

/// Resolves it.
pub(crate) fn resolve(reader: &mut Reader<'_>, extension: &Arc<Extension>) -> Answer {
    let frame = frame(reader, extension);
    let gateway = frame.as_ref().ok().and_then(|_| reader.gateway(&target(extension)));
    Answer {
        owner: Object::Extension(Arc::clone(extension)).owner(),
        generation: extension.metadata.generation,
        age: age(&extension.metadata),
        gateway: target(extension),
        frame,
        warnings: gateway
            .and_then(|gateway| filters::order(reader, gateway))
            .into_iter()
            .collect(),
        ignored: extension.spec.ignored(),
    }
}

/// The Gateway that it names.
fn target(extension: &Extension) -> Place {
    let reference = &extension.spec.target_ref;
    let own = extension.metadata.namespace.as_deref().unwrap_or_default();
    place(
        reference
            .namespace
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(own),
        &reference.name,
    )
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(Why::InvalidMCPGatewayExtension, message)
}

fn frame(reader: &mut Reader<'_>, extension: &Arc<Extension>) -> Result<Frame, Problem> {
    let (gateway, listener) = claim(reader, extension)?;
    let own = place_of(&extension.metadata);
    if let Some(older) = older_on_port(reader, extension, listener.port) {
        return Err(invalid(format!(
            "port {} of Gateway {} belongs to the older extension {older}",
            listener.port,
            target(extension)
        )));
    }
    let host = host(extension, listener);
    let parent = Parent {
        gateway: target(extension),
        section: Some(listener.name.as_str().into()),
        port: None,
    };
    let managed = extension.spec.manages_route();
    if managed {
        admitted(reader, gateway, &parent, &own, host.as_deref())?;
    }
    let ca = bundle(reader, extension)?;
    let endpoint = plan::Endpoint {
        id: format!("{}.mcpge.{}", own.namespace, own.name).into(),
        owner: Object::Extension(Arc::clone(extension)).owner(),
        parents: vec![parent],
        hosts: host.iter().map(|host| host.as_str().into()).collect(),
        path: "/mcp".into(),
        outranks: Vec::new(),
        managed,
        own_routes: if managed { Vec::new() } else { own_routes(reader, &own) },
        body_limit: extension
            .spec
            .max_body_bytes
            .and_then(|bytes| usize::try_from(bytes).ok()),
        door: Some(listeners::door(listener, host.as_deref())),
        upstreams: Vec::new(),
    };
    Ok(Frame {
        port: listener.port,
        endpoint,
        url: host.map(|host| url(&host, listener)),
        ca,
    })
}

/// The listener it may have, not counting that another extension may have it already.
fn claim<'a>(
    reader: &mut Reader<'a>,
    extension: &Extension,
) -> Result<(&'a Arc<Gateway>, &'a GatewayListeners), Problem> {
    let own = place_of(&extension.metadata);
    if let Some(older) = older_in_namespace(reader, extension) {
        return Err(invalid(format!(
            "namespace {} has the older extension {}; one per namespace is served: delete one of them",
            own.namespace, older.name
        )));
    }
    let at = target(extension);
    if !grants::allowed(reader, Sort::EXTENSION, &own.namespace, Sort::GATEWAY, &at) {
        let sentence = grants::missing(Sort::EXTENSION, &own.namespace, Sort::GATEWAY, &at);
        return Err(Problem::new(Why::ReferenceGrantRequired, sentence));
    }
    let gateway = reader
        .gateway(&at)
        .ok_or_else(|| invalid(format!("Gateway {at} does not exist")))?;
    served_by_envoy_gateway(reader, gateway)?;
    let section = &extension.spec.target_ref.section_name;
    let listener = gateway
        .spec
        .listeners
        .iter()
        .find(|listener| listener.name == *section)
        .ok_or_else(|| invalid(format!("Gateway {at} has no listener named {section:?}")))?;
    if ["HTTP", "HTTPS"].contains(&listener.protocol.as_str()) {
        Ok((gateway, listener))
    } else {
        let protocol = &listener.protocol;
        Err(invalid(format!(
            "listener {section:?} of Gateway {at} speaks {protocol}, not HTTP or HTTPS"
        )))
    }
}

/// Only Gateways of Envoy Gateway are served: others would not understand what is generated.
pub(crate) fn served_by_envoy_gateway(reader: &mut Reader<'_>, gateway: &Gateway) -> Result<(), Problem> {
    if !reader.settings().sees_cluster {
        return Ok(());
    }
    let name = &gateway.spec.gateway_class_name;
    let class = reader
        .gateway_class(&place("", name))
        .ok_or_else(|| invalid(format!("GatewayClass {name} does not exist")))?;
    if class.spec.controller_name == *reader.settings().class_controller {
        Ok(())
    } else {
        let controller = &class.spec.controller_name;
        Err(invalid(format!(
            "GatewayClass {name} belongs to {controller}, not to Envoy Gateway"
        )))
    }
}

fn all(objects: Vec<&Object>) -> impl Iterator<Item = &Arc<Extension>> {
    objects.into_iter().filter_map(|object| {
        let Object::Extension(extension) = object else {
            return None;
        };
        Some(extension)
    })
}

fn older_in_namespace(reader: &mut Reader<'_>, extension: &Extension) -> Option<Place> {
    let own = age(&extension.metadata);
    let namespace = place_of(&extension.metadata).namespace;
    let beside = all(reader.within(Kind::Extension, &namespace));
    let oldest = beside.map(|other| age(&other.metadata)).min()?;
    (oldest < own).then(|| oldest.place().clone())
}

fn older_on_port(reader: &mut Reader<'_>, extension: &Extension, port: i32) -> Option<Place> {
    let own = age(&extension.metadata);
    let wanted = target(extension);
    let others = all(reader.all(Kind::Extension));
    let mut older = others.filter(|other| target(other) == wanted && age(&other.metadata) < own);
    let first = older.find(|other| claim(reader, other).is_ok_and(|(_, listener)| listener.port == port))?;
    Some(place_of(&first.metadata))
}

/// `publicHost`, else the listener's hostname; a wildcard there gets `mcp` in front, as Kuadrant does it.
fn host(extension: &Extension, listener: &GatewayListeners) -> Option<String> {
    let given = extension.spec.public_host.as_deref().filter(|host| !host.is_empty());
    let host = given.or(listener.hostname.as_deref()).filter(|host| !host.is_empty())?;
    // A port is no part of a host in Gateway API.
    let host = host.split_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    Some(
        host.strip_prefix('*')
            .map_or(host.clone(), |below| format!("mcp{below}")),
    )
}

fn url(host: &str, listener: &GatewayListeners) -> String {
    let (scheme, usual) = if listener.protocol == "HTTPS" {
        ("https", 443)
    } else {
        ("http", 80)
    };
    if listener.port == usual {
        format!("{scheme}://{host}/mcp")
    } else {
        format!("{scheme}://{host}:{}/mcp", listener.port)
    }
}

/// Whether the public route, which stands beside the extension, will be taken by the listener.
fn admitted(
    reader: &mut Reader<'_>,
    gateway: &Gateway,
    parent: &Parent,
    own: &Place,
    host: Option<&str>,
) -> Result<(), Problem> {
    let labels = reader
        .namespace(&place("", &own.namespace))
        .and_then(|namespace| namespace.metadata.labels.as_ref());
    let hosts: Vec<String> = host.iter().map(|host| (*host).to_owned()).collect();
    let guest = Guest {
        namespace: &own.namespace,
        labels,
        hosts: &hosts,
    };
    listeners::taking(gateway, parent, &guest).map(|_| ())
}

fn bundle(reader: &mut Reader<'_>, extension: &Extension) -> Result<Option<Arc<str>>, Problem> {
    let Some(reference) = &extension.spec.ca_cert_bundle_ref else {
        return Ok(None);
    };
    let at = place(&place_of(&extension.metadata).namespace, &reference.name);
    let key = reference.key_or(trust::CA_KEY);
    let kind = if reader.config_map(&at).is_some() {
        "ConfigMap"
    } else {
        "Secret"
    };
    trust::authority(reader, "", kind, &at, key).map(|text| Some(text.into()))
}

fn own_routes(reader: &mut Reader<'_>, own: &Place) -> Vec<Arc<str>> {
    let routes = reader.within(Kind::Route, &own.namespace).into_iter();
    let named = routes.filter(|object| {
        let annotations = object.meta().annotations.as_ref();
        annotations
            .and_then(|all| all.get(OWN_ROUTE))
            .is_some_and(|name| *name == *own.name)
    });
    named.map(|object| object.key().place.to_string().into()).collect()
}
