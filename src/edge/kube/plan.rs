//! What the objects of a cluster ask for, resolved: the index makes it; assignment, generated objects and status follow
//! from it. Plain data, still in the words of Gateway API where objects are generated from it.

use super::resources::Whole;
use crate::engine::config;
use gateway_api::httproutes::HttpRouteRulesMatches;
use std::fmt;
use std::sync::Arc;

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// An object that something is made for: it is named in labels, events and owner references.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// `mcp.kuadrant.io/v1alpha1` and the like.
    pub api_version: Arc<str>,
    /// `MCPServerRegistration` and the like.
    pub kind: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// Of this very object, not of another one of that name.
    pub uid: Arc<str>,
}

/// Everything on one Gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// The Gateway.
    pub place: Place,
    /// Where its processors run.
    pub processor: Processor,
    /// In a stable order: the oldest object first.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// Where the processors of a Gateway run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Processor {
    /// One in each Envoy pod.
    #[default]
    Sidecar,
    /// In pods of their own, behind a Service (annotation `mcp-manifold/processor: deployment`).
    Deployment,
}

/// A listener of the Gateway that routes attach to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parent {
    /// The Gateway.
    pub gateway: Place,
    /// The listener's name; `None`: whichever takes the route.
    pub section: Option<Arc<str>>,
    /// The listener's port, where the user's own route names one.
    pub port: Option<i32>,
}

/// One MCP endpoint: a gateway extension, or a backend object behind an HTTPRoute.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `<namespace>.<kind>.<name>` in short; part of session ids, so it never changes while the object lives.
    pub id: Arc<str>,
    /// The extension, or the HTTPRoute that names a backend object.
    pub owner: Owner,
    /// Listeners its public routes attach to.
    pub parents: Vec<Parent>,
    /// Hosts of its public routes; empty: all hosts of the listeners.
    pub hosts: Vec<Arc<str>>,
    /// `/mcp`
    pub path: Arc<str>,
    /// The rules of a user's route that the public routes must win against (a backend object as backendRef, which Envoy
    /// Gateway cannot resolve); empty for an extension.
    pub outranks: Vec<HttpRouteRulesMatches>,
    /// Generate public routes (`httpRouteManagement: Enabled`).
    pub managed: bool,
    /// `namespace/name` of routes the user made for it instead, where `managed` is false.
    pub own_routes: Vec<Arc<str>>,
    /// See [`crate::engine::assignment::Endpoint::body_limit`].
    pub body_limit: Option<usize>,
    /// Where its routes can be probed; `None`: at no listener.
    pub door: Option<Door>,
    /// In the order that decides who owns a name.
    pub upstreams: Vec<Arc<Upstream>>,
}

/// One listener by which an endpoint is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Door {
    /// Its port, as the Gateway names it.
    pub port: i32,
    /// It speaks HTTPS.
    pub tls: bool,
    /// A name that its routes are reached by.
    pub host: Arc<str>,
}

/// One upstream of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// How it is called, as processors know it. Its `name` is unique in the cluster: `<namespace>.<object>` of a
    /// registration, `<namespace>.<object>.<target>` of a backend object.
    pub assigned: Arc<config::Upstream>,
    /// The registration or backend object.
    pub owner: Owner,
    /// The namespace of its generated route: that of the backends, so that they need no grant.
    pub namespace: Arc<str>,
    /// The rule of the user's route that is copied: filters, timeouts, backendRefs; or one made for a Service.
    /// `None`: it is always called by the processor itself, and nothing is generated.
    pub rule: Option<Whole>,
    /// The host the server is called by; `None`: the client's stays.
    pub host: Option<Arc<str>>,
    /// `:path` of its MCP endpoint.
    pub path: Arc<str>,
    /// The user's own route to it, which clients must not use around the processor; `None`: there is none, or its owner
    /// allows it.
    pub guard: Option<Guard>,
}

// Two `Arc`s of it that are one need no comparison then: a Gateway may have a thousand.
impl Eq for Upstream {}

/// A user's route on which direct requests are refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// The route.
    pub route: Place,
    /// Its parents.
    pub parents: Vec<Parent>,
    /// Its hosts.
    pub hosts: Vec<Arc<str>>,
    /// Its matches, every one of which is outranked.
    pub matches: Vec<HttpRouteRulesMatches>,
}
