//! Everything one exchange may know, folded into one value by one writer.

mod face;
pub mod fold;
mod hello;
mod output;
mod part;
#[cfg(test)]
pub(crate) mod testing;
mod tools;
mod upstream;
pub mod view;

pub use view::{Guarded, View, ViewKey, Views};

pub use crate::engine::route::UpstreamIndex;

use crate::engine::catalog::{Catalog, Kind, Listing};
use crate::engine::config::{AuditArguments, Limits, RateLimit, Transparent, Via};
use crate::engine::mcp::{Era, Version};
use crate::engine::policy::Callers;
use crate::engine::policy::delegate::Delegate;
use crate::engine::session::{EndpointHash, Keys};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// One consistent state of the gateway.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows by one with each snapshot.
    pub generation: u64,
    /// All endpoints. The configuration file describes one.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// Several upstreams behind one host and path.
#[derive(Debug)]
pub struct Endpoint {
    /// Its id, part of every session id's signature.
    pub id: Arc<str>,
    /// Of `id`.
    pub hash: EndpointHash,
    /// The HTTPRoutes, `namespace/name`, whose requests are this endpoint's, with [`Routing::Route`]; else it is chosen by
    /// path.
    pub routes: Vec<Arc<str>>,
    /// How calls get to their upstreams.
    pub routing: Routing,
    /// Calls and answers carry all of the dynamic metadata: somebody reads it.
    pub metadata: bool,
    /// What is written down of calls.
    pub observed: Observed,
    /// The MCP path.
    pub path: Arc<str>,
    /// Everything goes to the only upstream as it comes.
    pub transparent: Option<Arc<Transparent>>,
    /// Host values accepted besides loopback, lower case, without port; `*.` in front stands for all names below. Empty
    /// together with `any_host`.
    pub hosts: Vec<String>,
    /// No Host check (cluster without hosts).
    pub any_host: bool,
    /// Origins accepted besides loopback.
    pub origins: Vec<String>,
    /// Signs and verifies session ids.
    pub keys: Keys,
    /// Of a session id.
    pub lifetime: Duration,
    /// Of a call that waits for what its client is asked for.
    pub parked: Duration,
    /// What goes through Envoy has to begin in a time that no call can put off: nobody else sees when an answer begins.
    pub timed_by_envoy: bool,
    /// From the configuration.
    pub limits: Limits,
    /// Nobody before it keeps `limits.headers`.
    pub counts_headers: bool,
    /// Those that the processor counts.
    pub rate_limits: Arc<[Arc<RateLimit>]>,
    /// The random value that only the processor knows; routes to upstreams require it (`x-mcp-route-key`).
    pub route_key: Bytes,
    /// What is asked of callers; `None`: nothing.
    pub callers: Option<Arc<Callers>>,
    /// Who may do what; `None`: everybody everything.
    pub guarded: Option<Guarded>,
    /// In the order of the configuration, disabled ones too.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What legacy clients see.
    pub legacy: Face,
    /// What modern clients see.
    pub modern: Face,
    /// `result` of initialize, for each legacy version in the order of `Version::ALL`.
    pub initialize: [Bytes; 4],
    /// `result` of `server/discover`.
    pub discover: Bytes,
    /// What callers' own endpoints are made of; `None`: everybody sees the same upstreams.
    base: Option<Arc<fold::Base>>,
    /// The number of the caller whose endpoint this is.
    caller: Option<u64>,
}

/// What is written down of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Of their arguments.
    pub arguments: AuditArguments,
    /// Whether tools say that they failed.
    pub results: bool,
}

/// How Envoy finds the upstream of a call that the processor has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// `cluster_header`, in plain Envoy: the processor sets the path too.
    #[default]
    Cluster,
    /// A route that matches the public path and `x-mcp-upstream`, on Envoy Gateway: the route rewrites host and path.
    Route,
}

