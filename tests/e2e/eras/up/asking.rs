//! What the upstream asks by its result becomes requests on the stream of the call.

use super::{modern_only, open};
use crate::e2e::harness::client::Client;
use crate::e2e::harness::gateway::{Gateway, Setup, Wiring, address_in};
use crate::e2e::harness::program::Program;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::process::Command;

const TOOLS: &str = "test_input_required_result_";

pub(super) async fn able(gateway: &Gateway) -> Client {
    let capabilities = json!({"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}});
    Client::connect_as(gateway.address, "2025-11-25", &capabilities).await
}

/// Responds to a request of the gateway.
pub(super) async fn respond(client: &Client, request: &Value, result: &Value) {
    let response = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
    let accepted = client.request(response.to_string()).send(client.address).await;
    assert_eq!(accepted.status, 202);
}

fn call(tool: &str) -> Value {
    json!({"name": format!("{TOOLS}{tool}"), "arguments": {}})
}

#[tokio::test]
async fn several_questions_are_asked_at_once_and_answered_in_any_order() {
    let (_upstream, gateway) = modern_only("").await;
    let client = able(&gateway).await;
    let mut stream = open(&client, 7, &call("multiple_inputs")).await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(stream.message().await);
    }
    let mut methods: Vec<&str> = asked.iter().filter_map(|asked| asked["method"].as_str()).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["elicitation/create", "roots/list", "sampling/createMessage"]);
    for question in asked.iter().rev() {
        let result = match question["method"].as_str() {
            Some("elicitation/create") => json!({"action": "accept", "content": {"name": "Ada"}}),
            Some("roots/list") => json!({"roots": [{"uri": "file:///home"}]}),
            _ => json!({"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"}),
        };
        respond(&client, question, &result).await;
    }
    let answer = stream.message().await;
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["result"]["content"][0]["text"], "all three answers arrived");
    assert_eq!(stream.event().await, None);
}

#[tokio::test]
async fn a_second_round_brings_the_sealed_state_of_the_first() {
    let (_upstream, gateway) = modern_only("").await;
    let client = able(&gateway).await;
    let mut stream = open(&client, 1, &call("multi_round")).await;
    let mut ids = Vec::new();
    for content in [json!({"name": "Ada"}), json!({"color": "blue"})] {
        let question = stream.message().await;
        respond(&client, &question, &json!({"action": "accept", "content": content})).await;
        ids.push(question["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    let answer = stream.message().await;
    assert_eq!(
        answer["result"]["content"][0]["text"], "both steps are done",
        "{answer}"
    );
}

#[tokio::test]
async fn two_calls_of_one_session_are_asked_apart() {
    let (_upstream, gateway) = modern_only("").await;
    let client = able(&gateway).await;
    let (mut first, mut second) = (
        open(&client, 1, &call("elicitation")).await,
        open(&client, 2, &call("elicitation")).await,
    );
    let (one, two) = (first.message().await, second.message().await);
    for (question, name) in [(&two, "Eve"), (&one, "Ada")] {
        respond(
            &client,
            question,
            &json!({"action": "accept", "content": {"name": name}}),
        )
        .await;
    }
    let text = |answer: &Value| answer["result"]["content"][0]["text"].clone();
    assert_eq!(text(&first.message().await), "Hello, Ada!");
    assert_eq!(text(&second.message().await), "Hello, Eve!");
    // Another session's client cannot answer for this one.
    let mut third = open(&client, 3, &call("elicitation")).await;
    let question = third.message().await;
    let stranger = able(&gateway).await;
    respond(
        &stranger,
        &question,
        &json!({"action": "accept", "content": {"name": "Mallory"}}),
    )
    .await;
    respond(
        &client,
        &question,
        &json!({"action": "accept", "content": {"name": "Ada"}}),
    )
    .await;
    assert_eq!(text(&third.message().await), "Hello, Ada!");
}

#[tokio::test]
async fn a_client_may_decline_in_its_own_words() {
    let (_upstream, gateway) = modern_only("").await;
    let client = able(&gateway).await;
    let mut stream = open(&client, 1, &call("sampling")).await;
    let question = stream.message().await;
    assert_eq!(question["params"]["maxTokens"], 100, "{question}");
    let declined = json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "User rejected"}});
    client.request(declined.to_string()).send(client.address).await;
    let answer = stream.message().await;
    assert_eq!(answer["id"], 1);
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("sampling/createMessage") && message.contains("User rejected"),
        "{answer}"
    );
}

#[tokio::test]
async fn who_cannot_be_asked_hears_what_is_missing() {
    let (_upstream, gateway) = modern_only("").await;
    let plain = gateway.client().await;
    let lacking = plain.rpc("tools/call", &call("elicitation")).await;
    let message = lacking["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("elicitation"), "{lacking}");
    let missing = plain.call("test_missing_capability", &json!({})).await;
    let message = missing["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("sampling"), "{missing}");
    assert_eq!(missing["error"]["code"], -32600, "no code of another revision");
    let asks_within = plain.rpc("tools/call", &call("capabilities")).await;
    let text = &asks_within["result"]["content"][0]["text"];
    assert_eq!(text, "the client declared nothing to ask for");
    let client = able(&gateway).await;
    let body = crate::e2e::harness::client::rpc(1, "tools/call", &call("elicitation"));
    let only_json = client.request(body).with("accept", "application/json");
    let refused = only_json.send(client.address).await.message();
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("text/event-stream"), "{refused}");
}

#[tokio::test]
async fn under_buffered_the_setting_is_named() {
    let mut upstream = Program::start(Command::new(tools::example("upstream")).args(["--eras", "modern"]));
    let url = upstream.says("listening ").await;
    let setup = Setup::new().upstream_with("new", &url, "prefix: ''");
    let gateway = setup.start(Wiring::Buffered).await;
    let client = able(&gateway).await;
    assert_eq!(client.text_of("greet", &json!({"name": "Ada"})).await, "Hello, Ada!");
    let refused = client.ask("tools/call", &call("elicitation")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.text().contains("request_body_mode"), "{refused:?}");
}

#[tokio::test]
async fn the_upstream_may_be_another_process_in_the_next_round() {
    let mut upstream = Program::start(Command::new(tools::example("upstream")).args(["--eras", "modern"]));
    let url = upstream.says("listening ").await;
    let gateway = Setup::new().upstream_with("new", &url, "prefix: ''").up().await;
    let client = able(&gateway).await;
    let mut stream = open(&client, 1, &call("request_state")).await;
    let question = stream.message().await;
    drop(upstream);
    let port = address_in(&url).port().to_string();
    let mut again =
        Program::start(Command::new(tools::example("upstream")).args(["--eras", "modern", "--port", &port]));
    again.says("listening ").await;
    respond(
        &client,
        &question,
        &json!({"action": "accept", "content": {"ok": true}}),
    )
    .await;
    assert_eq!(stream.message().await["result"]["content"][0]["text"], "state-ok");
    // One that does not come back is told as any other.
    let mut stream = open(&client, 2, &call("request_state")).await;
    let question = stream.message().await;
    drop(again);
    respond(
        &client,
        &question,
        &json!({"action": "accept", "content": {"ok": true}}),
    )
    .await;
    let answer = stream.message().await;
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(2), &json!(-31010)),
        "{answer}"
    );
}
