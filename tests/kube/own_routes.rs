//! Public routes that users make themselves (`httpRouteManagement: Disabled`).

use super::harness::install::Processor;
use super::harness::kubectl::{get, kubectl};
use super::harness::namespace::Namespace;
use super::harness::served::Served;
use super::harness::until;
use crate::e2e::harness::client::{Request, initialize, rpc};
use crate::e2e::harness::http;
use serde_json::json;

/// Leads wherever: requests that the processor sends on leave it.
const ROUTE: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: ours
  namespace: NAMESPACE
  annotations: { mcp-manifold/extension: extension }
spec:
  parentRefs: [{ name: gateway, sectionName: mcp }]
  rules:
    - matches: [{ path: { type: Exact, value: /mcp }, headers: [{ name: x-team, value: tools }] }]
      timeouts: { request: 0s }
      backendRefs: [{ name: fallback, port: 9090 }]
";

#[tokio::test]
async fn a_public_route_of_the_users_leads_to_the_servers_and_none_is_made_beside_it() {
    let namespace = Namespace::new("own").await;
    let listener = "{ name: mcp, port: 80, protocol: HTTP }";
    let own = "httpRouteManagement: Disabled";
    let served = Served::with(namespace, Processor::Sidecar, listener, own).await;
    served.namespace.fixture("fallback", &["--tools", "1", "--bare"]).await;
    served.namespace.apply(ROUTE).await;
    served.server("one", "one_", &["--tools", "2", "--bare"]).await;
    served.until_ready_is("one", "True").await;

    let opened = initialize("2025-11-25", &json!({})).with("x-team", "tools");
    let session = until("a session is opened by that route", async || {
        match http::exchange(served.address, &opened.bytes()).await {
            Ok(response) if response.status == 200 => Ok(response.header("mcp-session-id").map(str::to_owned)),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .expect("the gateway gives an id");
    let ask = async |method: &str, params| {
        let request = Request::post(rpc(1, method, &params));
        let request = request.session(&session).with("x-team", "tools");
        http::exchange(served.address, &request.bytes())
            .await
            .expect("an answer")
    };
    let called = ask("tools/call", json!({"name": "one_generated_0", "arguments": {}})).await;
    assert!(called.message()["result"]["content"].is_array(), "{called:?}");
    let elsewhere = initialize("2025-11-25", &json!({})).send(served.address).await;
    assert_eq!(
        elsewhere.status, 404,
        "without its header no route leads here: {elsewhere:?}"
    );
    let label = format!(
        "mcp-manifold/gateway={}.gateway,mcp-manifold/purpose in (public,inspected)",
        served.namespace.name
    );
    let made = kubectl(&["get", "httproutes", "-A", "-l", &label, "-o", "name"]).await;
    assert_eq!(made.trim(), "", "no public route is made");
    let theirs = get("httproute", &served.namespace.name, "ours").await;
    assert_eq!(theirs["metadata"]["generation"], 1, "it is not changed: {theirs}");
}
