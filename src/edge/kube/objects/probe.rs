//! What to ask a Gateway in order to learn whether a generated route to an upstream stands, and is guarded.
//!
//! A route whose policy is missing is open to whoever knows the route key, and nothing in its status tells. So it is
//! asked for as the processor's requests do, and with an origin that no endpoint takes: whoever answers tells which
//! route it was (see [`crate::engine::exchange::ROUTE_REFUSED`]).

use super::matches::ALWAYS_THERE;
use super::names;
use super::public::Entry;
use crate::edge::kube::plan::{self, Door, Place};
use crate::engine::config::Confidential;
use gateway_api::httproutes::{
    HttpRouteRulesMatches, HttpRouteRulesMatchesHeaders, HttpRouteRulesMatchesHeadersType as HeaderType,
    HttpRouteRulesMatchesQueryParamsType as QueryType,
};
use std::fmt;
use std::sync::Arc;

/// One route to ask for.
#[derive(Clone, PartialEq)]
pub struct Probe {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The generated route.
    pub route: Place,
    /// Where its endpoint is reached.
    pub door: Door,
    /// Of the request.
    pub method: String,
    /// ... with its query.
    pub path: String,
    /// Those that the route asks for. One is the route key: they are not to be printed.
    pub headers: Vec<(String, String)>,
}

/// A probe for each generated route to an upstream, by the upstream's name; a sentence where none can be made.
#[must_use]
pub fn probes(gateway: &plan::Gateway, route_key: &Confidential) -> Vec<(Arc<str>, Result<Probe, String>)> {
    let guarded = super::guard::all(gateway);
    let mut probes = Vec::new();
    for endpoint in &gateway.endpoints {
        let entry = Entry::of(endpoint, &guarded);
        for upstream in endpoint.upstreams.iter().filter(|upstream| upstream.rule.is_some()) {
            let name: Arc<str> = upstream.assigned.name.as_str().into();
            let route = names::upstream_route(&upstream.namespace, &name);
            let probe = probe(endpoint, &entry, &name, route, route_key);
            probes.push((name, probe));
        }
    }
    probes
}

fn probe(
    endpoint: &plan::Endpoint,
    entry: &Entry<'_>,
    upstream: &Arc<str>,
    route: Place,
    route_key: &Confidential,
) -> Result<Probe, String> {
    let Some(door) = endpoint.door.clone() else {
        return Err("no listener of the Gateway leads to it".to_owned());
    };
    let matches = entry.matches_of(upstream, route_key);
    let asked = matches
        .iter()
        .find_map(|found| Some((headers(found)?, query(found)?, found)));
    let Some((headers, query, found)) = asked else {
        return Err("the user's route asks for headers or parameters by regular expressions".to_owned());
    };
    let method = found
        .method
        .as_ref()
        .map(|method| format!("{method:?}").to_ascii_uppercase());
    Ok(Probe {
        upstream: Arc::clone(upstream),
        route,
        door,
        method: method.unwrap_or_else(|| "POST".to_owned()),
        path: format!("{}{query}", endpoint.path),
        headers,
    })
}

/// Those that a request needs to fit. `None`: they are not known.
fn headers(found: &HttpRouteRulesMatches) -> Option<Vec<(String, String)>> {
    let wanted = found.headers.iter().flatten();
    let free = |header: &&HttpRouteRulesMatchesHeaders| {
        !ALWAYS_THERE.iter().any(|name| header.name.eq_ignore_ascii_case(name)) || !is_pattern(header)
    };
    let known = |header: &HttpRouteRulesMatchesHeaders| {
        (!is_pattern(header)).then(|| (header.name.clone(), header.value.clone()))
    };
    wanted.filter(free).map(known).collect()
}

fn is_pattern(header: &HttpRouteRulesMatchesHeaders) -> bool {
    header.r#type == Some(HeaderType::RegularExpression)
}

fn query(found: &HttpRouteRulesMatches) -> Option<String> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for wanted in found.query_params.iter().flatten() {
        if wanted.r#type == Some(QueryType::RegularExpression) {
            return None;
        }
        query.append_pair(&wanted.name, &wanted.value);
    }
    let query = query.finish();
    Some(if query.is_empty() { query } else { format!("?{query}") })
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Probe")
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}
