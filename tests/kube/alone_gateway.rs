//! Envoy Gateway itself is replaced: every other test needs it, so this is run alone.

use super::harness::kubectl::kubectl;
use super::harness::served::calls_while;
use super::life::one_server;
use serde_json::json;

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
    let replaced = async move {
        kubectl(&rollout).await;
    };
    calls_while(&client, "one_generated_0", replaced).await;
    served.server("two", "two_", &["--tools", "1", "--bare"]).await;
    served.until_ready_is("two", "True").await;
    assert_eq!(client.tools().await.len(), 3);
    assert!(!client.text_of("two_generated_0", &json!({})).await.is_empty());
}
