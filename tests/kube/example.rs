//! The example of `envoy/gateway`: applied as its README says, it serves, and lets nobody past the processor.

use super::bypass::{Knowledge, is_shut};
use super::harness::caller::{Caller, service};
use super::harness::gateway::programmed;
use super::harness::kubectl::{apply, kubectl, kubectl_with};
use super::harness::namespace::Namespace;
use super::harness::until;
use std::path::Path;

const HOST: &str = "mcp.example.com";
/// Of the test only.
const KEY: &str = "2f1c0c9f3d0f4d0c8f6b7f1f2a9b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

/// What the example makes outside namespaces of its own goes with the test.
struct Example;

impl Drop for Example {
    fn drop(&mut self) {
        let objects = "gatewayclass/mcp namespace/mcp namespace/tools";
        let _gone = std::process::Command::new("kubectl")
            .args(["delete", "--ignore-not-found", "--wait=false"])
            .args(objects.split(' '))
            .output();
    }
}

async fn apply_file(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/gateway").join(name);
    let text = std::fs::read_to_string(path).expect("it is a file of the example");
    apply(&text.replace("REPLACE-WITH-THE-ROUTE-KEY", KEY)).await;
}

#[tokio::test]
async fn the_example_serves_both_servers_and_nobody_gets_past_the_processor() {
    let _example = Example;
    kubectl_with(&["create", "namespace", "tools"], "").await;
    let tools = Namespace {
        name: "tools".to_owned(),
    };
    for server in ["weather", "search"] {
        tools.fixture(server, &["--bare", "--tools", "1"]).await;
    }
    for file in ["gateway.yaml", "manifold.yaml", "policies.yaml", "routes.yaml"] {
        apply_file(file).await;
    }
    let address = programmed("mcp", "mcp", 80).await;
    let caller = Caller::connect(address, HOST).await;
    until("both servers are listed", async || {
        let mut tools = caller.tools().await;
        tools.sort();
        let wanted = ["search_generated_0", "weather_generated_0"];
        if tools == wanted {
            Ok(())
        } else {
            Err(format!("{tools:?}"))
        }
    })
    .await;
    until("routes lead to both servers", async || {
        for tool in ["search_generated_0", "weather_generated_0"] {
            let response = caller.call(tool).await;
            if response.status != 200 || response.message()["error"].is_object() {
                return Err(format!("{tool}: {response:?}"));
            }
        }
        Ok(())
    })
    .await;
    let known = Knowledge {
        host: HOST,
        upstream: "weather",
        key: KEY,
        inner: &["weather.tools.svc.cluster.local", "weather"],
    };
    is_shut(
        &caller,
        "weather_generated_0",
        service("tools", "weather").await,
        &known,
    )
    .await;
    let refused = kubectl(&[
        "get",
        "eep",
        "-n",
        "mcp",
        "-o",
        "jsonpath={..conditions[?(@.type=='Accepted')].status}",
    ])
    .await;
    assert!(
        !refused.is_empty() && !refused.contains("False"),
        "policies are accepted: {refused}"
    );
}
