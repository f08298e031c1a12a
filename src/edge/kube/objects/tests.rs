//! Plans in, objects out: `tests/fixtures/kube/*.yaml` holds what is applied for each.
//! `MCP_MANIFOLD_BLESS=1 cargo test --lib kube::objects` writes them anew.

use super::*;
use crate::edge::kube::plan::{Endpoint, Guard, Parent, Processor, Upstream};
use crate::edge::kube::resources::Whole;
use crate::engine::config;
use crate::engine::snapshot::testing;
use gateway_api::httproutes::HttpRouteRulesMatches;
use std::path::Path;

fn mk_place(namespace: &str, name: &str) -> Place {
    Place {
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn mk_owner(api_version: &str, kind: &str, place: Place) -> Owner {
    let uid = format!("uid-of-{}", place.name).into();
    Owner {
        api_version: api_version.into(),
        kind: kind.into(),
        place,
        uid,
    }
}

fn mk_parent(section: Option<&str>) -> Parent {
    Parent {
        gateway: mk_place("gateway-system", "mcp-gateway"),
        section: section.map(Into::into),
        port: None,
    }
}

fn mk_assigned(name: &str) -> Arc<config::Upstream> {
    let mut inputs = testing::mk_inputs(&[testing::mk_upstream(name)]);
    inputs.remove(0).config
}

/// As `kubectl` would be given it.
fn mk_matches(yaml: &str) -> Vec<HttpRouteRulesMatches> {
    serde_saphyr::from_str(yaml).expect("matches of an HTTPRoute")
}

fn mk_rule(yaml: &str) -> Option<Whole> {
    Some(Arc::new(serde_saphyr::from_str(yaml).expect("a rule of an HTTPRoute")))
}

fn mk_gateway(endpoints: Vec<Endpoint>) -> plan::Gateway {
    plan::Gateway {
        place: mk_place("gateway-system", "mcp-gateway"),
        processor: Processor::Sidecar,
        endpoints: endpoints.into_iter().map(Arc::new).collect(),
    }
}

/// The extension of the Kuadrant seed, without registrations.
fn mk_endpoint() -> Endpoint {
    let place = mk_place("mcp-test", "mcp-extension");
    Endpoint {
        id: "mcp-test.extension.mcp-extension".into(),
        owner: mk_owner("mcp.kuadrant.io/v1alpha1", "MCPGatewayExtension", place),
        parents: vec![mk_parent(Some("mcp"))],
        hosts: vec!["mcp.127-0-0-1.sslip.io".into()],
        path: "/mcp".into(),
        outranks: vec![],
        managed: true,
        own_routes: vec![],
        body_limit: None,
        door: None,
        upstreams: vec![],
    }
}

/// The registration of the Kuadrant seed, and the route it names.
fn mk_upstream() -> Upstream {
    Upstream {
        assigned: mk_assigned("mcp-test.my-mcp-server"),
        owner: mk_owner(
            "mcp.kuadrant.io/v1alpha1",
            "MCPServerRegistration",
            mk_place("mcp-test", "my-mcp-server"),
        ),
        namespace: "mcp-test".into(),
        rule: mk_rule("backendRefs: [{name: mcp-test-server1, port: 9090}]"),
        host: Some("my-mcp-server.mcp.local".into()),
        path: "/mcp".into(),
        guard: Some(mk_guard("[{path: {type: PathPrefix, value: /}}]")),
    }
}

fn mk_guard(matches: &str) -> Guard {
    Guard {
        route: mk_place("mcp-test", "my-mcp-server-route"),
        parents: vec![mk_parent(None)],
        hosts: vec!["my-mcp-server.mcp.local".into()],
        matches: mk_matches(matches),
    }
}

/// A backend object behind a route of the user's that asks for `matches`.
fn mk_backend_endpoint(matches: &str) -> Endpoint {
    Endpoint {
        id: "default.route.mcp".into(),
        owner: mk_owner("gateway.networking.k8s.io/v1", "HTTPRoute", mk_place("default", "mcp")),
        parents: vec![mk_parent(None)],
        hosts: vec![],
        outranks: mk_matches(matches),
        ..mk_endpoint()
    }
}

fn mk_target() -> Upstream {
    Upstream {
        assigned: mk_assigned("default.mcp-backend.everything-3001"),
        owner: mk_owner(
            "agentgateway.dev/v1alpha1",
            "AgentgatewayBackend",
            mk_place("default", "mcp-backend"),
        ),
        namespace: "default".into(),
        rule: mk_rule("backendRefs: [{name: mcp-server-everything, port: 3001}]"),
        host: None,
        path: "/mcp".into(),
        guard: None,
    }
}

fn made(gateway: &plan::Gateway) -> Vec<Object> {
    let settings = Settings {
        namespace: "mcp-manifold-system".into(),
    };
    wanted(gateway, &settings, &Confidential("the-route-key".into()))
}

fn find<'a>(objects: &'a [Object], kind: &str, start: &str) -> &'a Value {
    let mut all = objects.iter();
    let found = all.find(|object| object.resource.kind == kind && object.place.name.starts_with(start));
    &found.unwrap_or_else(|| panic!("no {kind} {start} in {objects:?}")).body
}

