//! What keeps clients from a registered server's own route, without touching that route: for each of its matches one that
//! wins and refuses.
//!
//! Only a route of the same host can win, so a route on other hosts or listeners stays as it is.

use super::matches::{ALWAYS_THERE, asks_for, one_more, weight};
use super::names::{self, Purpose};
use super::public::spec;
use super::{FILTER, Make, Object, ROUTE};
use crate::edge::kube::plan::{self, Guard, Owner, Place};
use gateway_api::httproutes::HttpRouteRulesMatches;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client reads that calls a registered server directly: the same error as for a foreign host.
const REFUSAL: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"this server is reached through its MCP gateway only"}}"#;

/// A user's route that is guarded, and how.
pub(super) struct Guarded<'a> {
    guard: &'a Guard,
    /// Of every upstream that it leads to.
    owners: Vec<&'a Owner>,
    /// Each wins against one of the route's own.
    matches: Vec<HttpRouteRulesMatches>,
}

/// All guarded routes of a Gateway, each once.
pub(super) fn all(gateway: &plan::Gateway) -> Vec<Guarded<'_>> {
    let mut owners: BTreeMap<&Place, (&Guard, Vec<&Owner>)> = BTreeMap::new();
    for upstream in gateway.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams) {
        if let Some(guard) = &upstream.guard {
            let (_, found) = owners.entry(&guard.route).or_insert((guard, Vec::new()));
            found.push(&upstream.owner);
        }
    }
    let guarded = |(guard, owners)| Guarded {
        matches: matches(gateway, guard),
        guard,
        owners,
    };
    owners.into_values().map(guarded).collect()
}

/// How many headers guards ask for at a path, at most; 0: no guard stands there. Public routes on it ask for more.
pub(super) fn weight_at(guarded: &[Guarded<'_>], path: &str) -> usize {
    let matches = guarded.iter().flat_map(|guarded| &guarded.matches);
    let here = matches.filter(|found| asks_for(found, path));
    here.map(weight).max().unwrap_or(0)
}

/// Matches that win against those of the guarded route, but not against a public one.
///
/// Where that route shares the MCP path and maybe a host with an endpoint, and asks for so many headers that the public
/// route cannot ask for more, there is no guard: the endpoint must work.
fn matches(gateway: &plan::Gateway, guard: &Guard) -> Vec<HttpRouteRulesMatches> {
    let all = [HttpRouteRulesMatches::default()];
    let users = if guard.matches.is_empty() {
        &all[..]
    } else {
        &guard.matches
    };
    let in_the_way = |found: &HttpRouteRulesMatches| {
        let endpoints = gateway.endpoints.iter();
        let mut here = endpoints.filter(|endpoint| may_share_a_host(&endpoint.hosts, &guard.hosts));
        weight(found) >= ALWAYS_THERE.len() && here.any(|endpoint| asks_for(found, &endpoint.path))
    };
    let guards = users.iter().filter_map(one_more);
    guards.filter(|found| !in_the_way(found)).collect()
}

/// Whether routes with these hosts may meet in one of Envoy's virtual hosts. None given: those of the listener.
fn may_share_a_host(one: &[Arc<str>], other: &[Arc<str>]) -> bool {
    let same = |host: &Arc<str>| other.iter().any(|known| known.eq_ignore_ascii_case(host));
    one.is_empty() || other.is_empty() || one.iter().any(same)
}

/// What refuses. Routes name it, so it stands in their namespace.
pub(super) fn refusal(make: &Make<'_>, namespace: &Arc<str>) -> Object {
    let spec = json!({"directResponse": {
        "statusCode": 403,
        "contentType": "application/json",
        "body": {"type": "Inline", "inline": REFUSAL},
    }});
    make.shared(&FILTER, Purpose::Guard, refusal_place(make, namespace), spec)
}

/// The route that refuses; `None` where nothing can be guarded.
pub(super) fn route(make: &Make<'_>, guarded: &Guarded<'_>) -> Option<Object> {
    let Guarded { guard, owners, matches } = guarded;
    if matches.is_empty() {
        return None;
    }
    let Place { name, .. } = refusal_place(make, &guard.route.namespace);
    let refused = json!({"group": FILTER.group, "kind": FILTER.kind, "name": &*name});
    let rule = json!({"filters": [{"type": "ExtensionRef", "extensionRef": refused}]});
    let place = names::guard_route(&make.gateway.place, &guard.route);
    let spec = spec(&guard.parents, &guard.hosts, matches, &rule);
    Some(make.owned(&ROUTE, Purpose::Guard, place, owners, spec))
}

fn refusal_place(make: &Make<'_>, namespace: &Arc<str>) -> Place {
    names::of_gateway("mcp-guard", &make.gateway.place, namespace)
}
