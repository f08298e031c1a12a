//! What keeps clients from a registered server's own route, without touching that route: for each of its matches one that
//! wins and refuses.
//!
//! Only a route of the same host can win, so a route on other hosts or listeners stays as it is.
//! Routes that are guarded alike share one of ours.

use super::matches::{ALWAYS_THERE, asks_for, one_more, weight};
use super::names::{self, Purpose};
use super::public::spec;
use super::{FILTER, Make, Object, ROUTE};
use crate::edge::kube::plan::{self, Guard, Owner, Parent, Place};
use gateway_api::httproutes::HttpRouteRulesMatches;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

/// What a client reads that calls a registered server directly: the same error as for a foreign host.
const REFUSAL: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"this server is reached through its MCP gateway only"}}"#;

/// Hosts of one route, at most (Gateway API).
const MAX_HOSTS: usize = 16;
/// About so many users' routes share one of ours, where they are guarded alike.
const SHARED: u8 = 12;

/// Users' routes that are guarded alike, and how.
pub(super) struct Guarded<'a> {
    /// Never empty.
    guards: Vec<&'a Guard>,
    /// Of every upstream that they lead to.
    owners: Vec<&'a Owner>,
    /// Each wins against one of the routes' own.
    matches: Vec<HttpRouteRulesMatches>,
}

/// All guarded routes of a Gateway, each once.
///
/// Those that differ in nothing but hosts share a route of ours: a thousand servers would be a thousand routes more. What
/// comes and goes changes one of them only: where one ends and the next begins is a matter of the routes' names.
pub(super) fn all(gateway: &plan::Gateway) -> Vec<Guarded<'_>> {
    let mut owners: BTreeMap<&Place, (&Guard, Vec<&Owner>)> = BTreeMap::new();
    for upstream in gateway.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams) {
        if let Some(guard) = &upstream.guard {
            let (_, found) = owners.entry(&guard.route).or_insert((guard, Vec::new()));
            found.push(&upstream.owner);
        }
    }
    let mut all: Vec<Guarded<'_>> = Vec::new();
    let mut open: HashMap<(&str, &[Parent], String), usize> = HashMap::new();
    for (guard, owners) in owners.into_values() {
        let matches = matches(gateway, guard);
        let alike = (&*guard.route.namespace, &*guard.parents, json!(matches).to_string());
        let room = open.get(&alike).and_then(|at| all.get_mut(*at));
        match room.filter(|found| found.takes(guard)) {
            Some(found) => {
                found.guards.push(guard);
                found.owners.extend(owners);
            }
            None => {
                open.insert(alike, all.len());
                all.push(Guarded {
                    guards: vec![guard],
                    owners,
                    matches,
                });
            }
        }
    }
    all
}

impl Guarded<'_> {
    /// Whether one more that is guarded alike fits.
    fn takes(&self, guard: &Guard) -> bool {
        // Without hosts it is for all of them.
        let named = !guard.hosts.is_empty() && self.guards.iter().all(|known| !known.hosts.is_empty());
        let begins = Sha256::digest(guard.route.name.as_bytes())
            .first()
            .is_some_and(|byte| byte % SHARED == 0);
        named && !begins && self.hosts().len() + guard.hosts.len() <= MAX_HOSTS
    }

    fn hosts(&self) -> Vec<Arc<str>> {
        let mut hosts: Vec<Arc<str>> = Vec::new();
        for host in self.guards.iter().flat_map(|guard| &guard.hosts) {
            if !hosts.contains(host) {
                hosts.push(Arc::clone(host));
            }
        }
        hosts
    }
}

/// How many headers guards ask for at a path, at most; 0: no guard stands there. Public routes on it ask for more.
pub(super) fn weight_at(guarded: &[Guarded<'_>], path: &str) -> usize {
    let matches = guarded.iter().flat_map(|guarded| &guarded.matches);
    let here = matches.filter(|found| asks_for(found, path));
    here.map(weight).max().unwrap_or(0)
}

/// Why a user's route cannot be guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// No match asks for more headers than it does.
    Full,
    /// A guard would win against the public routes of an endpoint too.
    Endpoint,
}

impl Obstacle {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Full => "it asks for so many headers that no route can win against it; let it ask for fewer",
            Self::Endpoint => {
                "it asks for the path of an MCP endpoint on the endpoint's host, with so many headers that a guard would \
                 shut the endpoint itself; give it a host of its own"
            }
        }
    }
}

/// Upstreams that clients can reach around the processor, because their users' route cannot be guarded: a sentence each.
#[must_use]
pub fn unguarded(gateway: &plan::Gateway) -> BTreeMap<Arc<str>, String> {
    let upstreams = gateway.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams);
    let open = upstreams.filter_map(|upstream| {
        let guard = upstream.guard.as_ref()?;
        let obstacle = judged(gateway, guard).find_map(Result::err)?;
        let route = &guard.route;
        let sentence = format!(
            "clients can use HTTPRoute {route} around the processor: {}",
            obstacle.sentence()
        );
        Some((upstream.assigned.name.as_str().into(), sentence))
    });
    open.collect()
}

/// Matches that win against those of the guarded route, but not against a public one.
fn matches(gateway: &plan::Gateway, guard: &Guard) -> Vec<HttpRouteRulesMatches> {
    judged(gateway, guard).filter_map(Result::ok).collect()
}

/// For each of the route's matches the one that wins against it.
///
/// Where that route shares the MCP path and maybe a host with an endpoint, and asks for so many headers that the public
/// route cannot ask for more, there is no guard: the endpoint must work.
fn judged<'a>(
    gateway: &'a plan::Gateway,
    guard: &'a Guard,
) -> impl Iterator<Item = Result<HttpRouteRulesMatches, Obstacle>> + 'a {
    static ALL: LazyLock<[HttpRouteRulesMatches; 1]> = LazyLock::new(Default::default);
    let users = if guard.matches.is_empty() {
        &ALL[..]
    } else {
        &guard.matches
    };
    let in_the_way = |found: &HttpRouteRulesMatches| {
        let endpoints = gateway.endpoints.iter();
        let mut here = endpoints.filter(|endpoint| may_share_a_host(&endpoint.hosts, &guard.hosts));
        weight(found) >= ALWAYS_THERE.len() && here.any(|endpoint| asks_for(found, &endpoint.path))
    };
    users.iter().map(move |users| match one_more(users) {
        None => Err(Obstacle::Full),
        Some(found) if in_the_way(&found) => Err(Obstacle::Endpoint),
        Some(found) => Ok(found),
    })
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
    let Guarded {
        guards,
        owners,
        matches,
    } = guarded;
    let first = guards.first().filter(|_| !matches.is_empty())?;
    let Place { name, .. } = refusal_place(make, &first.route.namespace);
    let refused = json!({"group": FILTER.group, "kind": FILTER.kind, "name": &*name});
    let rule = json!({"filters": [{"type": "ExtensionRef", "extensionRef": refused}]});
    let place = names::guard_route(&make.gateway.place, &first.route);
    let spec = spec(&first.parents, &guarded.hosts(), matches, &rule);
    Some(make.owned(&ROUTE, Purpose::Guard, place, owners, spec))
}

fn refusal_place(make: &Make<'_>, namespace: &Arc<str>) -> Place {
    names::of_gateway("mcp-guard", &make.gateway.place, namespace)
}
