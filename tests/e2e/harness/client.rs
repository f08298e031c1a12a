//! A client of the gateway: requests as exact as a test wants them, sessions where it wants one.

use super::http::{self, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// One request on its way. Header names are written as given.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    verb: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
}

/// How the length of the body is told.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    /// Chunks of so many bytes.
    Chunks(usize),
}

impl Request {
    /// A POST of JSON to the endpoint that accepts both types.
    pub(crate) fn post(body: impl AsRef<[u8]>) -> Self {
        Self {
            body: body.as_ref().to_vec(),
            ..Self::bare("POST")
        }
        .with("content-type", "application/json")
        .with("accept", "application/json, text/event-stream")
    }

    /// A request without a body.
    pub(crate) fn bare(verb: &'static str) -> Self {
        Self {
            verb,
            path: "/mcp".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
        }
        .with("host", "127.0.0.1")
    }

    /// Sets a header, or replaces it.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// Adds a header, even if it is there.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// Another path.
    pub(crate) fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// In chunks of `size` bytes instead of with a length.
    pub(crate) const fn in_chunks(mut self, size: usize) -> Self {
        self.framing = Framing::Chunks(size);
        self
    }

    /// As a request of this session.
    pub(crate) fn session(self, id: &str) -> Self {
        self.with("mcp-session-id", id)
    }

    /// The bytes that go out.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.verb, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        match self.framing {
            Framing::Length if self.body.is_empty() && self.verb != "POST" => bytes.extend_from_slice(b"\r\n"),
            Framing::Length => {
                bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
                bytes.extend_from_slice(&self.body);
            }
            Framing::Chunks(size) => {
                bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in self.body.chunks(size) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// Sends it; panics where no response comes.
    pub(crate) async fn send(&self, to: SocketAddr) -> Response {
        let response = http::exchange(to, &self.bytes()).await;
        response.unwrap_or_else(|error| panic!("no response ({error}) to {} {:?}", self.verb, self.headers))
    }
}

/// A JSON-RPC request of the legacy era.
pub(crate) fn rpc(id: impl Into<Value>, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params}).to_string()
}

/// `initialize` that asks for a version and declares capabilities.
pub(crate) fn initialize(version: &str, capabilities: &Value) -> Request {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
    Request::post(rpc(0, "initialize", &params))
}

/// A request of the modern era, with every header that mirrors the body.
pub(crate) fn modern(id: impl Into<Value>, method: &str, params: &Value) -> Request {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    let request = Request::post(rpc(id, method, &params))
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", method);
    match params["name"].as_str().or_else(|| params["uri"].as_str()) {
        Some(name) => request.with("mcp-name", name),
        None => request,
    }
}

/// A legacy client with a session.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) session: String,
    version: String,
    next: AtomicU64,
}

impl Client {
    /// Initializes with the newest legacy version and no capabilities.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, "2025-11-25", &json!({})).await
    }

    /// Initializes.
    pub(crate) async fn connect_as(address: SocketAddr, version: &str, capabilities: &Value) -> Self {
        let response = initialize(version, capabilities).send(address).await;
        assert_eq!(response.status, 200, "initialize: {response:?}");
        let session = response
            .header("mcp-session-id")
            .expect("initialize gives a session id");
        Self {
            address,
            session: session.to_owned(),
            version: version.to_owned(),
            next: AtomicU64::new(1),
        }
    }

    /// A session that was begun before, at the newest legacy version.
    pub(crate) fn known(address: SocketAddr, session: &str) -> Self {
        Self {
            address,
            session: session.to_owned(),
            version: "2025-11-25".to_owned(),
            next: AtomicU64::new(1),
        }
    }

    /// The same session at another address.
    pub(crate) fn moved_to(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// A request of this session with that body.
    pub(crate) fn request(&self, body: impl AsRef<[u8]>) -> Request {
        Request::post(body)
            .session(&self.session)
            .with("mcp-protocol-version", &self.version)
    }

    /// Sends a JSON-RPC request under a fresh id; the whole response.
    pub(crate) async fn ask(&self, method: &str, params: &Value) -> Response {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let response = self.request(rpc(id, method, params)).send(self.address).await;
        if response.status == 200 {
            assert_eq!(response.message()["id"], id, "{response:?}");
        }
        response
    }

    /// The message that answers a JSON-RPC request.
    pub(crate) async fn rpc(&self, method: &str, params: &Value) -> Value {
        self.ask(method, params).await.message()
    }

    /// Calls a tool; the message.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.rpc("tools/call", &json!({"name": tool, "arguments": arguments}))
            .await
    }

    /// Calls a tool; its first text. Panics where the call fails.
    pub(crate) async fn text_of(&self, tool: &str, arguments: &Value) -> String {
        let message = self.call(tool, arguments).await;
        let text = message["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{tool} answered {message}")).to_owned()
    }

    /// Names of all tools.
    pub(crate) async fn tools(&self) -> Vec<String> {
        let message = self.rpc("tools/list", &json!({})).await;
        names(&message["result"]["tools"])
    }

    /// Ends the session; the status.
    pub(crate) async fn delete(&self) -> u16 {
        Request::bare("DELETE")
            .session(&self.session)
            .send(self.address)
            .await
            .status
    }
}

/// `name` of each item.
pub(crate) fn names(items: &Value) -> Vec<String> {
    let items = items.as_array().into_iter().flatten();
    items
        .filter_map(|item| item["name"].as_str().map(str::to_owned))
        .collect()
}
