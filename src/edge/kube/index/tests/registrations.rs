//! What registrations come to, and the reasons why not.

use super::fixtures::{GATEWAY, World, at};
use super::*;
use crate::edge::kube::plan;
use crate::engine::config::{Authority, Secret};
use serde_json::{Value, json};

const SERVER: &str = "mcp-test/my-mcp-server";

/// The reason in the Ready condition of the guide's registration.
fn reason(world: &mut World) -> String {
    let ready = world.settle().ready(Kind::Registration, SERVER);
    ready.expect("it is told").0
}

fn upstream(world: &mut World) -> Arc<plan::Upstream> {
    let plan = world.changes().plan(GATEWAY).expect("the plan has changed");
    Arc::clone(
        plan.endpoints
            .first()
            .and_then(|endpoint| endpoint.upstreams.first())
            .expect("one upstream"),
    )
}

fn second(spec: &str) -> String {
    format!(
        "apiVersion: mcp.kuadrant.io/v1\nkind: MCPServerRegistration\nmetadata: {{name: second, namespace: mcp-test, \
         uid: m1, generation: 1, creationTimestamp: \"2026-01-02T00:00:00Z\"}}\nspec: {spec}\n"
    )
}

fn secret(labels: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: token, namespace: mcp-test, labels: {labels}}}\ndata: {{token: {token}}}\n"
    )
}

fn with_credential(object: &mut Value) {
    object["spec"]["credentialRef"] = json!({"name": "token"});
}

#[test]
fn the_objects_of_the_guide_make_one_upstream() {
    let mut world = World::guide();
    let plan = world.changes().plan(GATEWAY).expect("Expected: the Gateway is served");
    let [endpoint] = plan.endpoints.as_slice() else {
        panic!("one endpoint")
    };
    assert_eq!(&*endpoint.id, "mcp-test.mcpge.mcp-extension");
    assert_eq!(endpoint.hosts, ["mcp.127-0-0-1.sslip.io".into()]);
    let [upstream] = endpoint.upstreams.as_slice() else {
        panic!("one upstream")
    };
    assert_eq!(upstream.assigned.name, "mcp-test.my-mcp-server");
    assert_eq!(upstream.assigned.prefix, "myserver_");
    assert_eq!(upstream.assigned.url.as_str(), "http://my-mcp-server.mcp.local/mcp");
    assert_eq!(
        upstream.assigned.addresses,
        ["10.0.0.1:9090".parse().expect("an address")]
    );
    let guard = upstream.guard.as_ref().expect("direct requests are refused");
    assert_eq!(guard.hosts, ["my-mcp-server.mcp.local".into()]);
}

#[test]
fn a_missing_object_is_named_by_the_reason_and_its_arrival_mends_it() {
    let cases = [
        (Kind::Route, "mcp-test/my-mcp-server-route", "False RouteNotFound"),
        (Kind::Extension, "mcp-test/mcp-extension", "False NoExtension"),
        (Kind::Gateway, GATEWAY, "False NoExtension"),
        (Kind::GatewayClass, "/eg", "False NoExtension"),
        (Kind::Grant, "gateway-system/allow-mcp-extension", "False NoExtension"),
        (Kind::Service, "mcp-test/mcp-test-server1", "False BackendNotFound"),
    ];
    for (kind, name, expected) in cases {
        let mut world = World::ready();
        world.index.delete(&Key::new(kind, at(name)));
        let changes = world.settle();
        assert_eq!(
            changes
                .ready(Kind::Registration, SERVER)
                .map(|ready| ready.0)
                .as_deref(),
            Some(expected),
            "{name}"
        );
        let plan = changes.plan(GATEWAY);
        let upstreams = plan
            .iter()
            .flat_map(|plan| &plan.endpoints)
            .flat_map(|endpoint| &endpoint.upstreams);
        assert_eq!(upstreams.count(), 0, "{name}: the server leaves the lists");
        world.apply(include_str!("guide.yaml"));
        assert_eq!(reason(&mut world), "True Ready", "{name} is back");
    }
}

#[test]
fn of_two_with_one_prefix_the_older_is_served_until_it_goes() {
    let mut world = World::ready();
    world.apply(&second("{prefix: myserver_, targetRef: {name: my-mcp-server-route}}"));
    let changes = world.settle();
    let (ready, message) = changes
        .ready(Kind::Registration, "mcp-test/second")
        .expect("it is told");
    assert_eq!(ready, "False PrefixConflict");
    assert!(message.contains(SERVER), "{message}");
    world.index.delete(&Key::new(Kind::Registration, at(SERVER)));
    let changes = world.settle();
    let (ready, _) = changes
        .ready(Kind::Registration, "mcp-test/second")
        .expect("it is told");
    assert_eq!(ready, "False Pending", "it is served now, and not listed yet");
    assert!(changes.plan(GATEWAY).is_some());
}

