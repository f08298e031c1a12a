//! The routes on which clients come in. Requests that the processor sends on leave them for a route to an upstream.

use super::guard::{self, Guarded};
use super::matches::{MAX_MATCHES, exact_path, has_header, instead_of, padded, with_exact, with_pattern};
use super::names::{self, Purpose, RESERVED_UPSTREAM};
use super::{Make, Object, ROUTE, processor};
use crate::edge::kube::plan::{Endpoint, Parent, Place};
use crate::engine::config::Confidential;
use gateway_api::httproutes::HttpRouteRulesMatches;
use serde_json::{Value, json};
use std::sync::Arc;

/// The mark at the head of ids of sessions whose clients take requests.
const INSPECTED_SESSION: &str = r"^mi1\..*";

/// An endpoint, and what a client's request to it is like.
pub(super) struct Entry<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// One for each of a user's rules that they must win against.
    matches: Vec<HttpRouteRulesMatches>,
}

impl<'a> Entry<'a> {
    /// `guarded` are all the Gateway's: public routes win against guards too.
    pub(super) fn of(endpoint: &'a Endpoint, guarded: &[Guarded<'_>]) -> Self {
        let weight = guard::weight_at(guarded, &endpoint.path);
        let mut wanted: Vec<_> = endpoint
            .outranks
            .iter()
            .map(|rule| instead_of(rule, &endpoint.path))
            .collect();
        if wanted.is_empty() {
            wanted.push(exact_path(&endpoint.path));
        }
        let mut matches = Vec::new();
        for found in wanted {
            let found = padded(found, weight);
            if !matches.contains(&found) {
                matches.push(found);
            }
        }
        Self { endpoint, matches }
    }

    /// What brings a request to one upstream: two exact headers more than on any public route.
    ///
    /// Headers that a user's own rule asks for are asked for here too. Should the processor take one of them away, the
    /// call comes back by the fallback, and the processor makes it itself.
    pub(super) fn matches_of(&self, upstream: &str, route_key: &Confidential) -> Vec<HttpRouteRulesMatches> {
        let keyed = |found: &HttpRouteRulesMatches| {
            let named = with_exact(found.clone(), "x-mcp-upstream", upstream);
            with_exact(named, "x-mcp-route-key", &route_key.0)
        };
        self.matches.iter().map(keyed).collect()
    }

    fn inspected(&self) -> Vec<HttpRouteRulesMatches> {
        let free = self.matches.iter().filter(|found| !has_header(found, "mcp-session-id"));
        let marked = free.map(|found| with_pattern(found.clone(), "mcp-session-id", INSPECTED_SESSION));
        marked.collect()
    }
}

/// The routes of one endpoint: public, inspected, and the one that is always among those to upstreams.
pub(super) fn routes(make: &Make<'_>, entry: &Entry<'_>) -> Vec<Object> {
    let endpoint = entry.endpoint;
    let mut wanted = Vec::new();
    if endpoint.managed {
        wanted.push((Purpose::Public, names::public_route(endpoint), entry.matches.clone()));
        wanted.push((Purpose::Inspected, names::inspected_route(endpoint), entry.inspected()));
    }
    let reserved = entry.matches_of(RESERVED_UPSTREAM, make.route_key);
    wanted.push((Purpose::Upstream, names::reserved_route(endpoint), reserved));
    let filled = wanted.into_iter().filter(|(_, _, matches)| !matches.is_empty());
    let routes = filled.map(|(purpose, place, matches)| route(make, endpoint, purpose, place, &matches));
    routes.collect()
}

fn route(
    make: &Make<'_>,
    endpoint: &Endpoint,
    purpose: Purpose,
    place: Place,
    matches: &[HttpRouteRulesMatches],
) -> Object {
    // Without a timeout of 0 a stream of server-sent events ends after 15 s.
    let rule = json!({
        "timeouts": {"request": "0s"},
        "backendRefs": processor::fallback_refs(make, &place.namespace),
    });
    let spec = spec(&endpoint.parents, &endpoint.hosts, matches, &rule);
    make.owned(&ROUTE, purpose, place, &[&endpoint.owner], spec)
}

/// The `spec` of an HTTPRoute that does one thing: `rule` for any of these matches.
pub(super) fn spec(parents: &[Parent], hosts: &[Arc<str>], matches: &[HttpRouteRulesMatches], rule: &Value) -> Value {
    let parents: Vec<Value> = parents.iter().map(parent).collect();
    let for_some = |matches: &[HttpRouteRulesMatches]| {
        let mut rule = rule.clone();
        rule["matches"] = json!(matches);
        rule
    };
    let rules: Vec<Value> = matches.chunks(MAX_MATCHES).map(for_some).collect();
    let mut spec = json!({"parentRefs": parents, "rules": rules});
    if !hosts.is_empty() {
        spec["hostnames"] = json!(hosts);
    }
    spec
}

fn parent(parent: &Parent) -> Value {
    let Place { namespace, name } = &parent.gateway;
    // What the API server would fill in, so that what is applied is what stands there.
    let mut found = json!({"group": ROUTE.group, "kind": "Gateway", "namespace": &**namespace, "name": &**name});
    if let Some(section) = &parent.section {
        found["sectionName"] = json!(section);
    }
    if let Some(port) = parent.port {
        found["port"] = json!(port);
    }
    found
}