/// How Envoy Gateway ranks the first match of a route: headers, then exact ones.
fn rank(route: &Value) -> (usize, usize) {
    let found = &route["spec"]["rules"][0]["matches"][0];
    let headers = found["headers"].as_array().map_or(&[][..], Vec::as_slice);
    let exact = headers.iter().filter(|header| header["type"] == "Exact").count();
    let method = usize::from(found.get("method").is_some());
    (headers.len() + method, exact + method)
}

fn assert_is(name: &str, gateway: &plan::Gateway) {
    let bodies = made(gateway)
        .into_iter()
        .map(|object| serde_saphyr::to_string(&object.body));
    let bodies: Result<Vec<String>, _> = bodies.collect();
    let text = bodies.expect("it is plain data").join("---\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/kube")
        .join(name);
    if std::env::var_os("MCP_MANIFOLD_BLESS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let first = text.lines().zip(known.lines()).position(|(made, known)| made != known);
    assert!(
        text == known,
        "{name} differs at line {:?}: bless it",
        first.map(|line| line + 1)
    );
}

#[test]
fn a_registration_is_reached_through_the_sidecar() {
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(mk_upstream())],
        ..mk_endpoint()
    };
    assert_is("registration.yaml", &mk_gateway(vec![endpoint]));
}

#[test]
fn a_backend_object_is_reached_through_a_deployment() {
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(mk_target())],
        ..mk_backend_endpoint("[{path: {type: PathPrefix, value: /}}]")
    };
    let gateway = plan::Gateway {
        processor: Processor::Deployment,
        ..mk_gateway(vec![endpoint])
    };
    assert_is("backend.yaml", &gateway);
}

#[test]
fn what_a_rule_says_of_its_server_holds_on_the_generated_route() {
    let upstream = Upstream {
        rule: mk_rule(
            "{filters: [
               {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: tools}], remove: [x-debug]}},
               {type: URLRewrite, urlRewrite: {hostname: api.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}},
               {type: RequestMirror, requestMirror: {backendRef: {name: shadow, port: 80}}}],
             timeouts: {backendRequest: 20s},
             backendRefs: [{name: a, port: 80, weight: 9}, {name: b, port: 80, weight: 1}]}",
        ),
        path: "/v2/mcp".into(),
        guard: None,
        ..mk_upstream()
    };
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(upstream)],
        ..mk_endpoint()
    };
    assert_is("copied-rule.yaml", &mk_gateway(vec![endpoint]));
}

