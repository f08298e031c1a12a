//! The route to one upstream: what the user's own rule says of it, reached only with the processor's headers.

use super::names::{self, Purpose};
use super::public::{Entry, spec};
use super::{Make, Object, ROUTE};
use crate::edge::kube::plan::Upstream;
use crate::edge::kube::resources::{filters_of, kind_of_filter};
use serde_json::{Map, Value, json};

/// Headers that the upstream does not see. Never `x-mcp-endpoint`: without it the session's address is not found.
const OURS: [&str; 2] = ["x-mcp-upstream", "x-mcp-route-key"];

/// The route to this upstream; `None` where the processor always calls it itself. What the user's rule says beyond
/// filters and timeouts stays as it is.
pub(super) fn route(make: &Make<'_>, entry: &Entry<'_>, upstream: &Upstream) -> Option<Object> {
    let users = upstream.rule.as_deref()?;
    let name = &upstream.assigned.name;
    let mut rule = users.clone();
    rule.remove("name");
    rule.insert("filters".to_owned(), filters(users, upstream).into());
    rule.insert("timeouts".to_owned(), timeouts(users));
    let place = names::upstream_route(&upstream.namespace, name);
    let matches = entry.matches_of(name, make.route_key);
    let spec = spec(
        &entry.endpoint.parents,
        &entry.endpoint.hosts,
        &matches,
        &Value::Object(rule),
    );
    Some(make.owned(&ROUTE, Purpose::Upstream, place, &[&upstream.owner], spec))
}

/// The user's, without what would redirect; ours where only one of a kind may be.
fn filters(users: &Map<String, Value>, upstream: &Upstream) -> Vec<Value> {
    let mut kept = Vec::new();
    let (mut modifier, mut rewritten) = (None, None);
    for filter in filters_of(users) {
        match kind_of_filter(filter) {
            "RequestHeaderModifier" => modifier = filter.get("requestHeaderModifier"),
            "URLRewrite" => rewritten = filter.pointer("/urlRewrite/hostname"),
            "RequestRedirect" => {}
            _ => kept.push(filter.clone()),
        }
    }
    kept.push(rewrite(rewritten, upstream));
    kept.push(without_ours(modifier));
    kept
}

fn rewrite(users: Option<&Value>, upstream: &Upstream) -> Value {
    let mut rewrite = json!({"path": {"type": "ReplaceFullPath", "replaceFullPath": &*upstream.path}});
    if let Some(host) = users.and_then(Value::as_str).or(upstream.host.as_deref()) {
        rewrite["hostname"] = json!(host);
    }
    json!({"type": "URLRewrite", "urlRewrite": rewrite})
}

fn without_ours(users: Option<&Value>) -> Value {
    let mut modifier = users.and_then(Value::as_object).cloned().unwrap_or_default();
    let theirs = modifier.get("remove").and_then(Value::as_array).into_iter().flatten();
    let is_ours = |name: &Value| {
        OURS.iter()
            .any(|ours| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(ours)))
    };
    let theirs = theirs.filter(|name| !is_ours(name)).cloned();
    let removed: Vec<Value> = OURS.into_iter().map(Value::from).chain(theirs).collect();
    modifier.insert("remove".to_owned(), removed.into());
    json!({"type": "RequestHeaderModifier", "requestHeaderModifier": modifier})
}

/// The user's; none where the user says none, since a stream of server-sent events would end after 15 s.
fn timeouts(users: &Map<String, Value>) -> Value {
    let mut timeouts = users
        .get("timeouts")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    timeouts.entry("request").or_insert_with(|| json!("0s"));
    timeouts.into()
}
