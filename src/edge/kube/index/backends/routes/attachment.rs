//! Which rules of an HTTPRoute lead to backend objects, and on which path. Pure reading of one object.

use super::super::referent;
use crate::edge::kube::index::object::{Key, Kind, place_of};
use crate::edge::kube::index::problem::{Problem, Why};
use crate::edge::kube::resources::{Route, Rule, kind_of_filter};
use gateway_api::httproutes::{
    HttpRoute, HttpRouteRules, HttpRouteRulesBackendRefs, HttpRouteRulesMatches, HttpRouteRulesMatchesPath,
    HttpRouteRulesMatchesPathType as PathType,
};
use std::collections::BTreeSet;

/// The path of an endpoint whose route matches everything.
const USUAL_PATH: &str = "/mcp";

/// A backend object on one path of a route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attachment {
    /// The object.
    pub backend: Key,
    /// The path it is served on.
    pub path: String,
    /// The matches that lead to it there; never empty.
    pub matches: Vec<HttpRouteRulesMatches>,
    /// The first rule that does.
    pub rule: Rule,
}

/// What a route names.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// In the order of its rules.
    pub attachments: Vec<Attachment>,
    /// What cannot be served.
    pub problems: Vec<Problem>,
}

/// The backend objects that a route names.
#[must_use]
pub(crate) fn backends_of(route: &Route) -> BTreeSet<Key> {
    let references = route.rules.iter().flat_map(|rule| rule.backend_refs.iter().flatten());
    references.filter_map(|reference| key(route, reference)).collect()
}

/// Its attachments. Matches of several rules that lead to one object on one path are one endpoint.
#[must_use]
pub(crate) fn of(route: &Route) -> Named {
    let mut named = Named::default();
    for rule in &route.rules {
        let weighty = rule.backend_refs.iter().flatten().filter(|one| one.weight != Some(0));
        let references: Vec<_> = weighty.collect();
        let Some(backend) = references.iter().find_map(|reference| key(route, reference)) else {
            continue;
        };
        if references.len() > 1 {
            let what = format!("has a rule with several backendRefs: only {} is served", backend.place);
            named.problems.push(invalid(route, &what));
        }
        named
            .problems
            .extend(unused_filters(rule).map(|what| invalid(route, &what)));
        for one in matches(rule) {
            match path(one.path.as_ref()) {
                Some(path) => named.attach(&backend, path, one, rule),
                None => named.problems.push(invalid(
                    route,
                    "matches paths by a regular expression: an MCP endpoint needs an exact path or a prefix",
                )),
            }
        }
    }
    named
}

impl Named {
    fn attach(&mut self, backend: &Key, path: String, one: HttpRouteRulesMatches, rule: &Rule) {
        let mut known = self.attachments.iter_mut();
        match known.find(|known| known.backend == *backend && known.path == path) {
            Some(known) => known.matches.push(one),
            None => self.attachments.push(Attachment {
                backend: backend.clone(),
                path,
                matches: vec![one],
                rule: rule.clone(),
            }),
        }
    }
}

fn invalid(route: &HttpRoute, what: &str) -> Problem {
    let at = place_of(&route.metadata);
    Problem::new(Why::RouteInvalid, format!("HTTPRoute {at} {what}"))
}

fn key(route: &HttpRoute, reference: &HttpRouteRulesBackendRefs) -> Option<Key> {
    let kinds = [Kind::AgentgatewayBackend, Kind::KgatewayBackend];
    let kind = kinds.into_iter().find(|kind| {
        let (version, word) = kind.types();
        let group = version.split_once('/').map(|(group, _)| group);
        reference.group.as_deref() == group && reference.kind.as_deref() == Some(word)
    })?;
    let own = place_of(&route.metadata).namespace;
    Some(Key::new(
        kind,
        referent(&own, reference.namespace.as_deref(), &reference.name),
    ))
}

/// Filters that mean nothing where the processor answers.
fn unused_filters(rule: &Rule) -> impl Iterator<Item = String> {
    let unused = rule.filters().map(kind_of_filter).filter(|kind| !is_kept(kind));
    unused.map(|kind| format!("has a filter without effect on an MCP endpoint: {kind}"))
}

/// Whether a filter of the user's rule is copied to the routes that lead to servers. The path is the server's, and CORS
/// is the public route's matter.
pub(super) fn is_kept(kind: &str) -> bool {
    !["CORS", "RequestRedirect", "URLRewrite"].contains(&kind)
}

/// A rule without matches takes everything.
fn matches(rule: &HttpRouteRules) -> Vec<HttpRouteRulesMatches> {
    let given = rule.matches.as_deref().unwrap_or_default();
    if !given.is_empty() {
        return given.to_vec();
    }
    vec![HttpRouteRulesMatches {
        path: Some(HttpRouteRulesMatchesPath {
            r#type: Some(PathType::PathPrefix),
            value: Some("/".to_owned()),
        }),
        ..HttpRouteRulesMatches::default()
    }]
}

/// `None`: an expression, of which no path can be told.
fn path(wanted: Option<&HttpRouteRulesMatchesPath>) -> Option<String> {
    let value = wanted.and_then(|wanted| wanted.value.as_deref()).unwrap_or("/");
    match wanted
        .and_then(|wanted| wanted.r#type.as_ref())
        .unwrap_or(&PathType::PathPrefix)
    {
        PathType::Exact => Some(value.to_owned()),
        PathType::PathPrefix => {
            let path = value.trim_end_matches('/');
            Some(if path.is_empty() { USUAL_PATH } else { path }.to_owned())
        }
        PathType::RegularExpression => None,
    }
}
