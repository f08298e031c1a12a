//! The route to one upstream: what the user's own rule says of it, reached only with the processor's headers.

use super::names::{self, Purpose};
use super::public::{Entry, spec};
use super::{Make, Object, ROUTE};
use crate::edge::kube::plan::Upstream;
use gateway_api::httproutes::{
    HttpRouteRules, HttpRouteRulesFilters, HttpRouteRulesFiltersRequestHeaderModifier, HttpRouteRulesFiltersType,
    HttpRouteRulesFiltersUrlRewrite,
};
use serde_json::{Value, json};

/// Headers that the upstream does not see. Never `x-mcp-endpoint`: without it the session's address is not found.
const OURS: [&str; 2] = ["x-mcp-upstream", "x-mcp-route-key"];

/// The route to this upstream; `None` where the processor always calls it itself.
pub(super) fn route(make: &Make<'_>, entry: &Entry<'_>, upstream: &Upstream) -> Option<Object> {
    let users = upstream.rule.as_deref()?;
    let name = &upstream.assigned.name;
    let mut rule = json!({"filters": filters(users, upstream), "timeouts": timeouts(users)});
    if let Some(backends) = &users.backend_refs {
        rule["backendRefs"] = json!(backends);
    }
    let place = names::upstream_route(&upstream.namespace, name);
    let matches = entry.matches_of(name, make.route_key);
    let spec = spec(&entry.endpoint.parents, &entry.endpoint.hosts, &matches, &rule);
    Some(make.owned(&ROUTE, Purpose::Upstream, place, &[&upstream.owner], spec))
}

/// The user's, without what would redirect; ours where only one of a kind may be.
fn filters(users: &HttpRouteRules, upstream: &Upstream) -> Vec<Value> {
    let mut kept = Vec::new();
    let mut modifier = HttpRouteRulesFiltersRequestHeaderModifier::default();
    let mut rewritten = None;
    for filter in users.filters.iter().flatten() {
        match filter.r#type {
            HttpRouteRulesFiltersType::RequestHeaderModifier => {
                modifier = filter.request_header_modifier.clone().unwrap_or_default();
            }
            HttpRouteRulesFiltersType::UrlRewrite => rewritten = filter.url_rewrite.as_ref(),
            HttpRouteRulesFiltersType::RequestRedirect => {}
            HttpRouteRulesFiltersType::ResponseHeaderModifier
            | HttpRouteRulesFiltersType::RequestMirror
            | HttpRouteRulesFiltersType::ExtensionRef
            | HttpRouteRulesFiltersType::Cors => kept.push(json!(filter)),
        }
    }
    kept.push(rewrite(rewritten, upstream));
    kept.push(without_ours(modifier));
    kept
}

fn rewrite(users: Option<&HttpRouteRulesFiltersUrlRewrite>, upstream: &Upstream) -> Value {
    let mut rewrite = json!({"path": {"type": "ReplaceFullPath", "replaceFullPath": &*upstream.path}});
    let theirs = users.and_then(|rewrite| rewrite.hostname.as_deref());
    if let Some(host) = theirs.or(upstream.host.as_deref()) {
        rewrite["hostname"] = json!(host);
    }
    json!({"type": "URLRewrite", "urlRewrite": rewrite})
}

fn without_ours(mut modifier: HttpRouteRulesFiltersRequestHeaderModifier) -> Value {
    let removed = modifier.remove.get_or_insert_default();
    removed.retain(|name| !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)));
    removed.splice(0..0, OURS.map(str::to_owned));
    json!(HttpRouteRulesFilters {
        r#type: HttpRouteRulesFiltersType::RequestHeaderModifier,
        request_header_modifier: Some(modifier),
        ..HttpRouteRulesFilters::default()
    })
}

/// The user's; none where the user says none, since a stream of server-sent events would end after 15 s.
fn timeouts(users: &HttpRouteRules) -> Value {
    let mut timeouts = users
        .timeouts
        .as_ref()
        .map_or_else(|| json!({}), |timeouts| json!(timeouts));
    if timeouts.get("request").is_none() {
        timeouts["request"] = json!("0s");
    }
    timeouts
}
