//! HTTPRoutes that name backend objects: which endpoints they make, and what they show.

use super::backends::{BACKEND, GATEWAY, change, heads, plan, world};
use super::fixtures::{Seen, World, at, mk_object};
use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

/// The conditions that a route is to show for its only parent.
fn shown(seen: &Seen, route: &str) -> Vec<Condition> {
    let mut changes = seen.0.statuses.iter();
    let change = changes.find(|change| change.key == Key::new(Kind::Route, at(route)));
    let Status::Parents(parents) = &change.expect("a status").status else {
        panic!("parents")
    };
    let [parent] = parents.as_slice() else {
        panic!("one parent")
    };
    assert_eq!(parent.controller_name, CONTROLLER);
    parent.conditions.clone()
}

fn condition(seen: &Seen, route: &str, kind: &str) -> (String, String) {
    let all = shown(seen, route);
    let found = all.into_iter().find(|condition| condition.type_ == kind);
    let found = found.expect("a condition");
    (format!("{} {}", found.status, found.reason), found.message)
}

#[test]
fn a_route_without_its_backend_says_so_and_one_without_a_grant_too() {
    let mut world = world();
    world.index.delete(&Key::new(Kind::AgentgatewayBackend, at(BACKEND)));
    let resolved = |seen: &Seen| condition(seen, "default/mcp", "ResolvedRefs").0;
    assert_eq!(resolved(&world.changes()), "False BackendNotFound");
    change(&mut world, "AgentgatewayBackend", |backend| {
        backend["metadata"]["namespace"] = json!("team")
    });
    change(&mut world, "HTTPRoute", |route| {
        route["spec"]["rules"][0]["backendRefs"][0]["namespace"] = json!("team");
    });
    assert_eq!(resolved(&world.changes()), "False ReferenceGrantRequired");
    world.index.apply(mk_object(&json!({
        "kind": "ReferenceGrant", "metadata": {"name": "g", "namespace": "team"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
            "to": [{"group": "agentgateway.dev", "kind": "AgentgatewayBackend"}]
        }
    })));
    assert_eq!(resolved(&world.changes()), "True ResolvedRefs");
}

#[test]
fn two_routes_to_one_backend_are_two_endpoints_and_share_no_upstream() {
    let mut world = world();
    let alone = plan(&mut world);
    change(&mut world, "HTTPRoute", |route| {
        route["metadata"]["name"] = json!("younger");
        route["metadata"]["creationTimestamp"] = json!("2026-11-05T00:00:00Z");
        route["spec"]["hostnames"] = json!(["Second.Example.com"]);
        route["spec"]["rules"][0]["matches"] = json!([{"path": {"type": "PathPrefix", "value": "/second/"}}]);
    });
    let both = plan(&mut world);
    let [first, second] = both.endpoints.as_slice() else {
        panic!("two endpoints")
    };
    assert!(Arc::ptr_eq(first, &alone.endpoints[0]), "the older one stays as it is");
    assert_eq!((&*second.path, &*second.hosts[0]), ("/second", "second.example.com"));
    assert_ne!(first.id, second.id);
    assert_ne!(first.upstreams[0].assigned.name, second.upstreams[0].assigned.name);
}

#[test]
fn a_route_that_leaves_takes_its_endpoint_along() {
    let mut world = world();
    plan(&mut world);
    world.index.delete(&Key::new(Kind::Route, at("default/mcp")));
    let seen = world.changes();
    assert!(
        seen.0
            .plans
            .iter()
            .any(|(place, plan)| *place == at(GATEWAY) && plan.is_none())
    );
    assert!(
        heads(&seen).contains(&"Ready False RouteNotFound".to_owned()),
        "{:?}",
        heads(&seen)
    );
}

/// The route of the page again, younger, and changed.
fn second(world: &mut World, more: impl FnOnce(&mut serde_json::Value)) {
    change(world, "HTTPRoute", |route| {
        route["metadata"]["name"] = json!("younger");
        route["metadata"]["uid"] = json!("y");
        route["metadata"]["creationTimestamp"] = json!("2026-11-05T00:00:00Z");
        more(route);
    });
}

#[test]
fn of_two_routes_that_ask_for_the_same_the_older_one_is_served_and_the_other_says_so() {
    let mut world = world();
    let alone = plan(&mut world);
    world.settle();
    second(&mut world, |_| {});
    let seen = world.settle();
    assert!(seen.plan(GATEWAY).is_none(), "nothing changes for the older one");
    let (head, message) = condition(&seen, "default/younger", "Accepted");
    assert_eq!(head, "False RouteConflict");
    assert!(
        message.contains("path /mcp on all hosts belongs to the older HTTPRoute default/mcp"),
        "{message}"
    );
    assert_eq!(
        condition(&seen, "default/younger", "ResolvedRefs").0,
        "True ResolvedRefs"
    );

    // Another header, another host: each is a way out.
    second(&mut world, |route| {
        route["spec"]["rules"][0]["matches"] = json!([{"headers": [{"name": "x-team", "value": "two"}]}]);
    });
    let seen = world.settle();
    assert_eq!(seen.plan(GATEWAY).expect("it is served").endpoints.len(), 2);
    assert_eq!(condition(&seen, "default/younger", "Accepted").0, "True Accepted");
    second(&mut world, |_| {});
    assert_eq!(
        condition(&world.settle(), "default/younger", "Accepted").0,
        "False RouteConflict"
    );

    world.index.delete(&Key::new(Kind::Route, at("default/mcp")));
    let seen = world.settle();
    assert_eq!(condition(&seen, "default/younger", "Accepted").0, "True Accepted");
    let now = seen.plan(GATEWAY).expect("it is served");
    assert_ne!(now.endpoints[0].id, alone.endpoints[0].id);
}

#[test]
fn a_route_that_lost_one_of_its_paths_serves_the_other() {
    let mut world = world();
    plan(&mut world);
    second(&mut world, |route| {
        let rule = route["spec"]["rules"][0].clone();
        let mut other = rule.clone();
        other["matches"] = json!([{"path": {"type": "Exact", "value": "/other"}}]);
        route["spec"]["rules"] = json!([rule, other]);
    });
    let seen = world.settle();
    let paths: Vec<_> = plan(&mut world)
        .endpoints
        .iter()
        .map(|one| one.path.to_string())
        .collect();
    assert_eq!(paths, ["/mcp", "/other"]);
    assert_eq!(condition(&seen, "default/younger", "Accepted").0, "True Accepted");
    let (_, message) = condition(&seen, "default/younger", "PartiallyInvalid");
    assert!(message.contains("path /mcp"), "{message}");
}

#[test]
fn a_backend_whose_only_route_lost_says_why_it_is_not_served() {
    let mut world = world();
    plan(&mut world);
    world.settle();
    change(&mut world, "AgentgatewayBackend", |backend| {
        backend["metadata"]["name"] = json!("other");
        backend["metadata"]["uid"] = json!("o");
    });
    second(&mut world, |route| {
        route["spec"]["rules"][0]["backendRefs"][0]["name"] = json!("other");
    });
    let ready = world.settle().ready(Kind::AgentgatewayBackend, "default/other");
    assert_eq!(ready.expect("it is told").0, "False RouteConflict");
    assert_eq!(BACKEND, "default/mcp-backend", "the other one is served");
}
