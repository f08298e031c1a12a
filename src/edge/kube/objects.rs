//! The objects that Envoy Gateway needs for what a plan asks for. Pure: a plan in, objects for server-side apply out.
//!
//! ```text
//! client -> public route ----.                                        .-> upstream route -> the server
//!           inspected route -+-> ext_proc: the processor sets headers-+
//!                            |   and Envoy chooses the route again    `-> none fits: fallback, 530
//!           `- EnvoyExtensionPolicy by label                            `- policy too: who enters here is refused
//! ```
//! Everything is labelled (see [`names`]), so that what is no longer wanted can be found. Nothing of a user's is changed.
//! The order is that of creation: a route without its policy, or a policy without its grant, is an open door.

pub mod names;

mod guard;
mod matches;
mod policies;
mod probe;
mod processor;
mod public;
mod upstream;

#[cfg(test)]
mod tests;

pub use guard::unguarded;
pub(super) use policies::{message_timeout, processing};
pub use probe::{Probe, probes};
pub use processor::{EXT_PROC_PORT, EXT_PROC_SOCKET, FALLBACK_HOST, FALLBACK_PORT};

use super::plan::{self, Owner, Place};
use crate::engine::config::Confidential;
use kube::core::ApiResource;
use names::Purpose;
use public::Entry;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What is the same for all plans of one controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The controller's own namespace.
    pub namespace: Arc<str>,
}

/// One object, whole, to be applied with the field manager [`names::MANAGER`].
#[derive(Clone, PartialEq)]
pub struct Object {
    /// Its kind, as the API server knows it.
    pub resource: ApiResource,
    /// Where it stands.
    pub place: Place,
    /// What it is for.
    pub purpose: Purpose,
    /// What it is made for; none: the Gateway as a whole.
    pub owners: Vec<Owner>,
    /// All of it. Routes hold the route key: it is not to be printed.
    pub body: Value,
}

/// Everything that stands for one Gateway, in the order in which it must be created.
#[must_use]
pub fn wanted(gateway: &plan::Gateway, settings: &Settings, route_key: &Confidential) -> Vec<Object> {
    let make = Make {
        gateway,
        settings,
        route_key,
    };
    let spaces = Spaces::of(gateway);
    let mut objects: Vec<Object> = Vec::new();
    objects.extend(spaces.routes.iter().filter_map(|space| policies::grant(&make, space)));
    let policed: BTreeSet<_> = spaces.own.keys().chain([&settings.namespace]).cloned().collect();
    objects.extend(processor::grant(&make, &spaces.public, &policed));
    objects.extend(policed.iter().filter_map(|space| processor::backend(&make, space)));
    objects.extend(
        spaces
            .public
            .iter()
            .filter_map(|space| processor::fallback(&make, space)),
    );
    objects.extend(policies::all(&make));
    let own = spaces.own.iter();
    objects.extend(own.map(|(space, routes)| policies::of_own_routes(&make, space, routes)));
    objects.extend(spaces.upstreams.iter().map(|space| policies::traffic(&make, space)));
    objects.extend(spaces.guards.iter().map(|space| guard::refusal(&make, space)));
    let guarded = guard::all(gateway);
    let entries: Vec<Entry<'_>> = gateway
        .endpoints
        .iter()
        .map(|found| Entry::of(found, &guarded))
        .collect();
    objects.extend(entries.iter().flat_map(|entry| public::routes(&make, entry)));
    objects.extend(guarded.iter().filter_map(|guarded| guard::route(&make, guarded)));
    for entry in &entries {
        let upstreams = entry.endpoint.upstreams.iter();
        objects.extend(upstreams.filter_map(|upstream| upstream::route(&make, entry, upstream)));
    }
    objects
}

/// Namespaces of the generated routes.
struct Spaces {
    /// Of routes that a policy selects.
    routes: BTreeSet<Arc<str>>,
    /// Of public routes.
    public: BTreeSet<Arc<str>>,
    /// Of routes to upstreams.
    upstreams: BTreeSet<Arc<str>>,
    /// Of guarded routes.
    guards: BTreeSet<Arc<str>>,
    /// Of routes that users made instead of public ones, with these.
    own: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Spaces {
    fn of(gateway: &plan::Gateway) -> Self {
        let endpoints = gateway.endpoints.iter();
        let public: BTreeSet<_> = endpoints
            .map(|endpoint| endpoint.owner.place.namespace.clone())
            .collect();
        let all = || gateway.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams);
        let routed = all().filter(|upstream| upstream.rule.is_some());
        let upstreams: BTreeSet<_> = routed.map(|upstream| upstream.namespace.clone()).collect();
        let mut own: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for route in gateway.endpoints.iter().flat_map(|endpoint| &endpoint.own_routes) {
            if let Some((namespace, name)) = route.split_once('/') {
                own.entry(namespace.into()).or_default().insert(name.into());
            }
        }
        let guards = all().filter_map(|upstream| upstream.guard.as_ref());
        Self {
            routes: public.union(&upstreams).cloned().collect(),
            guards: guards.map(|guard| guard.route.namespace.clone()).collect(),
            public,
            upstreams,
            own,
        }
    }
}

