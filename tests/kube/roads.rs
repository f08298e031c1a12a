//! Generated routes are tried by traffic before anything is called ready.

use super::harness::install::Processor;
use super::harness::kubectl::{get, kubectl};
use super::harness::namespace::Namespace;
use super::harness::served::Served;
use super::harness::until;
use serde_json::json;
use std::time::Duration;

/// A policy of the user's on a route that will be generated: older than ours, so Envoy Gateway lets it win. Its service
/// is there from the beginning, or the policy would not count yet when the route is tried; nobody stands behind it.
const POLICY: &str = r"
apiVersion: v1
kind: Service
metadata: { name: theirs, namespace: NAMESPACE }
spec: { ports: [{ port: 9090 }] }
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: { name: theirs, namespace: NAMESPACE }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: mcp-upstream.NAMESPACE.one }]
  extProc: [{ backendRefs: [{ name: theirs, port: 9090 }], failOpen: true }]
";

#[tokio::test]
async fn a_server_whose_route_leads_past_the_processor_is_not_ready_until_that_is_mended() {
    let namespace = Namespace::new("open").await;
    namespace.apply(POLICY).await;
    until_a_second_older(&namespace.name).await;
    let served = Served::within(namespace, Processor::Sidecar).await;
    served.server("one", "one_", &["--tools", "1", "--bare"]).await;
    served.server("two", "two_", &["--tools", "1", "--bare"]).await;
    served.until_ready_is("two", "True").await;
    until("the open route is found", async || {
        let ready = served.ready("one").await;
        match ready["reason"] == "RouteOpen" {
            true => Ok(()),
            false => Err(ready.to_string()),
        }
    })
    .await;
    until("an event tells", async || {
        let path = "jsonpath={.items[*].reason}";
        let reasons = kubectl(&["get", "events", "-n", &served.namespace.name, "-o", path]).await;
        match reasons.contains("RouteOpen") {
            true => Ok(()),
            false => Err(reasons),
        }
    })
    .await;
    served.delete("envoyextensionpolicy", "theirs").await;
    served.until_ready_is("one", "True").await;
    assert!(
        !served
            .client()
            .await
            .text_of("one_generated_0", &json!({}))
            .await
            .is_empty()
    );
}

/// Of two policies of the same second, which is how exact the time of an object's making is, the names decide.
async fn until_a_second_older(namespace: &str) {
    let policy = get("envoyextensionpolicy", namespace, "theirs").await;
    let made = policy["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    let made = humantime::parse_rfc3339(made).expect("every object has been made at a time");
    until("the policy is older than what comes next", async || {
        let age = made.elapsed().unwrap_or_default();
        (age >= Duration::from_secs(1))
            .then_some(())
            .ok_or_else(|| format!("{age:?}"))
    })
    .await;
}

#[tokio::test]
async fn what_was_tried_and_is_as_it_should_be_carries_no_warning() {
    let served = super::life::one_server("roads").await;
    let object = get("mcpsr", &served.namespace.name, "one").await;
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    assert!(
        conditions
            .iter()
            .all(|condition| condition["type"] != "RouteUnverified"),
        "it was found out: {object}"
    );
}
