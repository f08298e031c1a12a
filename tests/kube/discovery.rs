//! Discovery by label: Services that come and go, their names, and sessions that stay with one of several pods.

use super::harness::gateway::programmed;
use super::harness::install::Processor;
use super::harness::kubectl::{condition, get, kubectl};
use super::harness::namespace::{Namespace, fixture};
use super::harness::{install, until};
use crate::e2e::harness::client::{Client, Request, initialize};
use crate::e2e::harness::http;
use crate::e2e::harness::stream::Stream;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

const TOOLS: &str = "notifications/tools/list_changed";

/// A Gateway, a backend object that selects `mcp: "yes"`, and the route between them.
const BACKEND: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gateway, namespace: NAMESPACE }
spec:
  gatewayClassName: eg
  infrastructure:
    parametersRef: { group: gateway.envoyproxy.io, kind: EnvoyProxy, name: mcp-manifold-gateway }
  listeners: [{ name: http, protocol: HTTP, port: 80 }]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: { name: tools, namespace: NAMESPACE }
spec:
  mcp:
    prefixMode: MODE
    targets:
      - name: by-label
        selector: { services: { matchLabels: { mcp: "yes" } } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: tools, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway }]
  rules: [{ backendRefs: [{ group: agentgateway.dev, kind: AgentgatewayBackend, name: tools }] }]
"#;