#[test]
fn every_route_wins_against_those_it_must_win_against() {
    for users in [
        "[{path: {type: PathPrefix, value: /}}]",
        "[{path: {type: Exact, value: /mcp}}]",
        "[{path: {type: Exact, value: /mcp}, method: POST}]",
        "[{path: {type: Exact, value: /mcp}, headers: [{name: x-a, value: a}, {name: x-b, value: b}]}]",
    ] {
        let endpoint = Endpoint {
            upstreams: vec![Arc::new(mk_target())],
            ..mk_backend_endpoint(users)
        };
        let objects = made(&mk_gateway(vec![endpoint]));
        let [public, inspected, upstream] =
            ["mcp-public", "mcp-inspected", "mcp-upstream"].map(|start| rank(find(&objects, "HTTPRoute", start)));
        let theirs = mk_matches(users).remove(0);
        if matches::asks_for(&theirs, "/mcp") {
            assert!(public.0 > matches::weight(&theirs), "against {users}");
        }
        assert!(inspected > public, "inspected sessions are told apart: {users}");
        assert!(upstream > inspected, "what the processor decided holds: {users}");
    }
}

#[test]
fn a_guard_at_the_mcp_path_loses_to_the_public_route() {
    let upstream = Upstream {
        guard: Some(mk_guard("[{path: {type: Exact, value: /mcp}}]")),
        ..mk_upstream()
    };
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(upstream)],
        ..mk_endpoint()
    };
    let objects = made(&mk_gateway(vec![endpoint]));
    let guard = rank(find(&objects, "HTTPRoute", "mcp-guard"));
    assert_eq!(guard.0, 1, "it wins against the user's own");
    assert!(rank(find(&objects, "HTTPRoute", "mcp-public")) > guard);
}

#[test]
fn many_routes_that_are_guarded_alike_share_few_of_ours_and_one_more_changes_one_of_them() {
    let upstream = |number: usize| {
        let mut guard = mk_guard("[{path: {type: PathPrefix, value: /}}]");
        guard.route = mk_place("mcp-test", &format!("route-{number}"));
        guard.hosts = vec![format!("s{number}.mcp.local").into()];
        let guard = Some(guard);
        Arc::new(Upstream { guard, ..mk_upstream() })
    };
    let guards = |upstreams: Vec<Arc<Upstream>>| -> Vec<Value> {
        let endpoint = Endpoint {
            upstreams,
            ..mk_endpoint()
        };
        let objects = made(&mk_gateway(vec![endpoint]));
        let guards = objects
            .into_iter()
            .filter(|object| object.place.name.starts_with("mcp-guard."));
        guards
            .filter(|object| object.resource.kind == "HTTPRoute")
            .map(|object| object.body)
            .collect()
    };
    let before = guards((0..500).map(upstream).collect());
    let hosts: Vec<usize> = before
        .iter()
        .filter_map(|guard| Some(guard["spec"]["hostnames"].as_array()?.len()))
        .collect();
    assert_eq!(hosts.iter().sum::<usize>(), 500);
    assert!(hosts.len() < 100 && hosts.iter().all(|count| *count <= 16), "{hosts:?}");
    let after = guards((0..500).chain([777]).map(upstream).collect());
    let kept = before.iter().filter(|guard| after.contains(guard)).count();
    assert!(kept + 3 >= before.len(), "{kept} of {}", before.len());
}

