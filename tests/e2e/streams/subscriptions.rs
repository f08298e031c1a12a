//! Subscriptions to resources: by owner, to those who asked, across eras and restarts.

use super::{control, fixture, listen, listen_modern};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::watch;

const UPDATED: &str = "notifications/resources/updated";
const WATCHED: &str = "test://watched-resource";

fn updated(message: &Value) -> &str {
    assert_eq!(message["method"], UPDATED, "{message}");
    message["params"]["uri"].as_str().expect("a URI")
}

/// A server that owns `puppet://r` and says that it was updated when the gate opens.
async fn second() -> (Puppet, watch::Sender<bool>) {
    let puppet = Puppet::start(&["echo"]).await;
    let (open, gate) = watch::channel(false);
    puppet.play(move |seen| match (seen.verb.as_str(), seen.method.as_str()) {
        ("POST", "initialize") => {
            let result = json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"resources": {"subscribe": true}},
                "serverInfo": {"name": "puppet", "version": "1"},
            });
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, seen.id);
            let headers = [("content-type", "application/json"), ("mcp-session-id", "one-for-all")];
            Some(Act::reply(200, &headers, body.as_bytes()))
        }
        ("POST", "server/discover") => None,
        ("POST", _) if seen.id == "null" => Some(Act::reply(202, &[], b"")),
        ("POST", "resources/list") => Some(seen.result(&json!({"resources": [{"uri": "puppet://r", "name": "r"}]}))),
        ("POST", "resources/templates/list") => Some(seen.result(&json!({"resourceTemplates": []}))),
        ("POST", "resources/subscribe") => Some(seen.result(&json!({}))),
        ("GET", _) => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n".to_vec();
            let event = format!(
                "id: 7\ndata: {}\n\n",
                json!({"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": "puppet://r"}})
            );
            Some(Act::SayThen(head, gate.clone(), Box::new(Act::Say(event.into_bytes()))))
        }
        _ => None,
    });
    (puppet, open)
}

#[tokio::test]
async fn updates_of_two_upstreams_reach_those_who_subscribed() {
    let (_fixture, url) = fixture(&["--eras", "legacy"]).await;
    let (puppet, open) = second().await;
    let gateway = Setup::new()
        .upstream("one", &url)
        .upstream("two", &puppet.url())
        .up()
        .await;
    let (client, other) = (gateway.client().await, gateway.client().await);
    let (mut stream, mut silent) = (listen(&client).await, listen(&other).await);
    other.text_of("one_test_simple_text", &json!({})).await;
    for uri in [WATCHED, "puppet://r"] {
        let answer = client.rpc("resources/subscribe", &json!({"uri": uri})).await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    }
    control(&url, "POST", &format!("updated?uri={WATCHED}")).await;
    assert_eq!(updated(&stream.message().await), WATCHED);
    open.send(true).expect("it listens");
    let event = stream.event().await.expect("an event");
    assert!(
        event.contains("puppet://r") && event.contains("id: me:two:7"),
        "{event}"
    );
    let nothing = tokio::time::timeout(Duration::from_millis(300), silent.message()).await;
    assert!(nothing.is_err(), "the other client did not subscribe: {nothing:?}");
    client.rpc("resources/unsubscribe", &json!({"uri": WATCHED})).await;
    control(&url, "POST", &format!("updated?uri={WATCHED}")).await;
    let nothing = tokio::time::timeout(Duration::from_millis(300), stream.message()).await;
    assert!(nothing.is_err(), "it does not any more: {nothing:?}");
}

#[tokio::test]
async fn a_subscription_outlives_the_upstreams_sessions() {
    let (_fixture, url) = fixture(&["--eras", "legacy"]).await;
    let gateway = Setup::new().upstream_with("one", &url, "prefix: ''").up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    client.rpc("resources/subscribe", &json!({"uri": WATCHED})).await;
    control(&url, "POST", "forget").await;
    client.text_of("test_simple_text", &json!({})).await;
    control(&url, "POST", &format!("updated?uri={WATCHED}")).await;
    assert_eq!(updated(&stream.message().await), WATCHED);
}

#[tokio::test]
async fn a_subscription_that_its_upstream_refuses_is_none() {
    let (puppet, open) = second().await;
    puppet.also(|seen| (seen.method == "resources/subscribe").then(|| seen.error(200, -32603, "not now")));
    let gateway = Setup::new()
        .upstream_with("two", &puppet.url(), "prefix: ''")
        .up()
        .await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    let answer = client.rpc("resources/subscribe", &json!({"uri": "puppet://r"})).await;
    assert_eq!(answer["error"]["message"], "not now", "{answer}");
    open.send(true).expect("it listens");
    let nothing = tokio::time::timeout(Duration::from_millis(300), stream.message()).await;
    assert!(nothing.is_err(), "whatever the upstream says: {nothing:?}");
    // It does not know the session any more, and is given another.
    let opened = puppet.posted("initialize").len();
    client.rpc("resources/read", &json!({"uri": "puppet://r"})).await;
    assert!(puppet.posted("initialize").len() > opened);
    assert_eq!(puppet.posted("resources/subscribe").len(), 1, "not claimed again");
}

#[tokio::test]
async fn a_legacy_client_hears_of_a_modern_upstreams_resource() {
    let (_fixture, url) = fixture(&["--eras", "modern"]).await;
    let gateway = Setup::new().upstream_with("one", &url, "prefix: ''").up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    let answer = client.rpc("resources/subscribe", &json!({"uri": WATCHED})).await;
    assert_eq!(answer["result"], json!({}), "{answer}");
    heard_in_time(&url, &mut stream, WATCHED).await;
}

#[tokio::test]
async fn a_modern_client_hears_of_resources_of_either_era() {
    for eras in ["modern", "legacy"] {
        let (_fixture, url) = fixture(&["--eras", eras]).await;
        let gateway = Setup::new().upstream_with("one", &url, "prefix: ''").up().await;
        let filter = json!({"resourceSubscriptions": [WATCHED, "nobody://x"]});
        let (mut stream, acknowledged) = listen_modern(&gateway, 9, &filter).await;
        let honoured = &acknowledged["notifications"]["resourceSubscriptions"];
        assert_eq!(honoured[0], WATCHED, "{eras}: {acknowledged}");
        let message = heard_in_time(&url, &mut stream, WATCHED).await;
        let tag = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!(*tag, 9, "{eras}: {message}");
    }
}

/// Updates are told again until one is heard: when a subscription takes effect nobody hears.
async fn heard_in_time(url: &str, stream: &mut super::Stream, uri: &str) -> Value {
    let telling = async {
        loop {
            control(url, "POST", &format!("updated?uri={uri}")).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        message = stream.message() => {
            assert_eq!(updated(&message), uri);
            message
        }
        () = telling => unreachable!("it goes on"),
    }
}