/// What every object is made from.
struct Make<'a> {
    gateway: &'a plan::Gateway,
    settings: &'a Settings,
    route_key: &'a Confidential,
}

/// A kind of object.
struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

const ROUTE: Kind = gateway_api("v1", "HTTPRoute", "httproutes");
const GRANT: Kind = gateway_api("v1beta1", "ReferenceGrant", "referencegrants");
const BACKEND: Kind = envoy_gateway("Backend", "backends");
const POLICY: Kind = envoy_gateway("EnvoyExtensionPolicy", "envoyextensionpolicies");
const TRAFFIC: Kind = envoy_gateway("BackendTrafficPolicy", "backendtrafficpolicies");
const FILTER: Kind = envoy_gateway("HTTPRouteFilter", "httproutefilters");

const fn gateway_api(version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group: "gateway.networking.k8s.io",
        version,
        kind,
        plural,
    }
}

const fn envoy_gateway(kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group: "gateway.envoyproxy.io",
        version: "v1alpha1",
        kind,
        plural,
    }
}

/// Every kind that is generated, the last ones to be created first: where a Gateway is given up, routes go before what
/// keeps them shut.
#[must_use]
pub fn kinds() -> Vec<ApiResource> {
    [ROUTE, FILTER, TRAFFIC, POLICY, BACKEND, GRANT]
        .iter()
        .map(Kind::resource)
        .collect()
}

impl Kind {
    fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: format!("{}/{}", self.group, self.version),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }
}

impl Make<'_> {
    /// An object for the Gateway as a whole.
    fn shared(&self, kind: &Kind, purpose: Purpose, place: Place, spec: Value) -> Object {
        let Place { namespace, name } = &self.gateway.place;
        let metadata = self.metadata(&place, purpose, &format!("Gateway/{namespace}/{name}"));
        assemble(kind, purpose, place, metadata, spec)
    }

    /// An object for something that a user made; it goes with the last of its owners, if they share its namespace.
    fn owned(&self, kind: &Kind, purpose: Purpose, place: Place, owners: &[&Owner], spec: Value) -> Object {
        let first = owners.first().map_or_else(String::new, |owner| {
            format!("{}/{}/{}", owner.kind, owner.place.namespace, owner.place.name)
        });
        let mut metadata = self.metadata(&place, purpose, &first);
        let references: Vec<Value> = owners
            .iter()
            .filter(|owner| owner.place.namespace == place.namespace)
            .map(|owner| reference(owner))
            .collect();
        if references.len() == owners.len() {
            metadata["ownerReferences"] = references.into();
        }
        Object {
            owners: owners.iter().copied().cloned().collect(),
            ..assemble(kind, purpose, place, metadata, spec)
        }
    }

    fn metadata(&self, place: &Place, purpose: Purpose, owner: &str) -> Value {
        json!({
            "namespace": &*place.namespace,
            "name": &*place.name,
            "labels": {
                names::MANAGED_BY: names::MANAGER,
                names::GATEWAY: names::gateway_label(&self.gateway.place),
                names::PURPOSE: purpose.as_str(),
            },
            "annotations": { names::OWNER: owner },
        })
    }
}

fn assemble(kind: &Kind, purpose: Purpose, place: Place, metadata: Value, spec: Value) -> Object {
    let resource = kind.resource();
    let mut body = json!({"apiVersion": &resource.api_version, "kind": &resource.kind});
    body["metadata"] = metadata;
    body["spec"] = spec;
    Object {
        resource,
        place,
        purpose,
        owners: Vec::new(),
        body,
    }
}

fn reference(owner: &Owner) -> Value {
    json!({
        "apiVersion": &*owner.api_version,
        "kind": &*owner.kind,
        "name": &*owner.place.name,
        "uid": &*owner.uid,
    })
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { namespace, name } = &self.place;
        write!(formatter, "{} {namespace}/{name}", self.resource.kind)
    }
}
