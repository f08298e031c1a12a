//! Modern clients before upstreams that are only legacy.

mod asking;
mod callers;
mod elsewhere;
mod expiry;
mod sessions;

use crate::e2e::clients::Client;
use crate::e2e::harness::client::{Request, modern};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::program::Program;
use crate::e2e::{process, tools};
use serde_json::{Value, json};
use std::process::Command;

const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#;

/// A modern request whose client can all that this says, and has more to say.
fn request(id: impl Into<Value>, method: &str, params: &Value, capabilities: &str, more: &Value) -> Request {
    let plain = modern(id, method, params);
    let bytes = plain.bytes();
    let text = String::from_utf8(bytes).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    let mut body: Value = serde_json::from_str(body).expect("JSON");
    let meta = &mut body["params"]["_meta"];
    meta["io.modelcontextprotocol/clientCapabilities"] = serde_json::from_str(capabilities).expect("JSON");
    for (key, value) in more.as_object().into_iter().flatten() {
        meta[key] = value.clone();
    }
    let mirrored = Request::post(body.to_string())
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", method);
    match params["name"].as_str().or_else(|| params["uri"].as_str()) {
        Some(name) => mirrored.with("mcp-name", name),
        None => mirrored,
    }
}

/// A call of a tool by a client that can everything.
fn call(id: impl Into<Value>, tool: &str, params: Value) -> Request {
    let mut params = params;
    params["name"] = json!(tool);
    request(id, "tools/call", &params, ALL, &json!({}))
}

/// The fixture, legacy alone, without a prefix.
async fn before_the_fixture() -> (Program, Gateway) {
    before(Setup::new(), "prefix: ''").await
}

/// The same behind such a gateway; `more` stands in the upstream's entry.
async fn before(setup: Setup, more: &str) -> (Program, Gateway) {
    let mut program = Program::start(Command::new(tools::example("upstream")).args(["--eras", "legacy"]));
    let url = program.says("listening ").await;
    let gateway = setup.upstream_with("fixture", &url, more).up().await;
    let listed = |row: &Value| row["tools"].as_u64().is_some_and(|tools| tools > 0);
    gateway.until_upstream("fixture", "is listed", listed).await;
    (program, gateway)
}

/// The key of the first input that a call is asked for.
fn first_input(asked: &Value) -> String {
    let inputs = asked["inputRequests"].as_object().into_iter().flatten();
    let mut keys = inputs.map(|(key, _)| key.clone());
    keys.next().expect("something is asked for")
}

#[tokio::test]
async fn tools_prompts_resources_and_completions_answer_as_modern_ones() {
    let (_program, gateway) = before_the_fixture().await;
    let cases = [
        (
            "tools/call",
            json!({"name": "test_simple_text", "arguments": {}}),
            "content",
        ),
        ("prompts/get", json!({"name": "test_simple_prompt"}), "messages"),
        ("resources/read", json!({"uri": "test://static-text"}), "contents"),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
                "argument": {"name": "arg1", "value": "par"}}),
            "completion",
        ),
    ];
    for (method, params, member) in cases {
        let mut plain = modern("a", method, &params);
        if method == "completion/complete" {
            plain = plain.without("mcp-name");
        }
        let response = plain.send(gateway.address).await;
        assert_eq!(
            (response.status, response.media()),
            (200, "application/json"),
            "{response:?}"
        );
        let message = response.message();
        assert_eq!(message["id"], "a");
        assert_eq!(message["result"]["resultType"], "complete", "{message}");
        assert!(!message["result"][member].is_null(), "{message}");
        let cached = (&message["result"]["ttlMs"], &message["result"]["cacheScope"]);
        let expected = if method == "resources/read" {
            (json!(0), json!("private"))
        } else {
            (Value::Null, Value::Null)
        };
        assert_eq!((cached.0.clone(), cached.1.clone()), expected, "{message}");
    }
}

#[tokio::test]
async fn errors_have_the_codes_of_the_newer_revision() {
    let (_program, gateway) = before_the_fixture().await;
    let missing = modern(1, "resources/read", &json!({"uri": "test://nobody"}))
        .send(gateway.address)
        .await
        .message();
    assert_eq!(missing["error"]["code"], -32602, "{missing}");
    assert_eq!(missing["error"]["data"]["uri"], "test://nobody");
    let undeclared = request(
        2,
        "tools/call",
        &json!({"name": "test_missing_capability"}),
        "{}",
        &json!({}),
    )
    .send(gateway.address)
    .await;
    assert_eq!(undeclared.status, 400);
    assert_eq!(undeclared.message()["error"]["code"], -32021, "{undeclared:?}");
}

#[tokio::test]
async fn progress_comes_along_and_log_messages_where_they_were_asked_for() {
    let (_program, gateway) = before_the_fixture().await;
    let count = async |tool: &str, more: Value, method: &str| {
        let request = request(1, "tools/call", &json!({"name": tool, "arguments": {}}), "{}", &more);
        let response = request.send(gateway.address).await;
        assert_eq!(response.message()["result"]["resultType"], "complete", "{response:?}");
        response.text().matches(method).count()
    };
    let progress = count(
        "test_tool_with_progress",
        json!({"progressToken": "p"}),
        "notifications/progress",
    );
    assert_eq!(progress.await, 3);
    let logging = json!({"io.modelcontextprotocol/logLevel": "debug"});
    for _ in 0..2 {
        let logs = count("test_tool_with_logging", logging.clone(), "notifications/message");
        assert_eq!(logs.await, 3, "those of this call");
    }
    let silent = count("test_tool_with_logging", json!({}), "notifications/message");
    assert_eq!(silent.await, 0);
}

#[tokio::test]
async fn real_clients_reach_real_servers_of_the_other_era() {
    let (_server, url) = process::everything();
    let gateway = Setup::new().upstream("old", &url).up().await;
    let listed = |row: &Value| row["tools"].as_u64().is_some_and(|tools| tools > 0);
    gateway.until_upstream("old", "is listed", listed).await;
    for client in [
        Client::TypeScript2("2026-07-28"),
        Client::TypeScript2("auto"),
        Client::Python("2026-07-28"),
        Client::Python("auto"),
        Client::Rmcp("auto"),
    ] {
        let visit = client
            .visit(&gateway.url(), "old_echo", &json!({"message": "hello"}))
            .await;
        assert_eq!(visit.content[0]["text"], "Echo: hello", "{client:?}");
    }
}
