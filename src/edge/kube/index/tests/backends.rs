//! Discovery by label, as its callers see it.

mod told;

use super::super::*;
use super::fixtures::{Seen, World, at, documents, mk_object, mk_report};
use crate::edge::kube::plan;
use crate::engine::assignment::Report;
use crate::engine::config::{Protocol, Via};
use serde_json::{Value, json};

pub(super) const DYNAMIC: &str = include_str!("dynamic.yaml");
pub(super) const GATEWAY: &str = "agentgateway-system/agentgateway-proxy";
pub(super) const BACKEND: &str = "default/mcp-backend";

pub(super) fn world() -> World {
    let mut world = World::new();
    world.apply(DYNAMIC);
    world
}

/// The object of the page, changed.
pub(super) fn change(world: &mut World, kind: &str, change: impl FnOnce(&mut Value)) {
    let found = documents(DYNAMIC).into_iter().find(|document| document["kind"] == kind);
    let mut document = found.expect("the page has it");
    change(&mut document);
    world.index.apply(mk_object(&document));
}

/// A Service that the selector of the page chooses.
fn service(name: &str, created: &str, ports: &Value) -> Value {
    json!({
        "kind": "Service",
        "metadata": {
            "name": name, "namespace": "default", "creationTimestamp": created,
            "labels": {"app": "mcp-server-everything"}
        },
        "spec": {"ports": ports}
    })
}

fn weather() -> Value {
    service(
        "weather",
        "2026-11-02T00:00:00Z",
        &json!([{"name": "mcp", "port": 80, "appProtocol": "agentgateway.dev/mcp"}]),
    )
}

pub(super) fn plan(world: &mut World) -> Arc<plan::Gateway> {
    world.changes();
    let served = world.index.gateways.get(&at(GATEWAY));
    served
        .and_then(|served| served.plan.clone())
        .expect("the Gateway is served")
}

fn upstreams(world: &mut World) -> Vec<Arc<plan::Upstream>> {
    let plan = plan(world);
    let [endpoint] = plan.endpoints.as_slice() else {
        panic!("one endpoint")
    };
    endpoint.upstreams.clone()
}

fn named(upstreams: &[Arc<plan::Upstream>]) -> Vec<(&str, &str)> {
    upstreams
        .iter()
        .map(|one| (one.assigned.name.as_str(), one.assigned.prefix.as_str()))
        .collect()
}

/// The conditions that are to be written, as `Type Status Reason`, with their messages.
pub(super) fn conditions(seen: &Seen) -> Vec<(String, String)> {
    let status = seen
        .status(Kind::AgentgatewayBackend, BACKEND)
        .expect("a status is written");
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let all = status["conditions"].as_array().expect("conditions").iter();
    all.map(|one| {
        let head = format!("{} {} {}", text(one, "type"), text(one, "status"), text(one, "reason"));
        (head, text(one, "message"))
    })
    .collect()
}

pub(super) fn heads(seen: &Seen) -> Vec<String> {
    conditions(seen).into_iter().map(|(head, _)| head).collect()
}

pub(super) fn report(world: &mut World, ready: impl Fn(&str) -> bool) {
    let plan = plan(world);
    let upstreams = plan.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams);
    let statuses = upstreams.map(|upstream| {
        let mut status = mk_report(upstream, 4);
        if !ready(&upstream.assigned.name) {
            status.ready = false;
            status.reason = crate::engine::status::Reason::Timeout;
        }
        status
    });
    let upstreams = statuses.collect();
    let processor: Arc<str> = "one".into();
    world
        .index
        .told(&at(GATEWAY), Told::Report(Report { processor, upstreams }));
}

#[test]
fn the_objects_of_the_page_make_one_endpoint_with_one_unprefixed_upstream() {
    let mut world = world();
    let plan = plan(&mut world);
    let [endpoint] = plan.endpoints.as_slice() else {
        panic!("one endpoint")
    };
    assert_eq!(
        (&*endpoint.path, endpoint.hosts.len(), endpoint.outranks.len()),
        ("/mcp", 0, 1)
    );
    assert!(endpoint.managed);
    let [upstream] = endpoint.upstreams.as_slice() else {
        panic!("one upstream")
    };
    let assigned = &upstream.assigned;
    assert_eq!(assigned.name, "default.mcp-backend.mcp-server-everything-3001");
    assert_eq!(assigned.prefix, "", "one target, prefixMode Conditional");
    assert_eq!(
        assigned.url.as_str(),
        "http://mcp-server-everything.default.svc.cluster.local:3001/mcp"
    );
    assert_eq!(assigned.addresses.len(), 2, "a session stays with one of its pods");
    assert_eq!((assigned.via, assigned.protocol), (Via::Envoy, Protocol::Streamable));
    let rule = upstream.rule.as_ref().expect("a route leads there");
    assert_eq!(
        rule.get("backendRefs"),
        Some(&json!([{"name": "mcp-server-everything", "port": 3001}]))
    );
}

