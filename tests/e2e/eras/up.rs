//! Legacy clients before upstreams that speak only 2026-07-28.

mod asking;
mod leaving;
mod typescript;

use crate::e2e::clients;
use crate::e2e::harness::client::{Client, rpc};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup, address_in};
use crate::e2e::harness::http::{self, Response};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::stream::Stream;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::process::Command;

/// A gateway before the fixture of 2026-07-28 alone, with this prefix.
async fn modern_only(prefix: &str) -> (Program, Gateway) {
    let mut program = Program::start(Command::new(tools::example("upstream")).args(["--eras", "modern"]));
    let url = program.says("listening ").await;
    let more = format!("prefix: '{prefix}'");
    let gateway = Setup::new().upstream_with("new", &url, &more).up().await;
    (program, gateway)
}

/// Calls a tool; its answer as it comes.
async fn open(client: &Client, id: u64, params: &Value) -> Stream {
    let call = client.request(rpc(id, "tools/call", params));
    Stream::open(client.address, &call).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_by_others_reach_it() {
    let (_upstream, gateway) = modern_only("new_").await;
    for client in [
        clients::Client::TypeScript1,
        clients::Client::TypeScript2("legacy"),
        clients::Client::Python("legacy"),
        clients::Client::Rmcp("legacy"),
        clients::Client::Inspector,
    ] {
        let visit = client.visit(&gateway.url(), "new_greet", &json!({"name": "Ada"})).await;
        assert!(visit.tools.iter().any(|tool| tool == "new_echo"), "{client:?}");
        let expected = json!([{"type": "text", "text": "Hello, Ada!"}]);
        assert_eq!(visit.content, expected, "{client:?}");
    }
}

#[tokio::test]
async fn every_method_is_answered_in_the_clients_own_words() {
    let (_upstream, gateway) = modern_only("new_").await;
    let client = gateway.client().await;
    let prompt = client
        .rpc("prompts/get", &json!({"name": "new_test_simple_prompt"}))
        .await;
    assert!(prompt["result"]["messages"].is_array(), "{prompt}");
    let read = client
        .rpc("resources/read", &json!({"uri": "test://static-text"}))
        .await;
    let keys: Vec<&String> = read["result"].as_object().expect("a result").keys().collect();
    assert_eq!(keys, ["contents"], "nothing of the modern envelope");
    let missing = client.rpc("resources/read", &json!({"uri": "test://template/x"})).await;
    assert_eq!(missing["error"]["code"], -32002, "{missing}");
    let reference = json!({"type": "ref/prompt", "name": "new_test_prompt_with_arguments"});
    let argument = json!({"name": "arg1", "value": "par"});
    let complete = client
        .rpc("completion/complete", &json!({"ref": reference, "argument": argument}))
        .await;
    assert!(complete["result"]["completion"]["values"].is_array(), "{complete}");
    let unknown = client.call("new_nothing", &json!({})).await;
    assert_eq!(unknown["error"]["code"], -32602);
    let without_session = rpc(
        "x",
        "tools/call",
        &json!({"name": "new_greet", "arguments": {"name": "Eve"}}),
    );
    let response = crate::e2e::harness::client::Request::post(without_session)
        .send(gateway.address)
        .await;
    assert_eq!(response.message()["result"]["content"][0]["text"], "Hello, Eve!");
}

#[tokio::test]
async fn arguments_and_results_keep_their_bytes() {
    let (_upstream, gateway) = modern_only("new_").await;
    let client = gateway.client().await;
    let arguments = r#"{ "n":12345678901234567890123, "f":1.0e2,"s":"\u00fc\/", "_meta":{"x":null} }"#;
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":"\u0041","method":"tools/call","params":{{"name":"new_echo","arguments":{arguments}}}}}"#
    );
    let response = client.request(call).send(client.address).await;
    assert!(response.text().contains(r#""id":"\u0041""#), "{response:?}");
    assert_eq!(response.message()["result"]["content"][0]["text"], arguments);
    let big = client.text_of("new_big", &json!({"bytes": 20 << 20})).await;
    assert_eq!(big.len(), 20 << 20);
}

#[tokio::test]
async fn the_upstream_sees_a_modern_request_and_no_session() {
    let (_upstream, gateway) = modern_only("new_").await;
    let client = gateway.client().await;
    let call = rpc(1, "tools/call", &json!({"name": "new_headers", "arguments": {}}));
    let request = client.request(call).with("x-trace", "t-1").with("mcp-name", "another");
    let seen = request.send(client.address).await.message();
    let seen = &seen["result"]["structuredContent"];
    assert_eq!(seen["mcp-protocol-version"], "2026-07-28", "{seen}");
    assert_eq!(seen["mcp-method"], "tools/call");
    assert_eq!(seen["mcp-name"], "headers");
    assert_eq!(seen["x-trace"], "t-1", "as on any forward");
    assert!(seen.get("mcp-session-id").is_none());
    // The fixture compares header and body.
    for region in ["eu west", " padded ", "zürich", "=?base64?x?="] {
        let text = client
            .text_of("new_test_x_mcp_header", &json!({"region": region}))
            .await;
        assert_eq!(text, "The header and the parameter agree.");
    }
}

#[tokio::test]
async fn progress_is_reported_and_logs_come_from_the_level_that_was_set() {
    let (_upstream, gateway) = modern_only("new_").await;
    let client = gateway.client().await;
    let token = json!({"name": "new_test_tool_with_progress", "_meta": {"progressToken": "p"}});
    let mut stream = open(&client, 1, &token).await;
    for step in [0, 50, 100] {
        let message = stream.message().await;
        assert_eq!(message["method"], "notifications/progress");
        assert_eq!(message["params"]["progressToken"], "p");
        assert_eq!(message["params"]["progress"].as_f64(), Some(f64::from(step)));
    }
    assert_eq!(stream.message().await["id"], 1);
    assert_eq!(stream.event().await, None, "the stream ends with its answer");

    let logging = json!({"name": "new_test_logging_tool"});
    let mut silent = open(&client, 2, &logging).await;
    assert_eq!(
        silent.message().await["id"],
        2,
        "no level, no logs (2026-07-28, logging)"
    );
    client.rpc("logging/setLevel", &json!({"level": "debug"})).await;
    let mut loud = open(&client, 3, &logging).await;
    assert_eq!(loud.message().await["method"], "notifications/message");
    assert_eq!(loud.message().await["id"], 3);
}

#[tokio::test]
async fn tasks_are_not_translated() {
    let (_upstream, gateway) = modern_only("new_").await;
    let client = gateway.client().await;
    let params = json!({"name": "new_slow_compute", "arguments": {}, "task": {"ttl": 60000}});
    let refused = client.rpc("tools/call", &params).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}

/// A request to the strings of the fixture.
async fn pull(upstream: &str, verb: &str, path: &str, body: &str) -> Response {
    let request = format!(
        "{verb} /control/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let response = http::exchange(address_in(upstream), request.as_bytes()).await;
    response.expect("the fixture answers")
}

#[tokio::test]
async fn a_refused_header_is_the_gateways_own_affair_and_has_the_tools_listed_anew() {
    let mut upstream = Program::start(Command::new(tools::example("upstream")).args(["--eras", "modern"]));
    let url = upstream.says("listening ").await;
    let gateway = Setup::new().upstream("new", &url).up().await;
    let client = gateway.client().await;
    let listed = async || pull(&url, "GET", "seen", "").await.message()["tools/list"].as_u64();
    let before = listed().await;
    let mismatch = r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32020,"message":"Header mismatch"}}"#;
    pull(&url, "PUT", "answer?method=tools/call&status=400", mismatch).await;
    let refused = client.call("new_greet", &json!({"name": "Ada"})).await;
    assert_eq!(refused["error"]["code"], -31010, "{refused}");
    assert_eq!(refused["error"]["data"]["upstream"], "new");
    eventually("the tools are listed anew", async || listed().await > before).await;
    pull(&url, "DELETE", "answer?method=tools/call", "").await;
    assert_eq!(
        client.text_of("new_greet", &json!({"name": "Ada"})).await,
        "Hello, Ada!"
    );
}
