//! The rule of a registered HTTPRoute that leads to the server, and the guard against direct requests.

use crate::edge::kube::index::object::place_of;
use crate::edge::kube::index::parents;
use crate::edge::kube::index::problem::{Problem, Why};
use crate::edge::kube::plan::Guard;
use crate::edge::kube::resources::{Route, Rule};
use gateway_api::httproutes::{
    HttpRouteRules, HttpRouteRulesFiltersType, HttpRouteRulesMatches, HttpRouteRulesMatchesPath,
    HttpRouteRulesMatchesPathType as PathType,
};

/// `allowed` on a registered HTTPRoute: clients may use it beside the gateway.
pub const DIRECT_ACCESS: &str = "mcp-manifold/direct-access";

/// The rule that a request for `path` takes. A single rule is meant whatever it matches.
///
/// # Errors
/// `RouteInvalid`: there is none, or it cannot lead to a server.
pub(crate) fn serving<'r>(route: &'r Route, path: &str) -> Result<&'r Rule, Problem> {
    let at = place_of(&route.metadata);
    let invalid = |what: &str| Problem::new(Why::RouteInvalid, format!("HTTPRoute {at} {what}"));
    if route.spec.hostnames.as_ref().is_none_or(Vec::is_empty) {
        return Err(invalid(
            "has no hostname: give it one of its own, which is used inside the gateway only",
        ));
    }
    let rules = route.rules.as_slice();
    let rule = match rules {
        [] => return Err(invalid("has no rule")),
        [only] => only,
        [_, _, ..] => {
            let fitting = rules.iter().filter_map(|rule| Some((precision(rule, path)?, rule)));
            // Of equals the first wins, as in Gateway API.
            let best = fitting.reduce(|best, one| if one.0 > best.0 { one } else { best });
            best.map(|(_, rule)| rule)
                .ok_or_else(|| invalid(&format!("has no rule that matches {path:?}")))?
        }
    };
    let redirects = |kind: &HttpRouteRulesFiltersType| *kind == HttpRouteRulesFiltersType::RequestRedirect;
    if rule.filters.iter().flatten().any(|filter| redirects(&filter.r#type)) {
        return Err(invalid("redirects instead of leading to a server"));
    }
    Ok(rule)
}

/// How precisely the rule matches the path: exact before prefix before expression, longer before shorter.
fn precision(rule: &HttpRouteRules, path: &str) -> Option<(u8, usize)> {
    matches(rule)
        .iter()
        .filter_map(|one| fits(one.path.as_ref(), path))
        .max()
}

fn fits(wanted: Option<&HttpRouteRulesMatchesPath>, path: &str) -> Option<(u8, usize)> {
    let value = wanted.and_then(|wanted| wanted.value.as_deref()).unwrap_or("/");
    match wanted
        .and_then(|wanted| wanted.r#type.as_ref())
        .unwrap_or(&PathType::PathPrefix)
    {
        PathType::Exact => (value == path).then_some((2, value.len())),
        PathType::PathPrefix => {
            let prefix = value.trim_end_matches('/');
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((1, value.len()))
        }
        // Not evaluated here: it is meant only if nothing else is.
        PathType::RegularExpression => Some((0, value.len())),
    }
}

/// Its matches; the usual one where it has none.
fn matches(rule: &HttpRouteRules) -> Vec<HttpRouteRulesMatches> {
    let given = rule.matches.as_deref().unwrap_or_default();
    if given.is_empty() {
        vec![HttpRouteRulesMatches {
            path: Some(HttpRouteRulesMatchesPath {
                r#type: Some(PathType::PathPrefix),
                value: Some("/".to_owned()),
            }),
            ..HttpRouteRulesMatches::default()
        }]
    } else {
        given.to_vec()
    }
}

/// What direct requests to the server would match: every rule of the route that shares a backend with the one registered.
#[must_use]
pub(crate) fn guard(route: &Route, rule: &Rule) -> Option<Guard> {
    let annotation = route
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(DIRECT_ACCESS));
    if annotation.is_some_and(|value| value == "allowed") {
        return None;
    }
    let backends = |rule: &HttpRouteRules| -> Vec<(String, Option<String>)> {
        let references = rule.backend_refs.iter().flatten();
        references
            .map(|one| (one.name.clone(), one.namespace.clone()))
            .collect()
    };
    let registered = backends(rule);
    let same = route
        .rules
        .iter()
        .filter(|other| backends(other).iter().any(|backend| registered.contains(backend)));
    Some(Guard {
        route: place_of(&route.metadata),
        parents: parents::of(route),
        hosts: route
            .spec
            .hostnames
            .iter()
            .flatten()
            .map(|host| host.as_str().into())
            .collect(),
        matches: same.flat_map(|rule| matches(rule)).collect(),
    })
}
