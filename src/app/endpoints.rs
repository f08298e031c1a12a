//! What is to be served, as the writer takes it: the endpoints of a configuration file, or those of an assignment.
//!
//! An assignment is checked as a whole before anything of it is in force: what does not fit together is refused with a
//! reason. What concerns one upstream only (an address that cannot be dialled, a header that cannot be sent) is no such
//! thing: its status says so, and nobody else is harmed. Pure.

use crate::edge::store::MemoryViews;
use crate::engine::assignment::{self, Assignment};
use crate::engine::config::{self, Config};
use crate::engine::policy::Callers;
use crate::engine::session::Keys;
use crate::engine::snapshot::Routing;
use crate::engine::snapshot::fold::EndpointSettings;
use std::collections::HashSet;
use std::sync::Arc;

/// One endpoint to serve.
#[derive(Debug)]
pub(super) struct Draft {
    /// Everything but its upstreams.
    pub(super) settings: EndpointSettings,
    /// In the order that decides who owns a name.
    pub(super) upstreams: Vec<Arc<config::Upstream>>,
}

/// Why an assignment cannot be served. Names no secret: the text goes back to the controller and into logs.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    /// An endpoint stands under another id than its own.
    #[error("endpoint {0:?} calls itself otherwise")]
    Misnamed(Arc<str>),
    /// A path that no request has.
    #[error("endpoint {0:?}: its path does not start with /")]
    Path(Arc<str>),
    /// Session ids cannot be signed.
    #[error("endpoint {0:?} has no session key")]
    NoSessionKey(Arc<str>),
    /// Routes to upstreams would be open to everybody.
    #[error("endpoint {0:?}: its route key is missing or no header can carry it")]
    RouteKey(Arc<str>),
    /// A request could be either endpoint's.
    #[error("route {0:?} belongs to two endpoints")]
    SharedRoute(Arc<str>),
    /// An endpoint names an upstream that is not in the assignment.
    #[error("endpoint {endpoint:?}: upstream {upstream:?} is not in the assignment")]
    UnknownUpstream {
        /// Who names it.
        endpoint: Arc<str>,
        /// Whom.
        upstream: Arc<str>,
    },
    /// Bindings and targets are kept by name: an upstream belongs to one endpoint.
    #[error("upstream {0:?} is named twice")]
    SharedUpstream(Arc<str>),
    /// An upstream that nobody could call.
    #[error("upstream {0:?} belongs to no endpoint")]
    StrayUpstream(Arc<str>),
    /// Not a name, or not its own: names become parts of file names and headers.
    #[error("{0:?} is not the name of an upstream")]
    UpstreamName(Arc<str>),
}

/// The endpoints of a configuration file: the merged one, if anything is merged, and one for each transparent path.
pub(super) fn of_file(config: &Arc<Config>, keys: Keys, route_key: &str, callers: Option<Arc<Callers>>) -> Vec<Draft> {
    let settings = EndpointSettings {
        id: "default".into(),
        routes: config.envoy.routes.clone(),
        routing: match config.envoy.routes.is_empty() {
            true => Routing::Cluster,
            false => Routing::Route,
        },
        keys,
        route_key: route_key.into(),
        callers,
        views: MemoryViews::make,
        transparent: None,
        config: Arc::clone(config),
    };
    let merged = config.upstreams.iter().filter(|upstream| upstream.merge);
    let merged: Vec<_> = merged.cloned().map(Arc::new).collect();
    let transparent = transparent(config, &settings);
    // With nothing at all it answers, with empty lists.
    let default = (!merged.is_empty() || transparent.is_empty()).then_some(Draft {
        settings,
        upstreams: merged,
    });
    default.into_iter().chain(transparent).collect()
}

/// One endpoint for each transparent path whose upstream is there (a reload may have taken it away).
fn transparent(config: &Config, settings: &EndpointSettings) -> Vec<Draft> {
    if config.transparent.is_empty() {
        return Vec::new();
    }
    let rest = Config {
        upstreams: Vec::new(),
        transparent: Vec::new(),
        ..config.clone()
    };
    let drafts = config.transparent.iter().filter_map(|entry| {
        let upstream = config
            .upstreams
            .iter()
            .find(|upstream| upstream.name == entry.upstream)?;
        // Its names are its own here.
        let upstream = config::Upstream {
            prefix: String::new(),
            resources_rewrite: false,
            ..upstream.clone()
        };
        let own = Config {
            path: entry.path.clone(),
            ..rest.clone()
        };
        Some(Draft {
            settings: EndpointSettings {
                id: format!("transparent {}", entry.path).into(),
                transparent: Some(Arc::new(entry.clone())),
                config: Arc::new(own),
                ..settings.clone()
            },
            upstreams: vec![Arc::new(upstream)],
        })
    });
    drafts.collect()
}

