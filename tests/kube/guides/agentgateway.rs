//! agentgateway's guide "Route to an MCP server dynamically", command by command, in both versions that it shows.

use super::script::{Adaptation, fenced_commands, guide, run};
use crate::e2e::harness::client::Client;
use crate::kube::harness::gateway::programmed;
use crate::kube::harness::install::{self, Processor};
use crate::kube::harness::namespace::Namespace;
use crate::kube::harness::until;
use serde_json::json;
use tempfile::TempDir;

const GUIDE: &str = "agentgateway-dynamic-mcp.md";

/// Everything that is not run as it stands.
const ADAPTATIONS: &[Adaptation] = &[
    Adaptation {
        text: "kubectl delete {{< reuse \"docs/snippets/backend.md\" >}}",
        instead: "kubectl delete RESOURCE",
        because: "Envoy Gateway has a kind Backend too, of which the short name is",
    },
    Adaptation {
        text: "{{< reuse \"docs/snippets/backend.md\" >}}",
        instead: "KIND",
        because: "the documentation site puts the kind of the version there",
    },
    Adaptation {
        text: "{{< reuse \"docs/snippets/namespace.md\" >}}",
        instead: "NAMESPACE",
        because: "the documentation site puts the namespace of the installation there",
    },
    Adaptation {
        text: "gateway agentgateway -n",
        instead: "gateway agentgateway-proxy -n",
        because: "the guide's route names the Gateway agentgateway-proxy, this command another one",
    },
];

/// What the guide asks for before it begins.
const BEFORE: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: agentgateway-proxy, namespace: NAMESPACE }
spec:
  gatewayClassName: eg
  infrastructure:
    parametersRef: { group: gateway.envoyproxy.io, kind: EnvoyProxy, name: mcp-manifold-agentgateway-proxy }
  listeners: [{ name: http, port: 80, protocol: HTTP }]
";

/// Follows the guide as its readers of one version see it.
async fn follow(version: &str, other: &str, kind: &str, resource: &str) {
    let namespace = Namespace::new("agentgateway").await;
    install::processors(&namespace.name, "agentgateway-proxy", Processor::Sidecar).await;
    namespace.apply(BEFORE).await;
    let address = programmed(&namespace.name, "agentgateway-proxy", 80).await;
    let values = [("KIND", kind), ("RESOURCE", resource), ("NAMESPACE", &namespace.name)];
    let text = guide(GUIDE, ADAPTATIONS, &values);
    let text = only(&text, version, other);
    let (steps, cleanup) = text.split_once("## Cleanup").expect("the guide cleans up");
    let folder = TempDir::new().expect("a folder");
    // The guide works in the namespace of the reader's context.
    let here = format!(
        "kubectl() {{ command kubectl --namespace {} \"$@\"; }}\n",
        namespace.name
    );
    let commands = fenced_commands(steps, &["kubectl apply"]);
    assert_eq!(commands.len(), 3, "server, backend, route: {commands:#?}");
    for command in &commands {
        run(&format!("{here}{command}"), folder.path()).await;
    }
    let [show] = &fenced_commands(steps, &["export INGRESS_GW_ADDRESS"])[..] else {
        panic!("one command tells the address")
    };
    let said = run(show, folder.path()).await;
    assert_eq!(said.out.trim(), address.ip().to_string());
    namespace.rolled_out("mcp-server-everything").await;

    // What the guide does with the Inspector's page: connect, list the tools, call echo.
    let tools = until("the server's tools are listed", async || {
        let response = crate::e2e::harness::client::initialize("2025-11-25", &json!({}))
            .send(address)
            .await;
        if response.status != 200 {
            return Err(format!("{response:?}"));
        }
        let tools = Client::connect(address).await.tools().await;
        if tools.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(tools)
        }
    })
    .await;
    assert!(
        tools.contains(&"echo".to_owned()),
        "one server, names as they are: {tools:?}"
    );
    let client = Client::connect(address).await;
    let text = client.text_of("echo", &json!({"message": "Hello, world!"})).await;
    assert!(text.contains("Hello, world!"), "{text}");

    let [remove] = &fenced_commands(cleanup, &["kubectl delete"])[..] else {
        panic!("one block cleans up")
    };
    run(&format!("{here}{remove}"), folder.path()).await;
}

/// The text without what is for readers of the other version.
fn only(text: &str, version: &str, other: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    let begin = format!("{{{{< version include-if=\"{other}\" >}}}}");
    while let Some((before, after)) = rest.split_once(&begin) {
        kept.push_str(before);
        rest = after.split_once("{{< /version >}}").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    assert!(kept.contains(version), "the guide knows this version");
    kept
}

#[tokio::test]
async fn the_guide_of_agentgateway_works_with_agentgateway_backend() {
    follow("2.2.x", "2.1.x", "AgentgatewayBackend", "agentgatewaybackends").await;
}

#[tokio::test]
async fn the_guide_of_agentgateway_works_with_the_older_backend() {
    follow("2.1.x", "2.2.x", "Backend", "backends.gateway.kgateway.dev").await;
}
