//! Rolling updates of the data plane under calls: none is lost.

use super::harness::install::{NAMESPACE, Processor};
use super::harness::kubectl::kubectl;
use super::harness::served::{Served, calls_while};
use super::harness::until;

const PROXIES: &str = "envoy-gateway-system";

async fn served(what: &str, processor: Processor) -> Served {
    let served = Served::new(what, processor).await;
    served.server("one", "one_", &["--tools", "2", "--bare"]).await;
    served.until_ready_is("one", "True").await;
    served
}

/// Replaces the pods of the only Deployment with this label, and waits until that is done.
async fn replaced(namespace: &'static str, label: String) {
    let found = kubectl(&["get", "deployments", "-n", namespace, "-l", &label, "-o", "name"]).await;
    let name = found.trim();
    assert_eq!(found.lines().count(), 1, "{label}: {found}");
    let before = pods(namespace, &label).await;
    kubectl(&["rollout", "restart", name, "-n", namespace]).await;
    kubectl(&["rollout", "status", name, "-n", namespace, "--timeout=120s"]).await;
    until("the pods of before are gone", async || {
        let now = pods(namespace, &label).await;
        let others = !now.is_empty() && now.iter().all(|pod| !before.contains(pod));
        others.then_some(()).ok_or_else(|| format!("{now:?}"))
    })
    .await;
}

async fn pods(namespace: &str, label: &str) -> Vec<String> {
    let found = kubectl(&["get", "pods", "-n", namespace, "-l", label, "-o", "name"]).await;
    found.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn no_call_is_lost_while_processors_in_pods_of_their_own_are_replaced() {
    let served = served("rolling", Processor::Deployment).await;
    let client = served.client().await;
    let label = format!("mcp-manifold/serves={}.gateway", served.namespace.name);
    calls_while(&client, "one_generated_0", replaced(NAMESPACE, label)).await;
    assert_eq!(client.tools().await.len(), 2, "the session goes on");
    served.until_ready_is("one", "True").await;
}

#[tokio::test]
async fn no_call_is_lost_while_pods_of_envoy_are_replaced_with_their_processors() {
    let served = served("proxies", Processor::Sidecar).await;
    let client = served.client().await;
    let owner = "gateway.envoyproxy.io/owning-gateway";
    let label = format!("{owner}-namespace={},{owner}-name=gateway", served.namespace.name);
    calls_while(&client, "one_generated_0", replaced(PROXIES, label)).await;
    assert_eq!(client.tools().await.len(), 2, "the session goes on");
    served.until_ready_is("one", "True").await;
}