#[test]
fn the_older_group_is_understood_as_well() {
    let mut world = World::new();
    world.apply(
        &DYNAMIC
            .replace("agentgateway.dev", "gateway.kgateway.dev")
            .replace("AgentgatewayBackend", "Backend"),
    );
    assert_eq!(
        named(&upstreams(&mut world)),
        [("default.mcp-backend.mcp-server-everything-3001", "")]
    );
}

#[test]
fn a_second_service_prefixes_all_tools_unless_the_mode_says_otherwise() {
    let mut world = world();
    let before = upstreams(&mut world);
    world.index.apply(mk_object(&weather()));
    let both = upstreams(&mut world);
    assert_eq!(
        named(&both),
        [
            (
                "default.mcp-backend.mcp-server-everything-3001",
                "mcp-server-everything-3001_"
            ),
            ("default.mcp-backend.weather-mcp", "weather-mcp_"),
        ]
    );
    assert_ne!(before.first(), both.first(), "its tools have other names now");
    for (mode, prefix) in [("Always", "mcp-server-everything-3001_"), ("Never", "")] {
        change(&mut world, "AgentgatewayBackend", |backend| {
            backend["spec"]["mcp"]["prefixMode"] = json!(mode)
        });
        world.index.delete(&Key::new(Kind::Service, at("default/weather")));
        let alone = upstreams(&mut world);
        world.index.apply(mk_object(&weather()));
        let both = upstreams(&mut world);
        assert_eq!(both.len(), 2);
        assert_eq!(
            alone.first(),
            both.first(),
            "prefixMode {mode}: a second Service renames nothing"
        );
        assert_eq!(both.first().map(|one| one.assigned.prefix.as_str()), Some(prefix));
    }
}

#[test]
fn conditional_prefixes_are_warned_of_and_others_are_not() {
    let mut world = world();
    let seen = world.changes();
    assert!(heads(&seen).contains(&"NamesMayChange True ConditionalPrefix".to_owned()));
    change(&mut world, "AgentgatewayBackend", |backend| {
        backend["metadata"]["generation"] = json!(2);
        backend["spec"]["mcp"]["prefixMode"] = json!("Always");
    });
    let seen = world.changes();
    assert!(!heads(&seen).iter().any(|head| head.starts_with("NamesMayChange")));
}

#[test]
fn every_mcp_port_is_a_target_and_annotations_say_name_and_path() {
    let mut world = world();
    let mut many = service(
        "many",
        "2026-11-02T00:00:00Z",
        &json!([
            {"name": "a", "port": 1, "appProtocol": "agentgateway.dev/mcp"},
            {"name": "b", "port": 2, "appProtocol": "kgateway.dev/mcp-sse"},
            {"name": "web", "port": 3, "appProtocol": "http"},
            {"name": "none", "port": 4}
        ]),
    );
    many["metadata"]["annotations"] =
        json!({"kgateway.dev/mcp-path": "/old", "agentgateway.dev/mcp-path": "/tools/mcp"});
    world.index.apply(mk_object(&many));
    let mut annotated = weather();
    annotated["metadata"]["annotations"] = json!({"agentgateway.dev/mcp-target-name": "wetter.example"});
    world.index.apply(mk_object(&annotated));
    let all = upstreams(&mut world);
    assert_eq!(
        named(&all)[1..],
        [
            ("default.mcp-backend.many-a", "many-a_"),
            ("default.mcp-backend.many-b", "many-b_"),
            (all[3].assigned.name.as_str(), "wetter-example_"),
        ]
    );
    let paths: Vec<&str> = all.iter().map(|one| &*one.path).collect();
    assert_eq!(paths, ["/mcp", "/tools/mcp", "/tools/mcp", "/mcp"]);
    assert_eq!(
        (all[2].assigned.protocol, all[2].assigned.via),
        (Protocol::Sse, Via::Direct)
    );
    assert!(
        all[2].rule.is_none(),
        "nothing is generated for what the processor calls itself"
    );
}

