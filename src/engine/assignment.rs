//! What a controller assigns to the processors of one Envoy gateway, and what each of them reports back. Plain data.
//!
//! ```text
//! Kubernetes objects -> edge/kube (index) -> Assignment -> edge/registry (gRPC) -> app -> snapshot
//!                       edge/kube (status) <- Report    <- edge/registry        <- app <- discovery
//! ```
//! An assignment is whole and consistent: every upstream that an endpoint names is in it. It holds secrets; none of them
//! is ever printed.

use super::config;
use super::status::UpstreamStatus;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that the processors of one gateway serve.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    /// By their id.
    pub endpoints: BTreeMap<Arc<str>, Arc<Endpoint>>,
    /// By their name, which is unique over all endpoints. Each belongs to one endpoint.
    pub upstreams: BTreeMap<Arc<str>, Arc<config::Upstream>>,
}

/// What two assignments share in memory is not looked at: one change among a thousand upstreams costs one comparison.
impl PartialEq for Assignment {
    fn eq(&self, other: &Self) -> bool {
        same(&self.endpoints, &other.endpoints) && same(&self.upstreams, &other.upstreams)
    }
}

fn same<V: PartialEq>(one: &BTreeMap<Arc<str>, Arc<V>>, other: &BTreeMap<Arc<str>, Arc<V>>) -> bool {
    let both = || one.iter().zip(other);
    one.len() == other.len()
        && both().all(|((one, _), (other, _))| one == other)
        && both().all(|((_, one), (_, other))| Arc::ptr_eq(one, other) || one == other)
}

/// Several upstreams behind the public routes of one gateway extension or backend object.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Part of every session id's signature: it stays the same for as long as the object that describes the endpoint.
    pub id: Arc<str>,
    /// The MCP path, starting with `/`.
    pub path: Arc<str>,
    /// Host values accepted: lower case, without port; `*.example.com` stands for all names below. Empty: no Host check.
    pub hosts: Vec<Arc<str>>,
    /// Origins accepted besides the hosts' own.
    pub origins: Vec<Arc<str>>,
    /// The HTTPRoutes, `namespace/name`, whose requests are this endpoint's (attribute `xds.route_name`).
    pub routes: Vec<Arc<str>>,
    /// What routes to upstreams require in `x-mcp-route-key`.
    pub route_key: config::Confidential,
    /// What session ids are signed with, the current one first. Never empty.
    pub session_keys: Vec<config::Confidential>,
    /// Bytes of one request body; `None`: the processor's default.
    pub body_limit: Option<usize>,
    /// Names of its upstreams in the order that decides who owns a name: the oldest object first.
    pub upstreams: Vec<Arc<str>>,
}

/// What one processor says of an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which processor: its pod's name, or its host's.
    pub processor: Arc<str>,
    /// State of every upstream it serves.
    pub upstreams: Vec<UpstreamStatus>,
}

/// What the registry tells of the processors of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// It follows the gateway from now on. What it serves and how that goes is told next.
    Connected {
        /// Which.
        processor: Arc<str>,
    },
    /// A version of the assignment is in force there.
    Accepted {
        /// Which.
        processor: Arc<str>,
        /// The registry's number of it, as `assign` returned it.
        version: u64,
    },
    /// A version was refused: the one before is still in force.
    Refused {
        /// Which.
        processor: Arc<str>,
        /// The registry's number of it.
        version: u64,
        /// Why.
        reason: String,
    },
    /// How its upstreams are: all of them, whatever changed.
    Report(Report),
    /// Not all of the newest assignment can be told to processors. What was said of that before does not count any more.
    Unsent {
        /// By the upstream's name: why it is left out.
        upstreams: BTreeMap<Arc<str>, String>,
        /// Why nothing of it is told: the one before is still in force.
        whole: Option<String>,
    },
    /// It does not follow any more; nothing is known of its upstreams.
    Gone {
        /// Which.
        processor: Arc<str>,
    },
}
