//! When upstream sessions are opened, and with what.

use crate::e2e::harness::client::Client;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;

async fn one() -> (Puppet, Gateway) {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    puppet.forget_requests();
    (puppet, gateway)
}

#[tokio::test]
async fn initialize_and_lists_open_nothing_upstream() {
    let (puppet, gateway) = one().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["up_echo"]);
    client.rpc("prompts/list", &json!({})).await;
    client.rpc("ping", &json!({})).await;
    assert!(puppet.posted("initialize").is_empty(), "{:?}", puppet.seen());
    client.text_of("up_echo", &json!({})).await;
    assert_eq!(puppet.posted("initialize").len(), 1, "the first call opens a session");
}

#[tokio::test]
async fn fifty_first_calls_at_once_open_one_upstream_session() {
    let (puppet, gateway) = one().await;
    let (open, gate) = watch::channel(false);
    puppet.play(move |seen| (seen.method == "initialize").then(|| Act::Wait(gate.clone())));
    let client = Arc::new(gateway.client().await);
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call("up_echo", &json!({"number": number})).await })
        })
        .collect();
    puppet
        .until("a session is being opened", |seen| {
            seen.iter().any(|seen| seen.method == "initialize")
        })
        .await;
    open.send(true).expect("the puppet waits");
    for call in calls {
        let message = call.await.expect("no panic");
        assert_eq!(message["result"]["content"][0]["text"], "echo", "{message}");
    }
    assert_eq!(puppet.posted("initialize").len(), 1, "one handshake for all");
}

#[tokio::test]
async fn each_client_has_its_own_upstream_session_with_its_own_capabilities() {
    let (puppet, gateway) = one().await;
    let plain = gateway.client().await;
    let able = Client::connect_as(
        gateway.address,
        "2025-06-18",
        &json!({"sampling": {}, "roots": {"listChanged": true}}),
    )
    .await;
    assert!(plain.session.starts_with("mp1."), "{}", plain.session);
    assert!(able.session.starts_with("mi1."), "it may be asked: {}", able.session);
    plain.text_of("up_echo", &json!({})).await;
    able.text_of("up_echo", &json!({})).await;
    plain.text_of("up_echo", &json!({})).await;

    let opened = puppet.posted("initialize");
    assert_eq!(opened.len(), 2);
    assert_eq!(opened[0].json()["params"]["capabilities"], json!({}));
    assert_eq!(
        opened[1].json()["params"]["capabilities"],
        json!({"sampling": {}, "roots": {"listChanged": true}})
    );
    assert_eq!(opened[1].json()["params"]["protocolVersion"], "2025-06-18");
    assert_eq!(
        opened[1].json()["params"]["clientInfo"],
        json!({"name": "test", "version": "1"})
    );
    let calls = puppet.posted("tools/call");
    let sessions: Vec<_> = calls.iter().map(|call| call.header("mcp-session-id")).collect();
    assert_eq!(sessions[0], sessions[2], "the same client, the same session");
    assert_ne!(sessions[0], sessions[1], "another client, another session");
}

#[tokio::test]
async fn a_level_set_before_is_told_to_an_upstream_session_opened_later() {
    let (puppet, gateway) = one().await;
    let client = gateway.client().await;
    assert_eq!(
        client.rpc("logging/setLevel", &json!({"level": "warning"})).await["result"],
        json!({})
    );
    assert!(puppet.posted("logging/setLevel").is_empty());
    client.text_of("up_echo", &json!({})).await;
    puppet
        .until("the level arrives", |seen| {
            seen.iter().any(|seen| seen.method == "logging/setLevel")
        })
        .await;
    assert_eq!(
        puppet.posted("logging/setLevel")[0].json()["params"]["level"],
        "warning"
    );
}

#[tokio::test]
async fn a_handshake_is_complete_before_the_first_call() {
    let (puppet, gateway) = one().await;
    gateway.client().await.text_of("up_echo", &json!({})).await;
    let seen = puppet.seen();
    let call = seen
        .iter()
        .position(|seen| seen.method == "tools/call")
        .expect("called");
    let session = seen[call].header("mcp-session-id");
    let initialized = seen
        .iter()
        .position(|seen| seen.method == "notifications/initialized" && seen.header("mcp-session-id") == session);
    assert!(initialized.is_some_and(|at| at < call), "{seen:?}");
    assert_eq!(seen[call].header("mcp-protocol-version"), Some("2025-11-25"));
}

#[tokio::test]
async fn an_upstream_that_speaks_an_older_version_is_spoken_to_in_it() {
    let (puppet, gateway) = one().await;
    let result = json!({"protocolVersion": "2025-03-26", "capabilities": {"tools": {}},
        "serverInfo": {"name": "old", "version": "1"}});
    // As an event stream, with something else in front.
    puppet.play(move |seen| {
        let old = seen.method == "initialize";
        let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
        let message = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, seen.id);
        let events = format!(": hi\n\ndata: {note}\n\nevent: message\ndata: {message}\n\n");
        let headers = [("content-type", "text/event-stream"), ("mcp-session-id", "old-session")];
        let known = seen.header("mcp-session-id") == Some("old-session");
        match seen.method.as_str() {
            _ if old => Some(Act::reply(200, &headers, events.as_bytes())),
            "notifications/initialized" if known => Some(Act::reply(202, &[], b"")),
            "tools/call" if known => Some(seen.result(&json!({"content": [{"type": "text", "text": "old"}]}))),
            _ => None,
        }
    });
    let client = gateway.client().await;
    assert_eq!(client.text_of("up_echo", &json!({})).await, "old");
    let call = puppet.posted("tools/call").pop().expect("called");
    assert_eq!(
        call.header("mcp-protocol-version"),
        Some("2025-03-26"),
        "the upstream session's, not the client's"
    );
}

#[tokio::test]
async fn a_version_that_nobody_knows_is_an_error_of_the_call() {
    let (puppet, gateway) = one().await;
    puppet.play(|seen| {
        let result =
            json!({"protocolVersion": "1999-01-01", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}});
        (seen.method == "initialize").then(|| seen.result(&result))
    });
    let message = gateway.client().await.call("up_echo", &json!({})).await;
    assert_eq!(message["error"]["code"], -31010, "{message}");
}
