//! Endpoints of one Gateway that ask for the same requests: Envoy has one route for them, so the older one has them.

use super::problem::{Problem, Why};
use crate::edge::kube::plan::{Endpoint, Parent};
use gateway_api::httproutes::HttpRouteRulesMatches;
use std::sync::Arc;

/// Why an endpoint cannot be served beside these, which are older; `None`: it can.
pub(crate) fn conflict(older: &[Arc<Endpoint>], endpoint: &Endpoint) -> Option<Problem> {
    let rival = older.iter().find(|older| has_all_of(older, endpoint))?;
    let host = match endpoint.hosts.first() {
        Some(host) => format!("host {host}"),
        None => "all hosts".to_owned(),
    };
    let message = format!(
        "path {} on {host} belongs to the older {} {}: ask for another path or host, or for a header that the other one \
         does not ask for",
        endpoint.path, rival.owner.kind, rival.owner.place
    );
    Some(Problem::new(Why::RouteConflict, message))
}

/// Whether every request that `endpoint` asks for is `older`'s. More precise hosts win in Envoy, so only the same count.
fn has_all_of(older: &Endpoint, endpoint: &Endpoint) -> bool {
    let same_hosts = match (older.hosts.as_slice(), endpoint.hosts.as_slice()) {
        ([], []) => true,
        ([], [_, ..]) | ([_, ..], []) => false,
        (older, hosts) => hosts.iter().all(|host| older.contains(host)),
    };
    let taken = wishes(older);
    older.path == endpoint.path
        && same_hosts
        && endpoint
            .parents
            .iter()
            .all(|parent| older.parents.iter().any(|other| meets(parent, other)))
        && wishes(endpoint).iter().all(|wish| taken.contains(wish))
}

/// Whether the two are, or may be, on one listener.
fn meets(one: &Parent, other: &Parent) -> bool {
    let same_section = one.section == other.section || one.section.is_none() || other.section.is_none();
    let same_port = one.port == other.port || one.port.is_none() || other.port.is_none();
    one.gateway == other.gateway && same_section && same_port
}

/// What its public routes ask for beside path and host.
fn wishes(endpoint: &Endpoint) -> Vec<HttpRouteRulesMatches> {
    if endpoint.outranks.is_empty() {
        return vec![HttpRouteRulesMatches::default()];
    }
    let wish = |found: &HttpRouteRulesMatches| {
        let mut wish = HttpRouteRulesMatches {
            path: None,
            ..found.clone()
        };
        if let Some(headers) = &mut wish.headers {
            headers.iter_mut().for_each(|header| header.name.make_ascii_lowercase());
            headers.sort_by(|one, two| one.name.cmp(&two.name));
        }
        wish.headers = wish.headers.filter(|headers| !headers.is_empty());
        wish.query_params = wish.query_params.filter(|parameters| !parameters.is_empty());
        wish
    };
    endpoint.outranks.iter().map(wish).collect()
}
