//! A Gateway that serves MCP, for one test: namespace, Gateway with processors, extension; servers as the test asks.

use super::gateway::programmed;
use super::install::{self, Processor};
use super::kubectl::{condition, get, kubectl};
use super::namespace::Namespace;
use super::until;
use crate::e2e::harness::client::Client;
use serde_json::Value;
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
        install::processors(&namespace.name, "gateway", processor).await;
        let annotations = match processor {
            Processor::Sidecar => "{}",
            Processor::Deployment => "{ mcp-manifold/processor: deployment }",
        };
        namespace.apply(&GATEWAY.replace("ANNOTATIONS", annotations)).await;
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
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("prefix: {prefix}")
        };
        let text = REGISTRATION.replace("SERVER", name).replace("PREFIX", &prefix);
        self.namespace.apply(&text).await;
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

const GATEWAY: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gateway, namespace: NAMESPACE, annotations: ANNOTATIONS }
spec:
  gatewayClassName: eg
  infrastructure:
    parametersRef: { group: gateway.envoyproxy.io, kind: EnvoyProxy, name: mcp-manifold-gateway }
  listeners:
    - { name: mcp, port: 80, protocol: HTTP }
---
apiVersion: mcp.kuadrant.io/v1
kind: MCPGatewayExtension
metadata: { name: extension, namespace: NAMESPACE }
spec:
  targetRef: { name: gateway, sectionName: mcp }
";

const REGISTRATION: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: SERVER, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway }]
  hostnames: [SERVER.mcp.local]
  rules: [{ backendRefs: [{ name: SERVER, port: 9090 }] }]
---
apiVersion: mcp.kuadrant.io/v1
kind: MCPServerRegistration
metadata: { name: SERVER, namespace: NAMESPACE }
spec:
  targetRef: { name: SERVER }
  PREFIX
";
