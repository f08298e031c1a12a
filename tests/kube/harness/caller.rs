//! A client of a host behind a Gateway, and what a fixture server has seen of it.

use crate::e2e::harness::client::{Request, initialize, names, rpc};
use crate::e2e::harness::http::{self, Response};
use crate::kube::harness::kubectl::get;
use crate::kube::harness::until;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A legacy client with a session, known to the gateway by this host.
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) session: String,
}

impl Caller {
    /// Initializes as soon as the gateway answers.
    pub(crate) async fn connect(address: SocketAddr, host: &str) -> Self {
        let request = initialize("2025-11-25", &json!({})).with("host", host);
        let session = until(&format!("{host} answers initialize"), async || {
            let response = http::exchange(address, &request.bytes()).await;
            let response = response.map_err(|error| error.to_string())?;
            match (response.status, response.header("mcp-session-id")) {
                (200, Some(id)) => Ok(id.to_owned()),
                _ => Err(format!("{} {}", response.status, response.text())),
            }
        })
        .await;
        Self {
            address,
            host: host.to_owned(),
            session,
        }
    }

    /// A request of this session.
    pub(crate) fn request(&self, method: &str, params: &Value) -> Request {
        let request = Request::post(rpc(1, method, params)).with("host", &self.host);
        request
            .session(&self.session)
            .with("mcp-protocol-version", "2025-11-25")
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, tool: &str) -> Response {
        let params = json!({"name": tool, "arguments": {}});
        self.request("tools/call", &params).send(self.address).await
    }

    /// Names of all tools.
    pub(crate) async fn tools(&self) -> Vec<String> {
        let response = self.request("tools/list", &json!({})).send(self.address).await;
        names(&response.message()["result"]["tools"])
    }
}

/// Address of a fixture server's Service, as clients inside the cluster reach it.
pub(crate) async fn service(namespace: &str, name: &str) -> SocketAddr {
    let service = get("service", namespace, name).await;
    let address = service["spec"]["clusterIP"].as_str().expect("a Service has an address");
    SocketAddr::new(address.parse().expect("an address"), 9090)
}

/// How often a fixture server was asked for a method.
pub(crate) async fn seen(server: SocketAddr, method: &str) -> u64 {
    let response = Request::bare("GET").path("/control/seen").send(server).await;
    response.message()[method].as_u64().unwrap_or(0)
}
