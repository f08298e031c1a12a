//! What disturbs every other test of the cluster: run.sh runs these after the others, one at a time.

use super::harness::kubectl::{kubectl, kubectl_with};
use super::harness::plane;
use super::harness::served::calls_while;
use super::harness::until;
use super::life::one_server;
use std::time::Duration;

#[tokio::test]
async fn without_api_server_everything_goes_on_and_what_happened_meanwhile_is_seen_after() {
    let served = one_server("away").await;
    let client = served.client().await;
    // Where several share the work it ends when it cannot renew its lease. Our only one would go on, and come back to
    // each of its watches after a minute or more.
    plane::stop("kube-controller-manager").await;
    plane::stop("kube-apiserver").await;
    plane::stop("etcd").await;
    // Longer than leases and certificates of a session with it; the half a minute.
    calls_while(&client, "one_generated_0", tokio::time::sleep(Duration::from_secs(30))).await;
    assert_eq!(client.tools().await.len(), 2);
    plane::start("etcd").await;
    plane::start("kube-apiserver").await;
    until("the API server answers", async || {
        let said = kubectl_with(&["get", "--raw", "/readyz"], "").await;
        if said.success { Ok(()) } else { Err(said.err) }
    })
    .await;
    plane::start("kube-controller-manager").await;
    // It gives up when it cannot renew its lease, and is started again.
    let rollout = [
        "rollout",
        "status",
        "deployment/envoy-gateway",
        "-n",
        "envoy-gateway-system",
        "--timeout=120s",
    ];
    kubectl(&rollout).await;
    served.server("two", "two_", &["--tools", "1", "--bare"]).await;
    served.until_ready_is("two", "True").await;
    assert_eq!(client.tools().await.len(), 3);
}