#[test]
fn registrations_without_a_prefix_stand_side_by_side() {
    let mut world = World::ready();
    world.change("MCPServerRegistration", "my-mcp-server", |object| {
        object["spec"]["toolPrefix"] = json!("")
    });
    world.apply(&second("{targetRef: {name: my-mcp-server-route}}"));
    let plan = world.changes().plan(GATEWAY).expect("it has changed");
    let names: Vec<_> = plan.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams).collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn one_that_is_switched_off_keeps_its_place() {
    let mut world = World::ready();
    world.change("MCPServerRegistration", "my-mcp-server", |object| {
        object["spec"]["state"] = json!("Disabled")
    });
    let changes = world.settle();
    let ready = changes.ready(Kind::Registration, SERVER).map(|ready| ready.0);
    assert_eq!(ready.as_deref(), Some("False Disabled"));
    let plan = changes.plan(GATEWAY).expect("it has changed");
    let upstream = plan
        .endpoints
        .first()
        .and_then(|endpoint| endpoint.upstreams.first())
        .expect("it is assigned");
    assert!(!upstream.assigned.enabled);
}

#[test]
fn a_credential_comes_from_a_labelled_secret_and_is_never_shown() {
    let mut world = World::guide();
    world.change("MCPServerRegistration", "my-mcp-server", with_credential);
    assert_eq!(reason(&mut world), "False SecretNotFound");
    world.apply(&secret("{}", "QmVhcmVyIG9uZQo="));
    assert_eq!(reason(&mut world), "False SecretInvalid", "its owner has not opened it");
    world.apply(&secret("{mcp.kuadrant.io/secret: \"true\"}", "QmVhcmVyIG9uZQo="));
    let first = upstream(&mut world);
    let credential = first.assigned.credential.as_ref().expect("there is one");
    let Secret::Value(value) = &credential.value else {
        panic!("a value")
    };
    assert_eq!(&*value.0, "Bearer one", "the line end of the file is no part of it");
    world.apply(&secret("{mcp.kuadrant.io/secret: \"true\"}", "QmVhcmVyIHR3bw=="));
    let second = upstream(&mut world);
    assert_ne!(first, second, "a rotated credential is a new assignment");
    let shown = format!("{:?}", world.index);
    assert!(
        !shown.contains("Bearer two") && !shown.contains("66, 101, 97"),
        "neither as text nor as bytes"
    );
    let secrets = world.index.references(&[Kind::Secret]);
    assert_eq!(
        secrets.into_iter().map(|key| key.place.to_string()).collect::<Vec<_>>(),
        ["mcp-test/token"]
    );
}

#[test]
fn a_service_without_ready_pods_is_unreachable_and_stays_assigned() {
    let mut world = World::ready();
    let slice = Key::new(Kind::EndpointSlice, at("mcp-test/mcp-test-server1-x"));
    world.index.delete(&slice);
    let changes = world.settle();
    let (ready, message) = changes.ready(Kind::Registration, SERVER).expect("it is told");
    assert_eq!(ready, "False Unreachable");
    assert!(message.contains("no ready endpoint"), "{message}");
    assert!(
        changes
            .plan(GATEWAY)
            .is_some_and(|plan| plan.endpoints.iter().any(|one| !one.upstreams.is_empty()))
    );
}

#[test]
fn a_route_that_the_listener_does_not_take_says_so() {
    let mut world = World::ready();
    world.change("HTTPRoute", "my-mcp-server-route", |object| {
        object["spec"]["hostnames"] = json!(["my-mcp-server.elsewhere"]);
    });
    assert_eq!(reason(&mut world), "False ListenerNotAllowed");
}

#[test]
fn a_reference_into_another_namespace_needs_a_grant() {
    let mut world = World::ready();
    world.change("HTTPRoute", "my-mcp-server-route", |object| {
        object["spec"]["rules"][0]["backendRefs"][0]["namespace"] = json!("servers");
    });
    assert_eq!(reason(&mut world), "False ReferenceGrantRequired");
    world.apply(
        "kind: ReferenceGrant\nmetadata: {name: g, namespace: servers}\nspec:\n  from: [{group: gateway.networking.k8s.io, \
         kind: HTTPRoute, namespace: mcp-test}]\n  to: [{group: \"\", kind: Service}]\n",
    );
    assert_eq!(reason(&mut world), "False BackendNotFound");
}

