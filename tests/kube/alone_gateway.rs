//! Envoy Gateway itself is replaced: every other test needs it, so this is run alone.

use super::harness::kubectl::kubectl;
use super::life::one_server;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn calls_go_on_while_envoy_gateway_is_replaced_and_new_servers_follow_after() {
    let served = one_server("replaced").await;
    let client = served.client().await;
    let deployment = "deployment/envoy-gateway";
    kubectl(&["rollout", "restart", deployment, "-n", "envoy-gateway-system"]).await;
    let rollout = [
        "rollout",
        "status",
        deployment,
        "-n",
        "envoy-gateway-system",
        "--timeout=120s",
    ];
    let replaced = tokio::spawn(async move { kubectl(&rollout).await });
    let mut calls = 0;
    while !replaced.is_finished() {
        assert!(!client.text_of("one_generated_0", &json!({})).await.is_empty());
        calls += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    replaced.await.expect("it is rolled out");
    assert!(calls > 0, "some calls were made meanwhile");
    served.server("two", "two_", &["--tools", "1", "--bare"]).await;
    served.until_ready_is("two", "True").await;
    assert_eq!(client.tools().await.len(), 3);
    assert!(!client.text_of("two_generated_0", &json!({})).await.is_empty());
}
