//! How upstream sessions end: with the client's, or because nobody used them.

use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;

#[tokio::test]
async fn delete_ends_the_upstream_sessions_too() {
    let (one, two) = (Puppet::start(&["a"]).await, Puppet::start(&["b"]).await);
    let gateway = Setup::new().puppet("one", &one).puppet("two", &two).up().await;
    let client = gateway.client().await;
    client.text_of("one_a", &json!({})).await;
    client.text_of("two_b", &json!({})).await;
    let ids: Vec<_> = [&one, &two]
        .map(|puppet| {
            puppet.posted("tools/call")[0]
                .header("mcp-session-id")
                .map(str::to_owned)
        })
        .into();
    assert!((200..300).contains(&client.delete().await));
    for (puppet, id) in [&one, &two].into_iter().zip(&ids) {
        puppet
            .until("the session is ended", |seen| {
                seen.iter()
                    .any(|seen| seen.verb == "DELETE" && seen.header("mcp-session-id") == id.as_deref())
            })
            .await;
    }
}

#[tokio::test]
async fn an_idle_upstream_session_is_ended_and_opened_again_unseen() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .puppet("up", &puppet)
        .with("session: { idle: 300ms }")
        .up()
        .await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    let first = puppet.posted("tools/call")[0]
        .header("mcp-session-id")
        .map(str::to_owned);
    puppet
        .until("the idle session is ended", |seen| {
            seen.iter()
                .any(|seen| seen.verb == "DELETE" && seen.header("mcp-session-id") == first.as_deref())
        })
        .await;
    assert_eq!(
        client.text_of("up_echo", &json!({})).await,
        "echo",
        "the client notices nothing"
    );
    let second = puppet.posted("tools/call")[1]
        .header("mcp-session-id")
        .map(str::to_owned);
    assert_ne!(first, second);
}

#[tokio::test]
async fn an_upstream_without_sessions_is_called_without() {
    let puppet = Puppet::start(&["echo"]).await;
    puppet.play(|seen| match seen.method.as_str() {
        "initialize" => Some(
            seen.result(&json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "stateless", "version": "1"}})),
        ),
        "tools/list" => Some(seen.result(&json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}))),
        "tools/call" => Some(seen.result(&json!({"content": [{"type": "text", "text": "fine"}]}))),
        "notifications/initialized" => Some(Act::reply(202, &[], b"")),
        _ => None,
    });
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    puppet.forget_requests();
    let client = gateway.client().await;
    for _ in 0..3 {
        assert_eq!(client.text_of("up_echo", &json!({})).await, "fine");
    }
    let calls = puppet.posted("tools/call");
    assert!(
        calls.iter().all(|call| call.header("mcp-session-id").is_none()),
        "{calls:?}"
    );
    assert!(
        puppet.posted("initialize").is_empty(),
        "it was found to be stateless when it was listed"
    );
}
