//! Policies: what is listed is what can be called, and nobody gets around it.

mod arguments;
mod attacks;
mod audiences;
mod bare;
mod explain;
mod mistakes;
mod reload;
mod resources;

use crate::e2e::harness::client::{Client, Request, modern, names, rpc};
use crate::e2e::harness::gateway::Gateway;
use crate::e2e::harness::http::Response;
use crate::e2e::harness::program::Program;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::process::Command;

/// The server of both eras that has everything.
async fn fixture() -> (Program, String) {
    let mut program = Program::start(&mut Command::new(tools::example("upstream")));
    let url = program.says("listening ").await;
    (program, url)
}

/// A legacy client that calls itself so.
async fn connect(gateway: &Gateway, name: &str) -> Client {
    let client = json!({"name": name, "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let response = Request::post(rpc(0, "initialize", &params)).send(gateway.address).await;
    let session = response.header("mcp-session-id").expect("a session").to_owned();
    Client::known(gateway.address, &session)
}

/// A modern request of a client that calls itself so.
fn modern_as(name: &str, method: &str, params: &Value) -> Request {
    let mut request = modern(1, method, params);
    let text = String::from_utf8(request.bytes()).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let mut body: Value = serde_json::from_str(body).expect("JSON");
    body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] = name.into();
    let fresh = Request::post(body.to_string())
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", method);
    request = match params["name"].as_str().or_else(|| params["uri"].as_str()) {
        Some(item) => fresh.with("mcp-name", item),
        None => fresh,
    };
    request
}

/// The names of a modern client's tools.
async fn modern_tools(gateway: &Gateway, name: &str) -> Vec<String> {
    let response = modern_as(name, "tools/list", &json!({})).send(gateway.address).await;
    names(&response.message()["result"]["tools"])
}

fn code(response: &Response) -> i64 {
    response.message()["error"]["code"].as_i64().unwrap_or_default()
}
