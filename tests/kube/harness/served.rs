//! A Gateway that serves MCP, for one test: namespace, Gateway with processors, extension; servers as the test asks.

use super::gateway::programmed;
use super::install::{self, Processor};
use super::kubectl::{condition, get, kubectl};
use super::namespace::Namespace;
use super::until;
use crate::e2e::harness::client::Client;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Everything lies in one namespace.
pub(crate) struct Served {
    pub(crate) namespace: Namespace,
    /// Of the listener, on which clients come in by any host.
    pub(crate) address: SocketAddr,
}

impl Served {
    /// Serves nothing yet.
    pub(crate) async fn new(what: &str, processor: Processor) -> Self {
        Self::within(Namespace::new(what).await, processor).await
    }

    /// The same in a namespace in which something is there already.
    pub(crate) async fn within(namespace: Namespace, processor: Processor) -> Self {
        Self::with(namespace, processor, "{ name: mcp, port: 80, protocol: HTTP }", "").await
    }

    /// The same with these listeners, of which the first is named `mcp`, and this in the extension's `spec` besides.
    pub(crate) async fn with(namespace: Namespace, processor: Processor, listeners: &str, extension: &str) -> Self {
        install::processors(&namespace.name, "gateway", processor).await;
        let annotations = match processor {
            Processor::Sidecar => "{}",
            Processor::Deployment => "{ mcp-manifold/processor: deployment }",
        };
        let gateway = GATEWAY.replace("ANNOTATIONS", annotations);
        let gateway = gateway.replace("LISTENERS", listeners).replace("EXTENSION", extension);
        namespace.apply(&gateway).await;
        let address = programmed(&namespace.name, "gateway", 80).await;
        Self { namespace, address }
    }

    /// A fixture server with these arguments, its route, and a registration with this prefix (may be empty).
    pub(crate) async fn server(&self, name: &str, prefix: &str, arguments: &[&str]) {
        self.namespace.fixture(name, arguments).await;
        self.register(name, prefix).await;
    }

    /// Route and registration of a Service that is there.
    pub(crate) async fn register(&self, name: &str, prefix: &str) {
        self.namespace.apply(&registration(name, prefix, name)).await;
    }

    /// Waits until a registration's condition Ready is as wished; the condition.
    pub(crate) async fn until_ready_is(&self, registration: &str, wanted: &str) -> Value {
        until(&format!("{registration} is Ready={wanted}"), async || {
            let ready = self.ready(registration).await;
            if ready["status"] == wanted {
                Ok(ready)
            } else {
                Err(ready.to_string())
            }
        })
        .await
    }

    /// The condition Ready of a registration.
    pub(crate) async fn ready(&self, registration: &str) -> Value {
        let object = get("mcpsr", &self.namespace.name, registration).await;
        condition(&object["status"]["conditions"], "Ready").clone()
    }

    /// A client with a session.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Deletes an object of the test's namespace.
    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        kubectl(&["delete", kind, name, "-n", &self.namespace.name]).await;
    }
}

/// Calls a tool again and again while something happens. Returns how often; every call was answered.
pub(crate) async fn calls_while(
    client: &Client,
    tool: &str,
    happens: impl Future<Output = ()> + Send + 'static,
) -> usize {
    let happening = tokio::spawn(happens);
    let mut calls = 0;
    while !happening.is_finished() {
        let text = client.text_of(tool, &json!({})).await;
        assert!(!text.is_empty(), "call {calls}");
        calls += 1;
    }
    happening.await.expect("it happens");
    assert!(calls > 0, "calls were made meanwhile");
    calls
}

/// Route and registration of that name, with this prefix (may be empty), which lead to a Service.
pub(crate) fn registration(name: &str, prefix: &str, service: &str) -> String {
    let prefix = if prefix.is_empty() {
        String::new()
    } else {
        format!("prefix: {prefix}")
    };
    let text = REGISTRATION.replace("SERVICE", service).replace("SERVER", name);
    text.replace("PREFIX", &prefix)
}

const GATEWAY: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gateway, namespace: NAMESPACE, annotations: ANNOTATIONS }
spec:
  gatewayClassName: eg
  infrastructure:
    parametersRef: { group: gateway.envoyproxy.io, kind: EnvoyProxy, name: mcp-manifold-gateway }
  listeners: [LISTENERS]
---
apiVersion: mcp.kuadrant.io/v1
kind: MCPGatewayExtension
metadata: { name: extension, namespace: NAMESPACE }
spec:
  targetRef: { name: gateway, sectionName: mcp }
  EXTENSION
";

const REGISTRATION: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: SERVER, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway }]
  hostnames: [SERVER.mcp.local]
  rules: [{ backendRefs: [{ name: SERVICE, port: 9090 }] }]
---
apiVersion: mcp.kuadrant.io/v1
kind: MCPServerRegistration
metadata: { name: SERVER, namespace: NAMESPACE }
spec:
  targetRef: { name: SERVER }
  PREFIX
";