/// A Service that the selector finds, before the pods of a fixture.
fn service(name: &str, pods: &str, ports: &[&str]) -> String {
    let port = |(index, name): (usize, &&str)| {
        format!(
            "{{ name: {name}, port: {}, targetPort: 9090, appProtocol: kgateway.dev/mcp }}",
            80 + index
        )
    };
    let ports: Vec<String> = ports.iter().enumerate().map(port).collect();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: NAMESPACE, labels: {{ mcp: \"yes\" }} }}\n\
         spec: {{ selector: {{ app: {pods} }}, ports: [{}] }}\n",
        ports.join(", ")
    )
}

/// A namespace with the backend object, and its Gateway's address.
async fn backend(what: &str, mode: &str) -> (Namespace, SocketAddr) {
    let namespace = Namespace::new(what).await;
    install::processors(&namespace.name, "gateway", Processor::Sidecar).await;
    namespace.apply(&BACKEND.replace("MODE", mode)).await;
    let address = programmed(&namespace.name, "gateway", 80).await;
    (namespace, address)
}

/// Waits until a client sees exactly these tools.
async fn lists(address: SocketAddr, wanted: &[&str]) -> Client {
    let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
    until(&format!("the tools are {wanted:?}"), async || {
        let request = initialize("2025-11-25", &json!({})).bytes();
        match http::exchange(address, &request).await {
            Ok(response) if response.status == 200 => {}
            other => return Err(format!("{other:?}")),
        }
        let client = Client::connect(address).await;
        let tools = client.tools().await;
        let seen: BTreeSet<&str> = tools.iter().map(String::as_str).collect();
        if seen == wanted {
            Ok(client)
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await
}

/// Waits until the backend object shows this condition; its message.
async fn shows(namespace: &Namespace, kind: &str, status: &str, reason: &str) -> String {
    until(&format!("{kind} is {status} {reason}"), async || {
        let backend = get("agentgatewaybackend", &namespace.name, "tools").await;
        let found = condition(&backend["status"]["conditions"], kind);
        if found["status"] == status && found["reason"] == reason {
            return Ok(found["message"].as_str().unwrap_or_default().to_owned());
        }
        Err(backend["status"].to_string())
    })
    .await
}

/// The client's stream of notifications.
async fn listen(client: &Client) -> Stream {
    let request = Request::bare("GET")
        .with("accept", "text/event-stream")
        .session(&client.session);
    let stream = Stream::open(client.address, &request).await;
    assert_eq!(stream.status, 200, "{:?}", stream.headers);
    stream
}

#[tokio::test]
async fn services_that_come_and_go_change_the_list_and_rename_nothing() {
    let (namespace, address) = backend("come-and-go", "Always").await;
    namespace.fixture("one", &["--bare", "--tools", "1"]).await;
    namespace.fixture("two", &["--bare", "--tools", "1"]).await;
    namespace.apply(&service("alpha", "one", &["mcp"])).await;
    let client = lists(address, &["alpha-mcp_generated_0"]).await;
    kubectl(&[
        "wait",
        "--for=condition=Ready",
        "agentgatewaybackend/tools",
        "-n",
        &namespace.name,
        "--timeout=60s",
    ])
    .await;
    let mut stream = listen(&client).await;

    namespace.apply(&service("beta", "two", &["mcp"])).await;
    assert_eq!(stream.message().await["method"], TOOLS);
    let both = ["alpha-mcp_generated_0", "beta-mcp_generated_0"];
    until("the same session sees both", async || {
        let tools = client.tools().await;
        if tools == both {
            Ok(())
        } else {
            Err(format!("{tools:?}"))
        }
    })
    .await;
    let message = shows(&namespace, "Ready", "True", "Ready").await;
    assert!(message.starts_with("2 of 2 servers are ready, 2 tools"), "{message}");

    kubectl(&["delete", "service", "beta", "-n", &namespace.name]).await;
    assert_eq!(stream.message().await["method"], TOOLS);
    lists(address, &["alpha-mcp_generated_0"]).await;
    let text = client.text_of("alpha-mcp_generated_0", &json!({})).await;
    assert!(!text.is_empty(), "the session goes on");
}

#[tokio::test]
async fn conditional_prefixes_come_with_the_second_service_and_a_warning() {
    let (namespace, address) = backend("conditional", "Conditional").await;
    namespace.fixture("one", &["--bare", "--tools", "1"]).await;
    namespace.apply(&service("alpha", "one", &["mcp"])).await;
    lists(address, &["generated_0"]).await;
    let warning = shows(&namespace, "NamesMayChange", "True", "ConditionalPrefix").await;
    assert!(warning.contains("prefixMode: Always"), "{warning}");
    namespace.apply(&service("beta", "one", &["mcp"])).await;
    lists(address, &["alpha-mcp_generated_0", "beta-mcp_generated_0"]).await;
}

#[tokio::test]
async fn every_mcp_port_is_a_server_and_an_annotation_names_it() {
    let (namespace, address) = backend("ports", "Always").await;
    namespace.fixture("one", &["--bare", "--tools", "1"]).await;
    namespace.apply(&service("many", "one", &["first", "second"])).await;
    let client = lists(address, &["many-first_generated_0", "many-second_generated_0"]).await;
    for tool in ["many-first_generated_0", "many-second_generated_0"] {
        assert!(!client.text_of(tool, &json!({})).await.is_empty(), "{tool}");
    }
    namespace.apply(&service("other", "one", &["mcp"])).await;
    kubectl(&[
        "annotate",
        "service",
        "other",
        "agentgateway.dev/mcp-target-name=weather",
        "-n",
        &namespace.name,
    ])
    .await;
    let all = [
        "many-first_generated_0",
        "many-second_generated_0",
        "weather_generated_0",
    ];
    lists(address, &all).await;
}

/// Addresses of the ready pods of an app, by name.
async fn pods(namespace: &Namespace, app: &str) -> BTreeMap<String, SocketAddr> {
    let selector = format!("app={app}");
    let text = kubectl(&["get", "pods", "-n", &namespace.name, "-l", &selector, "-o", "json"]).await;
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let pods = all["items"].as_array().into_iter().flatten();
    let living = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let address = |pod: &Value| {
        let address = pod["status"]["podIP"].as_str()?.parse().ok()?;
        let name = pod["metadata"]["name"].as_str()?.to_owned();
        let ready = condition(&pod["status"]["conditions"], "Ready")["status"] == "True";
        ready.then_some((name, SocketAddr::new(address, 9090)))
    };
    living.filter_map(address).collect()
}

/// How many calls each pod has had.
async fn calls(pods: &BTreeMap<String, SocketAddr>) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for (name, address) in pods {
        let request = b"GET /control/seen HTTP/1.1\r\nhost: pod\r\nconnection: close\r\n\r\n";
        let response = http::exchange(*address, request).await.expect("a pod answers");
        found.insert(
            name.clone(),
            response.message()["tools/call"].as_u64().unwrap_or_default(),
        );
    }
    found
}

/// Calls a tool so often; the pod that had all of them.
async fn home(client: &Client, pods: &BTreeMap<String, SocketAddr>, times: u64) -> String {
    let before = calls(pods).await;
    for round in 0..times {
        let text = client.text_of("echo", &json!({"round": round})).await;
        assert!(text.contains("round"), "{text}");
    }
    let after = calls(pods).await;
    let added = |name: &String| after[name] - before[name];
    let homes: Vec<&String> = pods.keys().filter(|name| added(name) > 0).collect();
    let [home] = homes[..] else {
        panic!("Expected: one pod has the calls of a session: {before:?} {after:?}")
    };
    assert_eq!(added(home), times, "no call went astray and was repeated");
    home.clone()
}

#[tokio::test]
async fn calls_of_a_session_reach_the_pod_that_opened_it() {
    let (namespace, address) = backend("stateful", "Never").await;
    namespace.apply(&fixture("state", &["--eras", "legacy"], 2)).await;
    namespace.rolled_out("state").await;
    namespace.apply(&service("state-mcp", "state", &["mcp"])).await;
    until("echo is listed", async || {
        let request = initialize("2025-11-25", &json!({})).bytes();
        match http::exchange(address, &request).await {
            Ok(response) if response.status == 200 => {}
            other => return Err(format!("{other:?}")),
        }
        let tools = Client::connect(address).await.tools().await;
        if tools.iter().any(|tool| tool == "echo") {
            Ok(())
        } else {
            Err(format!("{tools:?}"))
        }
    })
    .await;
    let pods = until("two pods are ready", async || {
        let pods = pods(&namespace, "state").await;
        if pods.len() == 2 {
            Ok(pods)
        } else {
            Err(format!("{pods:?}"))
        }
    })
    .await;

    let mut homes = Vec::new();
    for _ in 0..12 {
        let client = Client::connect(address).await;
        let home = home(&client, &pods, 4).await;
        homes.push((client, home));
    }
    let used: BTreeSet<&String> = homes.iter().map(|(_, home)| home).collect();
    assert_eq!(used.len(), 2, "new sessions are spread over the pods");
    for (client, known) in &homes {
        assert_eq!(
            home(client, &pods, 2).await,
            *known,
            "it stays there, whatever others did meanwhile"
        );
    }

    // A pod that goes takes its sessions along: a call that comes while it dies may fail, as an upstream's failure; then
    // the gateway opens the session anew, and the client keeps its own.
    let (client, gone) = homes.first().expect("there are twelve");
    kubectl(&["delete", "pod", gone, "-n", &namespace.name, "--wait=true"]).await;
    until("the session is served by a pod that lives", async || {
        let message = client.call("echo", &json!({"round": "after"})).await;
        match (&message["result"], message["error"]["code"].as_i64()) {
            (result, None) if result["isError"] != true => Ok(()),
            (_, Some(-31010 | -31013)) => Err(message.to_string()),
            (_, _) => panic!("Expected: an upstream's failure, or none: {message}"),
        }
    })
    .await;
}
