//! Callers who are known by name: what belongs to one of them is nobody else's.

use super::{before, call, first_input};
use crate::e2e::harness::client::Request;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::Puppet;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// A gateway that knows `ada` and `bob` by their keys.
fn keyed() -> Setup {
    let setup = Setup::new().with("authentication: { apiKeys: { header: X-Key, file: keys.yaml } }");
    let entry = |name: &str| {
        let hash = Sha256::digest(key(name)).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        format!("- {{ name: {name}, sha256: '{hash}' }}\n")
    };
    let keys = setup.folder.path().join("keys.yaml");
    std::fs::write(keys, entry("ada") + &entry("bob")).expect("written");
    setup
}

fn key(name: &str) -> String {
    format!("the-key-of-{name}")
}

fn by(name: &str, request: Request) -> Request {
    request.with("x-key", &key(name))
}

#[tokio::test]
async fn what_one_is_asked_for_nobody_else_can_bring() {
    let (_program, gateway) = before(keyed(), "prefix: ''").await;
    let tool = "test_input_required_result_elicitation";
    let ask = call(1, tool, json!({"arguments": {}}));
    let asked = by("ada", ask).send(gateway.address).await.message()["result"].clone();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let answers = json!({ first_input(&asked): {"action": "accept", "content": {"name": "Ada"}} });
    let retry = json!({"arguments": {}, "inputResponses": answers, "requestState": asked["requestState"]});
    let stolen = by("bob", call(2, tool, retry.clone()));
    let refused = stolen.send(gateway.address).await.message();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let done = by("ada", call(3, tool, retry)).send(gateway.address).await.message();
    assert_eq!(done["result"]["content"][0]["text"], "Hello, Ada!", "{done}");
}

#[tokio::test]
async fn upstream_sessions_are_not_shared_between_callers() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = keyed().puppet("old", &puppet).up().await;
    let listed = |row: &Value| row["tools"].as_u64().is_some_and(|tools| tools > 0);
    gateway.until_upstream("old", "is listed", listed).await;
    for name in ["ada", "bob", "ada"] {
        let echo = by(name, call(1, "old_echo", json!({"arguments": {}})));
        let message = echo.send(gateway.address).await.message();
        assert_eq!(message["result"]["resultType"], "complete", "{message}");
    }
    let calls = puppet.posted("tools/call");
    let sessions: Vec<_> = calls.iter().map(|seen| seen.header("mcp-session-id")).collect();
    assert_ne!(sessions[0], sessions[1], "each has their own");
    assert_eq!(sessions[0], sessions[2], "and keeps it");
}
