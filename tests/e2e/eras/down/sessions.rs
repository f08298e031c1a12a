//! The upstream sessions that bridged calls borrow: kept, shared among equals, recovered, closed; and calls that are left.

use super::{ALL, request};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::stream::Stream;
use serde_json::{Value, json};

/// A legacy server of one tool, its discovery behind it.
async fn before_a_puppet() -> (Puppet, Gateway) {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("old", &puppet).up().await;
    let listed = |row: &Value| row["tools"].as_u64().is_some_and(|tools| tools > 0);
    gateway.until_upstream("old", "is listed", listed).await;
    puppet.forget_requests();
    (puppet, gateway)
}

async fn echo(gateway: &Gateway, capabilities: &str) -> Value {
    let params = json!({"name": "old_echo", "arguments": {"text": "a"}});
    let response = request(1, "tools/call", &params, capabilities, &json!({}))
        .send(gateway.address)
        .await;
    response.message()["result"].clone()
}

fn opened(puppet: &Puppet) -> Vec<Value> {
    let handshakes = puppet.posted("initialize");
    handshakes
        .iter()
        .map(|seen| seen.json()["params"]["capabilities"].clone())
        .collect()
}

#[tokio::test]
async fn equal_clients_share_a_session_one_after_the_other() {
    let (puppet, gateway) = before_a_puppet().await;
    for _ in 0..3 {
        assert_eq!(echo(&gateway, "{}").await["resultType"], "complete");
    }
    assert_eq!(opened(&puppet), [json!({})], "one handshake");
    assert_eq!(echo(&gateway, ALL).await["resultType"], "complete");
    let all: Value = serde_json::from_str(ALL).expect("JSON");
    assert_eq!(
        opened(&puppet),
        [json!({}), all],
        "the upstream hears of the client what the client says"
    );
    let calls = puppet.posted("tools/call");
    let ids: std::collections::BTreeSet<&str> = calls.iter().map(|seen| seen.id.as_str()).collect();
    assert_eq!(ids.len(), 4, "no id is used twice in a session");
    assert!(
        calls
            .iter()
            .all(|seen| !seen.text().contains("io.modelcontextprotocol/"))
    );
}

#[tokio::test]
async fn a_lost_session_is_opened_again_unseen() {
    for status in [404, 400] {
        let (puppet, gateway) = before_a_puppet().await;
        assert_eq!(echo(&gateway, "{}").await["resultType"], "complete");
        puppet.lose_sessions(status);
        assert_eq!(echo(&gateway, "{}").await["resultType"], "complete", "after {status}");
        assert_eq!(echo(&gateway, "{}").await["resultType"], "complete");
    }
}

#[tokio::test]
async fn who_leaves_has_cancelled() {
    let (puppet, gateway) = before_a_puppet().await;
    puppet.play_for("tools/call", Act::Hang);
    let params = json!({"name": "old_echo", "arguments": {}});
    let request = request(1, "tools/call", &params, "{}", &json!({}));
    let address = gateway.address;
    let leaving = tokio::spawn(async move { Stream::open(address, &request).await });
    puppet
        .until("the call", |seen| seen.iter().any(|seen| seen.method == "tools/call"))
        .await;
    leaving.abort();
    let cancelled = |seen: &crate::e2e::harness::puppet::Seen| seen.method == "notifications/cancelled";
    puppet.until("the cancel", |all| all.iter().any(cancelled)).await;
    let call = puppet.posted("tools/call").remove(0);
    let cancel = puppet.posted("notifications/cancelled").remove(0);
    assert_eq!(cancel.json()["params"]["requestId"].to_string(), call.id);
    assert_eq!(cancel.header("mcp-session-id"), call.header("mcp-session-id"));
}

#[tokio::test]
async fn sessions_are_closed_when_the_gateway_ends() {
    let (puppet, mut gateway) = before_a_puppet().await;
    assert_eq!(echo(&gateway, "{}").await["resultType"], "complete");
    let used = puppet.posted("tools/call").remove(0);
    let session = used.header("mcp-session-id").map(str::to_owned);
    gateway.program().signal("TERM");
    let closed = move |seen: &crate::e2e::harness::puppet::Seen| {
        seen.verb == "DELETE" && seen.header("mcp-session-id").map(str::to_owned) == session
    };
    puppet
        .until("the end of the session", |all| all.iter().any(&closed))
        .await;
}

#[tokio::test]
async fn sessions_that_nobody_uses_are_closed() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .puppet("old", &puppet)
        .with("session: { idle: 1s }")
        .up()
        .await;
    let listed = |row: &Value| row["tools"].as_u64().is_some_and(|tools| tools > 0);
    gateway.until_upstream("old", "is listed", listed).await;
    assert_eq!(echo(&gateway, "{}").await["resultType"], "complete");
    let used = puppet.posted("tools/call").remove(0);
    let session = used.header("mcp-session-id").map(str::to_owned);
    let closed = move |seen: &crate::e2e::harness::puppet::Seen| {
        seen.verb == "DELETE" && seen.header("mcp-session-id").map(str::to_owned) == session
    };
    puppet
        .until("the end of the session", |all| all.iter().any(&closed))
        .await;
}
