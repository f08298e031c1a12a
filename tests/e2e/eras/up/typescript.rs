//! A server by others that speaks 2026-07-28 alone, before a client by others that never heard of it.

use super::{asking, open};
use crate::e2e::clients;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::program::Program;
use crate::e2e::tools;
use serde_json::json;
use std::process::Command;

async fn typescript() -> (Program, Gateway) {
    let mut command = Command::new(tools::node());
    command
        .arg(tools::source("tests/upstreams/typescript_modern.mjs"))
        .env("MCP_MANIFOLD_TOOLS", tools::folder());
    let mut program = Program::start(&mut command);
    let url = program.says("listening ").await;
    (program, Setup::new().upstream("ts", &url).up().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_tools_can_be_listed_and_called() {
    let (_server, gateway) = typescript().await;
    for client in [clients::Client::TypeScript1, clients::Client::Python("legacy")] {
        let hello = client.visit(&gateway.url(), "ts_hello", &json!({"name": "Zoë"})).await;
        assert_eq!(hello.tools, ["ts_hello", "ts_ask", "ts_list"], "{client:?}");
        assert_eq!(hello.content[0]["text"], "Hello, Zoë!", "{client:?}");
        // A legacy client would refuse the array, and the schema of one in the list.
        let list = client.visit(&gateway.url(), "ts_list", &json!({})).await;
        assert_eq!(list.content, json!([{"type": "text", "text": "[1,2,3]"}]), "{client:?}");
    }
}

#[tokio::test]
async fn it_asks_and_gets_its_state_back() {
    let (_server, gateway) = typescript().await;
    let client = asking::able(&gateway).await;
    let mut stream = open(&client, 1, &json!({"name": "ts_ask", "arguments": {}})).await;
    let question = stream.message().await;
    assert_eq!(question["method"], "elicitation/create");
    let answer = json!({"action": "accept", "content": {"word": "please"}});
    asking::respond(&client, &question, &answer).await;
    let text = &stream.message().await["result"]["content"][0]["text"];
    assert_eq!(text, "accept please true");
}