/// One upstream, as calls need it.
#[derive(Debug)]
pub struct Upstream {
    /// Configured name; also the Envoy cluster.
    pub name: Arc<str>,
    /// The same as a header value (`x-mcp-upstream`).
    pub cluster: Bytes,
    /// `:path` of its MCP endpoint, with query.
    pub path: Bytes,
    /// Headers to set towards it, names in lower case: constants and the credential.
    pub headers: Vec<(Cow<'static, str>, Bytes)>,
    /// What it is told of its callers; `None`: nothing.
    pub delegate: Option<Arc<Delegate>>,
    /// Until response headers.
    pub call_timeout: Duration,
    /// Gone from lists, calls refused.
    pub enabled: bool,
    /// Its credential could not be read: calls are refused.
    pub secret_missing: bool,
    /// Unknown resource URIs may be asked of it.
    pub probe: bool,
    /// Clients know its resources by URIs that bear its name.
    pub rewrites: bool,
    /// Every caller sees what it lists for that caller: names of its items are nobody else's business.
    pub for_callers: bool,
    /// Who makes the calls.
    pub via: Via,
    /// Legacy era: known once it was listed.
    pub legacy: Option<Speech>,
    /// Modern era: known once it was listed.
    pub modern: Option<Speech>,
}

impl Upstream {
    /// How it speaks in `era`.
    #[must_use]
    pub const fn speech(&self, era: Era) -> Option<Speech> {
        match era {
            Era::Legacy => self.legacy,
            Era::Modern => self.modern,
        }
    }

    /// It was listed in some era.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.legacy.is_some() || self.modern.is_some()
    }

    /// In which era a client of `client` era is served by this upstream, and how it speaks there: the client's own if the
    /// upstream was listed in it, else the other one. `None`: it was listed in neither.
    #[must_use]
    pub fn spoken_to(&self, client: Era) -> Option<(Era, Speech)> {
        let in_era = |era| self.speech(era).map(|speech| (era, speech));
        in_era(client).or_else(|| in_era(client.other()))
    }
}

/// How an upstream speaks in one era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speech {
    /// Agreed in the discovery handshake.
    pub version: Version,
    /// The handshake issued a session id, so every client session needs its own.
    pub stateful: bool,
    /// It may answer calls with tasks.
    pub tasks: bool,
    /// It answers `tasks/list` (2025-11-25).
    pub tasks_list: bool,
}

/// Everything that clients of one era see and call: of each upstream what it listed in that era, else what it listed in
/// the other one.
#[derive(Debug)]
pub struct Face {
    /// `result` of tools/list.
    pub tools: Prepared,
    /// The same for clients that no upstream may send requests; `None`: they see all of it.
    pub plain_tools: Option<Prepared>,
    /// `result` of prompts/list.
    pub prompts: Prepared,
    /// `result` of resources/list.
    pub resources: Prepared,
    /// `result` of resources/templates/list.
    pub templates: Prepared,
    /// Who is called under which name.
    pub routes: crate::engine::route::Routes,
    /// Of the upstreams whose items are shown, by their index.
    pub(crate) listings: Vec<Option<Arc<Listing>>>,
    /// What lists were made of, where callers may see different ones.
    sides: Vec<Option<face::Side>>,
}

impl Face {
    /// The prepared list for a client that upstreams may, or may not, send requests.
    #[must_use]
    pub fn list_for(&self, takes_requests: bool, kind: Kind) -> &Prepared {
        match (&self.plain_tools, kind) {
            (Some(plain), Kind::Tools) if !takes_requests => plain,
            (Some(_) | None, _) => self.list(kind),
        }
    }

    /// The prepared list with everything that any client sees.
    #[must_use]
    pub const fn list(&self, kind: Kind) -> &Prepared {
        match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources => &self.resources,
            Kind::Templates => &self.templates,
        }
    }
}

/// The `result` value of a list, in segments that are shared between snapshots: head, one per upstream (with its comma), tail.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Concatenated they are one JSON value.
    pub segments: Vec<Bytes>,
    /// Sum of their lengths.
    pub len: usize,
}

impl Endpoint {
    /// What clients of `era` see.
    #[must_use]
    pub const fn face(&self, era: Era) -> &Face {
        match era {
            Era::Legacy => &self.legacy,
            Era::Modern => &self.modern,
        }
    }

    /// Upstreams whose lists every caller sees differently: what they list is in no endpoint but [`Endpoint::of_caller`].
    #[must_use]
    pub fn listed_for_callers(&self) -> &[UpstreamIndex] {
        self.base.as_ref().map_or(&[], |base| &base.own)
    }

    /// This endpoint with what some of [`Endpoint::listed_for_callers`] have listed for one caller; the others of them were
    /// not to be had. `number`: another one for every caller, and whenever something else was listed. What is not the
    /// caller's own is shared, views of lists too. `None`: it is somebody's already, or there is nothing to see.
    #[must_use]
    pub fn of_caller(&self, listed: &[(UpstreamIndex, Catalog)], number: u64) -> Option<Self> {
        Some(self.base.as_ref()?.of_caller(listed, number))
    }

    /// The upstream at `index`.
    #[must_use]
    pub fn upstream(&self, index: UpstreamIndex) -> Option<&Arc<Upstream>> {
        self.upstreams.get(index.0 as usize)
    }
}