#[test]
fn two_registrations_of_one_route_share_its_guard() {
    let second = Upstream {
        assigned: mk_assigned("mcp-test.second"),
        owner: Owner {
            place: mk_place("mcp-test", "second"),
            ..mk_upstream().owner
        },
        ..mk_upstream()
    };
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(mk_upstream()), Arc::new(second)],
        ..mk_endpoint()
    };
    let objects = made(&mk_gateway(vec![endpoint]));
    let guard = find(&objects, "HTTPRoute", "mcp-guard");
    assert_eq!(guard["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(2));
    let names: BTreeSet<(String, Place)> = objects
        .iter()
        .map(|object| (object.resource.kind.clone(), object.place.clone()))
        .collect();
    assert_eq!(names.len(), objects.len(), "no object is made twice");
}

#[test]
fn what_is_not_known_of_a_users_rule_is_in_the_route_to_the_upstream() {
    let rule = "name: mine\nretry: {attempts: 3}\nsessionPersistence: {sessionName: a}\n\
                timeouts: {backendRequest: 5s}\nmatches: [{path: {value: /}}]\n\
                filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC}}]\n\
                backendRefs: [{name: one, port: 1, filters: [{type: Later}]}]";
    let upstream = Upstream {
        rule: mk_rule(rule),
        ..mk_upstream()
    };
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(upstream)],
        ..mk_endpoint()
    };
    let objects = made(&mk_gateway(vec![endpoint]));
    let made = &find(&objects, "HTTPRoute", "mcp-upstream")["spec"]["rules"][0];
    assert_eq!(made["retry"], json!({"attempts": 3}));
    assert_eq!(made["sessionPersistence"], json!({"sessionName": "a"}));
    assert_eq!(made["timeouts"], json!({"backendRequest": "5s", "request": "0s"}));
    assert_eq!(
        made["backendRefs"],
        json!([{"name": "one", "port": 1, "filters": [{"type": "Later"}]}])
    );
    assert_eq!(made["filters"][0]["type"], "ExternalAuth");
    assert_eq!(made["name"], Value::Null, "it would be ours to name");
    assert_eq!(
        made["matches"].as_array().map(Vec::len),
        Some(1),
        "reached by the processor only"
    );
}

#[test]
fn an_upstream_that_the_processor_calls_itself_has_no_route() {
    let upstream = Upstream {
        rule: None,
        ..mk_upstream()
    };
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(upstream)],
        ..mk_endpoint()
    };
    let objects = made(&mk_gateway(vec![endpoint]));
    assert!(
        !objects
            .iter()
            .any(|object| object.place.name.starts_with("mcp-upstream.mcp-test"))
    );
}

#[test]
fn routes_that_a_user_made_get_the_policy_and_nothing_more() {
    let endpoint = Endpoint {
        managed: false,
        own_routes: vec!["mcp-test/hand-made".into()],
        ..mk_endpoint()
    };
    let objects = made(&mk_gateway(vec![endpoint]));
    let policy = &find(&objects, "EnvoyExtensionPolicy", "mcp-own")["spec"];
    assert_eq!(policy["targetRefs"][0]["name"], "hand-made");
    let backend = policy["extProc"][0]["backendRefs"][0]["name"]
        .as_str()
        .unwrap_or_default();
    let beside = mk_place("mcp-test", backend);
    assert!(
        objects.iter().any(|object| object.place == beside),
        "a policy names what stands beside it"
    );
    assert!(
        !objects
            .iter()
            .any(|object| object.place.name.starts_with("mcp-public.mcpge"))
    );
}

#[test]
fn longer_calls_rarely_change_a_policy() {
    let timeout = |seconds| {
        let mut upstream = mk_upstream();
        Arc::make_mut(&mut upstream.assigned).timeout.call = std::time::Duration::from_secs(seconds);
        let endpoint = Endpoint {
            upstreams: vec![Arc::new(upstream)],
            ..mk_endpoint()
        };
        let objects = made(&mk_gateway(vec![endpoint]));
        find(&objects, "EnvoyExtensionPolicy", "mcp-public")["spec"]["extProc"][0]["messageTimeout"].clone()
    };
    assert_eq!([60, 300, 570].map(timeout), ["600s", "600s", "600s"]);
    assert_eq!([571, 3_600, 400_000].map(timeout), ["3600s", "86400s", "112h"]);
}

#[test]
fn policies_and_grants_stand_before_the_routes_they_shut() {
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(mk_upstream())],
        ..mk_endpoint()
    };
    let objects = made(&mk_gateway(vec![endpoint]));
    let first_route = objects.iter().position(|object| object.resource.kind == "HTTPRoute");
    let last_policy = objects.iter().rposition(|object| object.resource.kind != "HTTPRoute");
    assert!(last_policy < first_route, "{objects:?}");
}

#[test]
fn the_route_key_is_never_printed() {
    let endpoint = Endpoint {
        upstreams: vec![Arc::new(mk_upstream())],
        ..mk_endpoint()
    };
    assert!(!format!("{:?}", made(&mk_gateway(vec![endpoint]))).contains("the-route-key"));
}
