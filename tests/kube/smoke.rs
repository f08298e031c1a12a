//! The cluster itself: what every other test relies on.

use super::harness::gateway::programmed;
use super::harness::kubectl::kubectl;
use super::harness::namespace::Namespace;
use super::harness::until;
use crate::e2e::harness::client::initialize;
use crate::e2e::harness::http;
use serde_json::json;

const ROUTE: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gateway, namespace: NAMESPACE }
spec:
  gatewayClassName: eg
  listeners: [{ name: http, protocol: HTTP, port: 80 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: server, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway }]
  rules: [{ backendRefs: [{ name: server, port: 9090 }] }]
";

#[tokio::test]
async fn a_server_in_a_pod_is_reached_through_envoy_gateway() {
    let namespace = Namespace::new("smoke").await;
    namespace.apply(ROUTE).await;
    namespace.fixture("server", &[]).await;
    let address = programmed(&namespace.name, "gateway", 80).await;
    let request = initialize("2025-11-25", &json!({})).bytes();
    until("the route serves", async || {
        match http::exchange(address, &request).await {
            Ok(response) if response.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn kubectl_speaks_to_the_api_server_of_its_own_version() {
    let said = kubectl(&["version"]).await;
    let versions: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("Kustomize"))
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert!(
        matches!(versions[..], [client, server] if client == server),
        "client and server are built together: {said}"
    );
}