/// The endpoints of an assignment; `base` says what it leaves open.
///
/// # Errors
/// See [`Refusal`].
pub(super) fn of_assignment(assignment: &Assignment, base: &Config) -> Result<Vec<Draft>, Refusal> {
    let mut seen = Seen::default();
    let endpoints = assignment.endpoints.iter();
    let drafts = endpoints
        .map(|(id, endpoint)| {
            if *id != endpoint.id {
                return Err(Refusal::Misnamed(Arc::clone(id)));
            }
            Ok(Draft {
                upstreams: seen.upstreams(endpoint, assignment)?,
                settings: seen.settings(endpoint, base)?,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    match assignment.upstreams.keys().find(|name| !seen.upstreams.contains(*name)) {
        Some(stray) => Err(Refusal::StrayUpstream(Arc::clone(stray))),
        None => Ok(drafts),
    }
}

/// What endpoints have named so far: nothing may be named twice.
#[derive(Default)]
struct Seen {
    upstreams: HashSet<Arc<str>>,
    routes: HashSet<Arc<str>>,
}

impl Seen {
    fn upstreams(
        &mut self,
        endpoint: &assignment::Endpoint,
        assignment: &Assignment,
    ) -> Result<Vec<Arc<config::Upstream>>, Refusal> {
        let named = endpoint.upstreams.iter().map(|name| {
            let Some(upstream) = assignment.upstreams.get(name) else {
                return Err(Refusal::UnknownUpstream {
                    endpoint: Arc::clone(&endpoint.id),
                    upstream: Arc::clone(name),
                });
            };
            if upstream.name != **name || !config::is_upstream_name(name) {
                return Err(Refusal::UpstreamName(Arc::clone(name)));
            }
            if !self.upstreams.insert(Arc::clone(name)) {
                return Err(Refusal::SharedUpstream(Arc::clone(name)));
            }
            Ok(Arc::clone(upstream))
        });
        named.collect()
    }

    fn settings(&mut self, endpoint: &assignment::Endpoint, base: &Config) -> Result<EndpointSettings, Refusal> {
        let id = || Arc::clone(&endpoint.id);
        if !endpoint.path.starts_with('/') {
            return Err(Refusal::Path(id()));
        }
        if let Some(shared) = endpoint
            .routes
            .iter()
            .find(|route| !self.routes.insert(Arc::clone(route)))
        {
            return Err(Refusal::SharedRoute(Arc::clone(shared)));
        }
        let secrets: Vec<Vec<u8>> = endpoint
            .session_keys
            .iter()
            .map(|key| key.0.as_bytes().to_vec())
            .collect();
        let weak = secrets.iter().any(Vec::is_empty);
        let keys = Keys::derive(&secrets).filter(|_| !weak);
        if endpoint.route_key.0.is_empty() || !endpoint.route_key.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::RouteKey(id()));
        }
        Ok(EndpointSettings {
            id: id(),
            routes: endpoint.routes.clone(),
            routing: Routing::Route,
            keys: keys.ok_or_else(|| Refusal::NoSessionKey(id()))?,
            route_key: Arc::clone(&endpoint.route_key.0),
            callers: None,
            views: MemoryViews::make,
            transparent: None,
            config: Arc::new(settings(endpoint, base)),
        })
    }
}

/// The configuration of one endpoint, without upstreams: those stand beside it.
fn settings(endpoint: &assignment::Endpoint, base: &Config) -> Config {
    let mut limits = base.limits.clone();
    limits.body = endpoint.body_limit.unwrap_or(limits.body);
    Config {
        path: endpoint.path.to_string(),
        // Known to the listeners of the cluster only.
        public_url: String::new(),
        hosts: endpoint.hosts.iter().map(ToString::to_string).collect(),
        origins: endpoint.origins.iter().map(ToString::to_string).collect(),
        limits,
        rate_limits: Vec::new(),
        rate_limit_service: None,
        upstreams: Vec::new(),
        ..base.clone()
    }
}

#[cfg(test)]
mod tests;
