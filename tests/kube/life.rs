//! Events of life: parts of the cluster that restart, go away and come back, while clients go on.

use super::harness::install::{self, NAMESPACE, Processor, rolled_out};
use super::harness::kubectl::{get, kubectl};
use super::harness::served::{Served, calls_while};
use super::harness::until;
use serde_json::json;

pub(crate) async fn one_server(what: &str) -> Served {
    let served = Served::new(what, Processor::Sidecar).await;
    served.server("one", "one_", &["--tools", "2", "--bare"]).await;
    served.until_ready_is("one", "True").await;
    served
}

#[tokio::test]
async fn calls_go_on_while_the_controller_is_replaced_and_changes_follow_after() {
    let served = one_server("controllers").await;
    let client = served.client().await;
    install::controller().await;
    kubectl(&[
        "rollout",
        "restart",
        "deployment/mcp-manifold-controller",
        "-n",
        NAMESPACE,
    ])
    .await;
    calls_while(&client, "one_generated_0", rolled_out("mcp-manifold-controller")).await;
    served.server("two", "two_", &["--tools", "1", "--bare"]).await;
    served.until_ready_is("two", "True").await;
    assert_eq!(client.tools().await.len(), 3);
}

#[tokio::test]
async fn a_session_outlives_the_pod_of_envoy_that_it_was_begun_at() {
    let served = one_server("envoys").await;
    let client = served.client().await;
    assert_eq!(client.tools().await.len(), 2);
    let before = super::harness::gateway::envoys(&served.namespace.name, "gateway").await;
    let [pod] = &before[..] else {
        panic!("one pod: {before:?}")
    };
    kubectl(&["delete", "-n", "envoy-gateway-system", pod, "--wait=false"]).await;
    until("another pod serves", async || {
        let now = super::harness::gateway::envoys(&served.namespace.name, "gateway").await;
        if now.iter().any(|name| name != pod) {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    until("the session goes on", async || {
        let request = client.request(crate::e2e::harness::client::rpc(7, "tools/list", &json!({})));
        match crate::e2e::harness::http::exchange(served.address, &request.bytes()).await {
            Ok(response) if response.status == 200 => Ok(()),
            // Between two pods nobody listens, or a processor has not been told anything yet.
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(!client.text_of("one_generated_0", &json!({})).await.is_empty());
}

#[tokio::test]
async fn the_grant_decides_whether_an_extension_may_use_a_gateway_elsewhere() {
    let served = one_server("grants").await;
    let other = super::harness::namespace::Namespace::new("elsewhere").await;
    other.apply(&EXTENSION.replace("GATEWAY", &served.namespace.name)).await;
    let ready = async || {
        let object = get("mcpge", &other.name, "elsewhere").await;
        super::harness::kubectl::condition(&object["status"]["conditions"], "Ready").clone()
    };
    until("the grant is asked for", async || {
        let ready = ready().await;
        if ready["reason"] == "ReferenceGrantRequired" {
            Ok(())
        } else {
            Err(ready.to_string())
        }
    })
    .await;
    served.namespace.apply(&GRANT.replace("ELSEWHERE", &other.name)).await;
    until("the grant is seen", async || {
        let ready = ready().await;
        if ready["reason"] == "ReferenceGrantRequired" {
            Err(ready.to_string())
        } else {
            Ok(())
        }
    })
    .await;
    served.delete("referencegrant", "elsewhere").await;
    until("the grant is missed", async || {
        let ready = ready().await;
        if ready["reason"] == "ReferenceGrantRequired" {
            Ok(())
        } else {
            Err(ready.to_string())
        }
    })
    .await;
}

const EXTENSION: &str = r"
apiVersion: mcp.kuadrant.io/v1
kind: MCPGatewayExtension
metadata: { name: elsewhere, namespace: NAMESPACE }
spec:
  targetRef: { name: gateway, namespace: GATEWAY, sectionName: mcp }
";

const GRANT: &str = r"
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: { name: elsewhere, namespace: NAMESPACE }
spec:
  from: [{ group: mcp.kuadrant.io, kind: MCPGatewayExtension, namespace: ELSEWHERE }]
  to: [{ group: gateway.networking.k8s.io, kind: Gateway }]
";

#[tokio::test]
async fn a_deleted_namespace_takes_its_servers_and_everything_generated_along() {
    let served = one_server("deleted").await;
    let name = served.namespace.name.clone();
    kubectl(&["delete", "namespace", &name, "--wait=true", "--timeout=60s"]).await;
    until("nothing generated is left", async || {
        let label = format!("mcp-manifold/gateway={name}.gateway");
        let kinds =
            "httproutes,backends.gateway.envoyproxy.io,envoyextensionpolicies,backendtrafficpolicies,referencegrants";
        let left = kubectl(&["get", kinds, "-A", "-l", &label, "-o", "name"]).await;
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}
