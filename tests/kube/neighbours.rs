//! Several Gateways and extensions beside each other: none sees anything of the other's.

use super::harness::install::Processor;
use super::harness::kubectl::{condition, get, kubectl};
use super::harness::served::Served;
use super::harness::{folder, gateway, until};
use crate::e2e::harness::client::Client;
use serde_json::json;
use std::path::Path;

const TOKEN: &str = "only-for-the-first-gateway";

const CREDENTIAL: &str = r"
apiVersion: v1
kind: Secret
metadata: { name: credential, namespace: NAMESPACE, labels: { mcp.kuadrant.io/secret: 'true' } }
stringData: { token: 'Bearer only-for-the-first-gateway' }
";

#[tokio::test]
async fn two_gateways_share_neither_servers_nor_sessions_nor_credentials() {
    let first = Served::new("first", Processor::Sidecar).await;
    let second = Served::new("second", Processor::Sidecar).await;
    first.namespace.apply(CREDENTIAL).await;
    first
        .server("one", "one_", &["--bare", "--tools", "1", "--token", TOKEN])
        .await;
    let patch = r#"{"spec":{"credentialRef":{"name":"credential"}}}"#;
    kubectl(&[
        "patch",
        "mcpsr",
        "one",
        "-n",
        &first.namespace.name,
        "--type=merge",
        "-p",
        patch,
    ])
    .await;
    second.server("two", "two_", &["--bare", "--tools", "1"]).await;
    first.until_ready_is("one", "True").await;
    second.until_ready_is("two", "True").await;

    let (at_first, at_second) = (first.client().await, second.client().await);
    assert_eq!(at_first.tools().await, ["one_generated_0"]);
    assert_eq!(at_second.tools().await, ["two_generated_0"]);
    let stranger = Client::known(second.address, &at_first.session);
    assert_eq!(
        stranger.ask("tools/list", &json!({})).await.status,
        404,
        "a session of the first"
    );

    until("the first one's processor has written what it needs", async || {
        if holds(&first, TOKEN).await {
            Ok(())
        } else {
            Err(String::new())
        }
    })
    .await;
    assert!(!holds(&second, TOKEN).await, "the second one's must not have it");
}

/// Whether any file of the Gateway's Envoy pods, state of the processor and logs included, contains a text.
async fn holds(served: &Served, text: &str) -> bool {
    let pods = gateway::envoys(&served.namespace.name, "gateway").await;
    assert!(!pods.is_empty(), "there are pods");
    for pod in pods {
        let name = pod.trim_start_matches("pod/");
        let object = get("pod", "envoy-gateway-system", name).await;
        let uid = object["metadata"]["uid"].as_str().expect("a pod has an uid");
        let logs = folder().join(format!("pods/envoy-gateway-system_{name}"));
        let volumes = folder().join(format!("layers/{uid}/volumes"));
        if [logs, volumes].iter().any(|folder| contains(folder, text.as_bytes())) {
            return true;
        }
    }
    false
}

fn contains(path: &Path, text: &[u8]) -> bool {
    let Ok(kind) = std::fs::symlink_metadata(path).map(|found| found.file_type()) else {
        return false;
    };
    if kind.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return entries.into_iter().any(|entry| contains(&entry.path(), text));
    }
    let bytes = if kind.is_file() {
        std::fs::read(path).unwrap_or_default()
    } else {
        Vec::new()
    };
    bytes.windows(text.len()).any(|window| window == text)
}

const ANOTHER: &str = r"
apiVersion: mcp.kuadrant.io/v1
kind: MCPGatewayExtension
metadata: { name: another, namespace: NAMESPACE }
spec:
  targetRef: { name: gateway, sectionName: mcp }
";

#[tokio::test]
async fn the_older_of_two_extensions_in_a_namespace_is_served_and_the_other_takes_over() {
    let served = super::life::one_server("extensions").await;
    served.namespace.apply(ANOTHER).await;
    let ready = async |name: &str| {
        let object = get("mcpge", &served.namespace.name, name).await;
        condition(&object["status"]["conditions"], "Ready").clone()
    };
    until("the younger one is told", async || {
        let ready = ready("another").await;
        let told = ready["message"]
            .as_str()
            .is_some_and(|text| text.contains("older extension extension"));
        if told { Ok(()) } else { Err(ready.to_string()) }
    })
    .await;
    assert_eq!(ready("extension").await["status"], "True");
    assert_eq!(served.client().await.tools().await.len(), 2);
    served.delete("mcpge", "extension").await;
    until("the other one takes over", async || {
        let ready = ready("another").await;
        if ready["status"] == "True" {
            Ok(())
        } else {
            Err(ready.to_string())
        }
    })
    .await;
    until("its server is served there", async || {
        let request = crate::e2e::harness::client::initialize("2025-11-25", &json!({}));
        match crate::e2e::harness::http::exchange(served.address, &request.bytes()).await {
            Ok(response) if response.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(served.client().await.tools().await.len(), 2);
}