#[test]
fn a_tls_policy_makes_it_https() {
    let mut world = World::guide();
    world.apply(
        "kind: BackendTLSPolicy\nmetadata: {name: tls, namespace: mcp-test}\nspec:\n  targetRefs: [{group: \"\", kind: Service, \
         name: mcp-test-server1}]\n  validation: {hostname: server.internal, caCertificateRefs: [{group: \"\", kind: ConfigMap, \
         name: ca}]}\n",
    );
    assert_eq!(reason(&mut world), "False SecretNotFound");
    world.apply(
        "kind: ConfigMap\nmetadata: {name: ca, namespace: mcp-test}\ndata: {ca.crt: \"-----BEGIN CERTIFICATE-----\\nx\"}\n",
    );
    let upstream = upstream(&mut world);
    assert_eq!(upstream.assigned.url.as_str(), "https://server.internal/mcp");
    assert!(matches!(&upstream.assigned.ca, Some(Authority::Pem(text)) if text.contains("BEGIN CERTIFICATE")));
}

#[test]
fn direct_access_can_be_allowed() {
    let mut world = World::guide();
    world.change("HTTPRoute", "my-mcp-server-route", |object| {
        object["metadata"]["annotations"] = json!({DIRECT_ACCESS: "allowed"});
    });
    assert_eq!(upstream(&mut world).guard, None);
}

#[test]
fn of_several_rules_the_one_that_fits_the_path_is_meant() {
    let mut world = World::guide();
    world.change("HTTPRoute", "my-mcp-server-route", |object| {
        let server = json!([{"name": "mcp-test-server1", "port": 9090}]);
        object["spec"]["rules"] = json!([
            {"matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}], "backendRefs": [{"name": "docs", "port": 80}]},
            {"matches": [{"path": {"type": "Exact", "value": "/mcp"}}], "backendRefs": server},
        ]);
    });
    let upstream = upstream(&mut world);
    let guard = upstream.guard.as_ref().expect("direct requests are refused");
    assert_eq!(guard.matches.len(), 1, "the other rule is another application's");
}

#[test]
fn fields_without_effect_are_named() {
    let mut world = World::guide();
    world.change("MCPServerRegistration", "my-mcp-server", |object| {
        object["spec"]["hint"] = json!("for planners")
    });
    let changes = world.settle();
    let status = changes.status(Kind::Registration, SERVER).expect("it is told");
    let conditions = status["conditions"].as_array().expect("a list");
    let ignored = conditions
        .iter()
        .find(|one| one["type"] == "FieldsIgnored")
        .expect("Expected: a condition");
    assert!(
        ignored["message"]
            .as_str()
            .is_some_and(|message| message.contains("hint")),
        "{ignored}"
    );
}

#[test]
fn the_route_says_who_uses_it() {
    let mut world = World::guide();
    let route = Key::new(Kind::Route, at("mcp-test/my-mcp-server-route"));
    let parents = |world: &mut World| {
        let changes = world.changes().0;
        let change = changes
            .statuses
            .into_iter()
            .find(|change| change.key == route)
            .expect("it is told");
        let Status::Parents(parents) = change.status else {
            panic!("entries of parents")
        };
        parents
    };
    let entries = parents(&mut world);
    let [entry] = entries.as_slice() else {
        panic!("one Gateway")
    };
    assert_eq!(
        (entry.controller_name.as_str(), entry.parent_ref.name.as_str()),
        (CONTROLLER, "mcp-gateway")
    );
    let group = entry.parent_ref.group.as_deref();
    assert_eq!(
        group,
        Some("mcp-manifold.dev"),
        "Envoy Gateway overwrites entries with references like its own"
    );
    assert!(
        entry
            .conditions
            .iter()
            .any(|one| one.reason == "InUseByMCPServerRegistration")
    );
    let status = json!({"parents": entries});
    world.change("HTTPRoute", "my-mcp-server-route", |object| object["status"] = status);
    assert!(
        !world.changes().0.statuses.iter().any(|change| change.key == route),
        "it shows that now"
    );
    world.index.delete(&Key::new(Kind::Registration, at(SERVER)));
    assert!(
        parents(&mut world).is_empty(),
        "Expected: the entry goes with the registration"
    );
}

#[test]
fn a_name_with_dots_is_no_backend_objects_target() {
    let mut world = World::guide();
    world.change("MCPServerRegistration", "my-mcp-server", |object| {
        object["metadata"]["name"] = json!("backend.target");
        object["spec"]["toolPrefix"] = json!("dots_");
    });
    let plan = world.changes().plan(GATEWAY).expect("it is served");
    let mut upstreams = plan.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams);
    let dotted = upstreams.find(|upstream| upstream.assigned.prefix == "dots_");
    let name = dotted
        .map(|upstream| upstream.assigned.name.clone())
        .unwrap_or_default();
    assert!(name.starts_with("mcp-test.backend.target."), "{name}");
}
