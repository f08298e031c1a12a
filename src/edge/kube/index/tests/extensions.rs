//! Which extensions are valid, and what they say.

use super::fixtures::{GATEWAY, World, at};
use super::*;
use serde_json::json;

const EXTENSION: &str = "mcp-test/mcp-extension";

fn other(name: &str, namespace: &str, section: &str) -> String {
    format!(
        "apiVersion: mcp.kuadrant.io/v1\nkind: MCPGatewayExtension\nmetadata: {{name: {name}, namespace: {namespace}, uid: {name}, \
         generation: 1, creationTimestamp: \"2026-02-01T00:00:00Z\"}}\nspec: {{targetRef: {{name: mcp-gateway, namespace: \
         gateway-system, sectionName: {section}}}}}\n"
    )
}

fn ready(changes: &super::fixtures::Seen, name: &str) -> (String, String) {
    changes.ready(Kind::Extension, name).expect("it is told")
}

#[test]
fn one_with_a_processor_is_ready_and_counts_its_servers() {
    let mut world = World::guide();
    let changes = world.settle();
    assert_eq!(ready(&changes, EXTENSION).0, "False DeploymentNotReady");
    let plan = changes.plan(GATEWAY).expect("it is served");
    world.told(Told::Connected {
        processor: "one".into(),
    });
    world.report(&plan, 5);
    let changes = world.settle();
    assert_eq!(ready(&changes, EXTENSION).0, "True ValidMCPGatewayExtension");
    let status = changes.status(Kind::Extension, EXTENSION).expect("it is told");
    assert_eq!((&status["servers"], &status["readyServers"]), (&json!(1), &json!(1)));
    assert_eq!(status["mcpEndpoint"], "http://mcp.127-0-0-1.sslip.io:8001/mcp");
}

#[test]
fn a_grant_opens_the_gateway_and_its_removal_closes_it() {
    let mut world = World::ready();
    world
        .index
        .delete(&Key::new(Kind::Grant, at("gateway-system/allow-mcp-extension")));
    let changes = world.settle();
    let (reason, message) = ready(&changes, EXTENSION);
    assert_eq!(reason, "False ReferenceGrantRequired");
    assert!(message.contains("gateway-system"), "{message}");
    assert!(
        changes
            .0
            .plans
            .iter()
            .any(|(place, plan)| *place == at(GATEWAY) && plan.is_none())
    );
}

#[test]
fn of_two_in_one_namespace_the_older_is_served() {
    let mut world = World::ready();
    world.apply(&other("later", "mcp-test", "mcps"));
    let changes = world.settle();
    assert_eq!(ready(&changes, "mcp-test/later").0, "False InvalidMCPGatewayExtension");
    assert!(changes.0.plans.is_empty(), "nothing changes for the older one");
    world.index.delete(&Key::new(Kind::Extension, at(EXTENSION)));
    let (reason, _) = ready(&world.settle(), "mcp-test/later");
    assert_eq!(reason, "True ValidMCPGatewayExtension");
}

#[test]
fn of_two_on_one_port_the_older_is_served() {
    let mut world = World::ready();
    world.apply(&other("beside", "gateway-system", "mcps"));
    let (reason, message) = ready(&world.settle(), "gateway-system/beside");
    assert_eq!(reason, "False InvalidMCPGatewayExtension");
    assert!(message.contains(EXTENSION), "{message}");
}

#[test]
fn two_gateways_do_not_see_each_other() {
    let mut world = World::ready();
    world.change("Gateway", "mcp-gateway", |object| {
        object["metadata"]["name"] = json!("second");
        object["metadata"]["uid"] = json!("g1");
    });
    world.apply(&other("own", "gateway-system", "mcp").replace("name: mcp-gateway", "name: second"));
    let changes = world.settle();
    let plan = changes.plan("gateway-system/second").expect("it is served");
    assert!(plan.endpoints.iter().all(|endpoint| endpoint.upstreams.is_empty()));
    assert!(changes.plan(GATEWAY).is_none(), "the first has not changed");
}

#[test]
fn a_gateway_of_another_class_is_not_ours() {
    let mut world = World::guide();
    world.change("GatewayClass", "eg", |object| {
        object["spec"]["controllerName"] = json!("istio.io/gateway-controller")
    });
    let changes = world.settle();
    assert_eq!(ready(&changes, EXTENSION).0, "False InvalidMCPGatewayExtension");
    assert!(changes.plan(GATEWAY).is_none());
}

#[test]
fn a_wildcard_listener_gets_a_host_of_its_own() {
    let mut world = World::guide();
    world.change("MCPGatewayExtension", "mcp-extension", |object| {
        object["spec"]["targetRef"]["sectionName"] = json!("mcps");
    });
    let plan = world.changes().plan(GATEWAY).expect("it is served");
    assert_eq!(
        plan.endpoints.first().map(|endpoint| endpoint.hosts.clone()),
        Some(vec!["mcp.mcp.local".into()])
    );
}

#[test]
fn authorization_after_the_processor_is_warned_of() {
    let mut world = World::ready();
    world.change("MCPGatewayExtension", "mcp-extension", |object| {
        object["status"] = json!({})
    });
    let warned = |changes: &super::fixtures::Seen| {
        let status = changes.status(Kind::Extension, EXTENSION).expect("it is told");
        let conditions = status["conditions"].as_array().expect("a list");
        conditions.iter().any(|one| one["type"] == "AuthorizationNotCovered")
    };
    assert!(warned(&world.settle()), "Envoy Gateway's usual order");
    world.apply(
        "kind: EnvoyProxy\nmetadata: {name: own, namespace: gateway-system}\nspec: {filterOrder: [{name: \
         envoy.filters.http.ext_proc, after: envoy.filters.http.rbac}]}\n",
    );
    world.change("Gateway", "mcp-gateway", |object| {
        object["spec"]["infrastructure"] =
            json!({"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "own"}});
    });
    assert!(!warned(&world.settle()));
}