#[test]
fn a_bad_annotation_and_a_taken_name_leave_out_one_service_and_are_told() {
    let mut world = world();
    let mut bad = service(
        "bad",
        "2026-11-02T00:00:00Z",
        &json!([{"port": 1, "appProtocol": "kgateway.dev/mcp"}]),
    );
    bad["metadata"]["annotations"] = json!({"agentgateway.dev/mcp-target-name": "Not A Name"});
    world.index.apply(mk_object(&bad));
    let mut twin = weather();
    twin["metadata"]["annotations"] = json!({"agentgateway.dev/mcp-target-name": "mcp-server-everything-3001"});
    world.index.apply(mk_object(&twin));
    let seen = world.changes();
    assert_eq!(upstreams(&mut world).len(), 1);
    let (head, message) = conditions(&seen)
        .into_iter()
        .find(|(head, _)| head.starts_with("Accepted"))
        .expect("a condition");
    assert_eq!(head, "Accepted True PartiallyInvalid");
    assert!(message.contains("Service default/bad: annotation"), "{message}");
    assert!(
        message.contains("belongs to port 3001 of Service default/mcp-server-everything"),
        "{message}"
    );
}

#[test]
fn namespaces_are_selected_by_label_and_all_by_an_empty_selector() {
    let mut world = world();
    let mut foreign = service(
        "foreign",
        "2026-11-03T00:00:00Z",
        &json!([{"port": 1, "appProtocol": "kgateway.dev/mcp"}]),
    );
    foreign["metadata"]["namespace"] = json!("team");
    world.index.apply(mk_object(&foreign));
    assert_eq!(upstreams(&mut world).len(), 1, "its own namespace only");
    for (namespaces, expected) in [(json!({"matchLabels": {"mcp": "yes"}}), 1), (json!({}), 2)] {
        change(&mut world, "AgentgatewayBackend", |backend| {
            backend["spec"]["mcp"]["targets"][0]["selector"]["namespaces"] = namespaces;
        });
        let found = upstreams(&mut world);
        assert_eq!(found.len(), expected);
        let last = found.last().expect("Expected: the foreign one");
        assert_eq!(
            (&*last.namespace, last.assigned.via),
            ("team", Via::Envoy),
            "its route stands beside it"
        );
    }
    change(&mut world, "Gateway", |gateway| {
        gateway["spec"]["listeners"][0]["allowedRoutes"]["namespaces"] =
            json!({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}});
    });
    let found = upstreams(&mut world);
    let last = found.last().expect("Expected: the foreign one");
    assert_eq!(
        last.assigned.via,
        Via::Direct,
        "no listener takes a route of its namespace"
    );
}

#[test]
fn targets_named_by_the_object_are_hosts_or_services() {
    let mut world = world();
    change(&mut world, "AgentgatewayBackend", |backend| {
        backend["spec"]["mcp"]["targets"] = json!([
            {"name": "docs", "static": {"host": "mcp.example.com", "port": 443, "path": "/v1/mcp"}},
            {"name": "old", "static": {"host": "10.1.2.3", "port": 80, "protocol": "SSE"}},
            {"name": "near", "static": {"backendRef": {"name": "mcp-server-everything"}, "port": 3001}},
            {"name": "dns", "static": {"host": "mcp-server-everything.default.svc.cluster.local", "port": 3001}},
            {"name": "gone", "static": {"backendRef": {"name": "nobody"}, "port": 1}},
            {"name": "torn"},
            {"name": "sly", "static": {"host": "user@evil.example/x?", "port": 80}}
        ]);
    });
    let seen = world.changes();
    let all = upstreams(&mut world);
    let shown: Vec<_> = all
        .iter()
        .map(|one| (one.assigned.url.as_str(), one.assigned.via))
        .collect();
    assert_eq!(
        shown,
        [
            ("https://mcp.example.com/v1/mcp", Via::Direct),
            ("http://10.1.2.3/sse", Via::Direct),
            (
                "http://mcp-server-everything.default.svc.cluster.local:3001/mcp",
                Via::Envoy
            ),
            (
                "http://mcp-server-everything.default.svc.cluster.local:3001/mcp",
                Via::Envoy
            ),
        ]
    );
    let (_, message) = conditions(&seen)
        .into_iter()
        .find(|(head, _)| head.starts_with("Accepted"))
        .expect("a condition");
    assert!(message.contains("Service default/nobody does not exist"), "{message}");
    assert!(
        message.contains("\"torn\" needs either selector or static"),
        "{message}"
    );
    assert!(
        !heads(&seen).iter().any(|head| head.starts_with("NamesMayChange")),
        "their number is fixed"
    );
}
