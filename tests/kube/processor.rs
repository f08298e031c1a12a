//! Processors in the cluster: what a client sees while what they serve comes and goes.

use super::harness::install::Processor;
use super::harness::kubectl::kubectl;
use super::harness::namespace::Namespace;
use super::harness::served;
use super::harness::until;
use crate::e2e::harness::client::{Request, initialize, names, rpc};
use crate::e2e::harness::http::{self, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

const HOST: &str = "mcp.processor.test";

const LISTENERS: &str = "{ name: mcp, protocol: HTTP, port: 80, hostname: mcp.processor.test }, \
                         { name: mcps, protocol: HTTP, port: 80, hostname: '*.mcp.local' }";

/// A registration of the fixture server of that name.
const REGISTRATION: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: SERVER, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway, sectionName: mcps }]
  hostnames: [SERVER.mcp.local]
  rules: [{ matches: [{ path: { type: PathPrefix, value: /mcp } }], backendRefs: [{ name: SERVER, port: 9090 }] }]
---
apiVersion: mcp.kuadrant.io/v1alpha1
kind: MCPServerRegistration
metadata: { name: SERVER, namespace: NAMESPACE }
spec:
  toolPrefix: SERVER_
  targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, name: SERVER }
";

/// A Gateway with the server `one`, and a client with a session.
pub(crate) struct Served {
    pub(crate) namespace: Namespace,
    address: SocketAddr,
    session: String,
}

impl Served {
    pub(crate) async fn new(what: &str) -> Self {
        let namespace = Namespace::new(what).await;
        namespace.fixture("one", &[]).await;
        let served = served::Served::with(namespace, Processor::Sidecar, LISTENERS, "").await;
        let served::Served { namespace, address } = served;
        let mut served = Self {
            namespace,
            address,
            session: String::new(),
        };
        served.register("one").await;
        served.session = until("a session is opened", async || {
            let request = initialize("2025-11-25", &json!({})).with("host", HOST);
            let response = sent(served.address, &request).await?;
            let session = response.header("mcp-session-id").map(str::to_owned);
            session.ok_or_else(|| format!("{response:?}"))
        })
        .await;
        served
    }

    /// Registers a server that is there, and waits until it is ready.
    pub(crate) async fn register(&self, server: &str) {
        self.namespace.apply(&REGISTRATION.replace("SERVER", server)).await;
        self.wait(server, "True").await;
    }

    async fn wait(&self, server: &str, ready: &str) {
        let registration = format!("mcpsr/{server}");
        let condition = format!("--for=condition=Ready={ready}");
        let arguments = [
            "wait",
            &condition,
            &registration,
            "-n",
            &self.namespace.name,
            "--timeout=60s",
        ];
        kubectl(&arguments).await;
    }

    /// Asks in the session, until the gateway takes it.
    async fn ask(&self, method: &str, params: &Value) -> Value {
        until(&format!("{method} is answered"), async || {
            let response = sent(self.address, &request(&self.session, method, params)).await?;
            match response.status {
                200 => Ok(response.message()),
                _ => Err(format!("{response:?}")),
            }
        })
        .await
    }

    pub(crate) async fn tools(&self) -> Vec<String> {
        names(&self.ask("tools/list", &json!({})).await["result"]["tools"])
    }

    pub(crate) async fn calls_one(&self) {
        let message = self.ask("tools/call", &json!({"name": "one_test_simple_text"})).await;
        let text = &message["result"]["content"][0]["text"];
        assert_eq!(text, "This is a simple text response for testing.", "{message}");
    }

    /// The processes of this Gateway's processors.
    pub(crate) fn processors(&self) -> Vec<u32> {
        let gateway = format!("MCP_MANIFOLD_GATEWAY={}/gateway\0", self.namespace.name);
        let is_one = |id: &u32| {
            let read = |file: &str| std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            let serves = read("cmdline").split(|byte| *byte == 0).any(|word| word == b"serve");
            serves && String::from_utf8_lossy(&read("environ")).contains(&gateway)
        };
        let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(is_one).collect()
    }
}

fn request(session: &str, method: &str, params: &Value) -> Request {
    Request::post(rpc(1, method, params))
        .session(session)
        .with("host", HOST)
}

async fn sent(address: SocketAddr, request: &Request) -> Result<Response, String> {
    let response = http::exchange(address, &request.bytes()).await;
    response.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_change_drops_no_running_call() {
    let served = Arc::new(Served::new("change").await);
    served.namespace.fixture("two", &["--bare", "--tools", "1"]).await;
    let running = tokio::spawn({
        let served = Arc::clone(&served);
        async move {
            let params = json!({"name": "one_sleep", "arguments": {"ms": 25_000}});
            let call = request(&served.session, "tools/call", &params);
            sent(served.address, &call).await.expect("it is not cut")
        }
    });
    served.register("two").await;
    kubectl(&["delete", "mcpsr/one", "-n", &served.namespace.name]).await;
    until("the server leaves the lists", async || {
        let tools = served.tools().await;
        (tools == ["two_generated_0"])
            .then_some(())
            .ok_or_else(|| format!("{tools:?}"))
    })
    .await;
    assert!(!running.is_finished(), "the call was under way all the time");
    let response = running.await.expect("no panic");
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.message()["result"]["content"].is_array(), "{response:?}");
}
