//! What is said of a backend: counts, fields without effect, and nothing where it is somebody else's.

use super::*;

#[test]
fn ready_counts_servers_that_were_listed() {
    let mut world = world();
    world.index.apply(mk_object(&weather()));
    world.index.apply(mk_object(&json!({
        "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "w", "namespace": "default", "labels": {"kubernetes.io/service-name": "weather"}},
        "ports": [{"name": "mcp", "port": 8080}], "endpoints": [{"addresses": ["10.0.0.9"]}]
    })));
    let ready = |seen: &Seen| conditions(seen).into_iter().find(|(head, _)| head.starts_with("Ready"));
    let seen = world.changes();
    assert_eq!(ready(&seen).expect("a condition").0, "Ready False NoProcessor");
    world.index.told(
        &at(GATEWAY),
        Told::Connected {
            processor: "one".into(),
        },
    );
    report(&mut world, |_| false);
    let seen = world.changes();
    assert_eq!(ready(&seen).expect("a condition").0, "Ready False Timeout");
    report(&mut world, |name| name.ends_with("3001"));
    let seen = world.changes();
    let (head, message) = ready(&seen).expect("a condition");
    assert_eq!(head, "Ready True PartiallyReady");
    assert!(
        message.starts_with("1 of 2 servers are ready, 4 tools; target \"weather-mcp\": Timeout"),
        "{message}"
    );
    report(&mut world, |_| true);
    let seen = world.changes();
    assert_eq!(
        ready(&seen).expect("a condition"),
        (
            "Ready True Ready".to_owned(),
            "2 of 2 servers are ready, 8 tools".to_owned()
        )
    );
    let status = seen.status(Kind::AgentgatewayBackend, BACKEND).expect("a status");
    assert_eq!(
        (&status["servers"], &status["readyServers"], &status["discoveredTools"]),
        (&json!(2), &json!(2), &json!(8))
    );
}

#[test]
fn fields_without_effect_are_named() {
    let mut world = world();
    change(&mut world, "AgentgatewayBackend", |backend| {
        backend["spec"]["policies"] = json!({"auth": {}});
        backend["spec"]["mcp"]["sessionRouting"] = json!("Stateless");
        backend["spec"]["mcp"]["failureMode"] = json!("FailClosed");
        backend["spec"]["mcp"]["targets"] = json!([{
            "name": "docs",
            "static": {"host": "h", "port": 443, "policies": {"tls": {"sni": "h", "alpnProtocols": []}, "auth": {}}}
        }]);
    });
    let seen = world.changes();
    let (_, message) = conditions(&seen)
        .into_iter()
        .find(|(head, _)| head.starts_with("FieldsIgnored"))
        .expect("a condition");
    for path in [
        "policies",
        "mcp.failureMode",
        "mcp.sessionRouting",
        "static.policies.tls.alpnProtocols",
        "static.policies.auth",
    ] {
        assert!(message.contains(path), "{path} in {message}");
    }
    assert!(!message.contains("sni"), "{message}");
}

#[test]
fn a_server_name_that_is_not_the_hosts_is_refused_unless_the_host_is_an_address() {
    let mut world = world();
    let mut accepted = |host: &str, sni: &str| {
        change(&mut world, "AgentgatewayBackend", |backend| {
            backend["spec"]["mcp"]["targets"] = json!([{
                "name": "docs", "static": {"host": host, "port": 443, "policies": {"tls": {"sni": sni}}}
            }]);
        });
        let all = conditions(&world.settle());
        let accepted = all.into_iter().find(|(head, _)| head.starts_with("Accepted"));
        accepted.expect("it is told")
    };
    assert_eq!(accepted("10.0.0.7", "other.example").0, "Accepted True Accepted");
    let (head, message) = accepted("docs.example", "other.example");
    assert_eq!(head, "Accepted False Invalid");
    assert!(message.contains("set host to \"other.example\""), "{message}");
    assert_eq!(accepted("other.example", "Other.example").1, "mcp-manifold: 1 targets");
}

#[test]
fn backends_about_other_things_are_left_alone() {
    let mut world = world();
    change(&mut world, "AgentgatewayBackend", |backend| {
        backend["spec"] = json!({"ai": {"provider": {}}})
    });
    let seen = world.changes();
    assert!(seen.0.plans.is_empty() && seen.0.statuses.is_empty(), "{:?}", seen.0);
}

#[test]
fn what_another_controller_serves_or_accepts_stays_as_it_is() {
    let mut world = world();
    change(&mut world, "AgentgatewayBackend", |backend| {
        let theirs = json!({
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "Backend successfully accepted",
            "lastTransitionTime": "2026-11-01T00:00:05Z"
        });
        backend["status"] = json!({"conditions": [theirs]});
    });
    let seen = world.changes();
    assert!(
        !heads(&seen).iter().any(|head| head.starts_with("Accepted")),
        "{:?}",
        heads(&seen)
    );
    change(&mut world, "GatewayClass", |class| {
        class["spec"]["controllerName"] = json!("agentgateway.dev/agentgateway");
    });
    let seen = world.changes();
    let about = seen
        .0
        .statuses
        .iter()
        .filter(|change| change.key.kind == Kind::AgentgatewayBackend);
    assert_eq!(about.count(), 0, "the route is on a Gateway of theirs");
}
