//! Changed lists: told once to every client stream, within a second.

use super::{control, fixture, listen, listen_modern};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const TOOLS: &str = "notifications/tools/list_changed";

#[tokio::test]
async fn a_changed_list_is_told_to_clients_of_both_eras_within_a_second_and_once() {
    let (_upstream, url) = fixture(&[]).await;
    let gateway = Setup::new().upstream("one", &url).up().await;
    let client = gateway.client().await;
    let mut legacy = listen(&client).await;
    let (mut modern, _) = listen_modern(&gateway, "l-1", &json!({"toolsListChanged": true})).await;
    let (mut other, _) = listen_modern(&gateway, 2, &json!({"promptsListChanged": true})).await;
    let began = Instant::now();
    control(&url, "PUT", "tools/fresh").await;
    assert_eq!(legacy.message().await["method"], TOOLS);
    let told = modern.message().await;
    assert_eq!(told["method"], TOOLS);
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l-1");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(
        client.tools().await.contains(&"one_fresh".to_owned()),
        "the list was read before it was told"
    );
    for stream in [&mut legacy, &mut modern, &mut other] {
        let more = tokio::time::timeout(Duration::from_millis(700), stream.event()).await;
        assert!(more.is_err(), "once is enough: {more:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_comes_or_goes_changes_the_lists() {
    let ((_one, first), (_two, second)) = (fixture(&[]).await, fixture(&["--bare", "--tools", "1"]).await);
    let gateway = Setup::new().upstream("one", &first).up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    let more = gateway.setup.clone().upstream("two", &second);
    more.write();
    assert_eq!(stream.message().await["method"], TOOLS);
    gateway.setup.write();
    assert_eq!(stream.message().await["method"], TOOLS);
}

#[tokio::test]
async fn what_is_declared_is_delivered() {
    let ((_one, first), (_two, second)) = (fixture(&[]).await, fixture(&[]).await);
    let gateway = Setup::new().upstream("one", &first).upstream("two", &second).up().await;
    let response = crate::e2e::harness::client::initialize("2025-11-25", &json!({}))
        .send(gateway.address)
        .await;
    let capabilities = &response.message()["result"]["capabilities"];
    assert_eq!(capabilities["tools"], json!({"listChanged": true}));
    assert_eq!(
        capabilities["resources"],
        json!({"listChanged": true, "subscribe": true})
    );
}

/// A server that tells a change only to the session that it concerns.
#[tokio::test]
async fn a_change_that_only_a_clients_session_hears_of_is_told() {
    let puppet = Puppet::start(&["echo"]).await;
    let event = json!({"jsonrpc": "2.0", "method": TOOLS});
    let (open, gate) = watch::channel(false);
    puppet.play(move |seen| {
        let of_client = seen.header("mcp-session-id") != Some("puppet-1");
        (seen.verb == "GET" && of_client).then(|| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec();
            let event = format!("data: {event}\n\n").into_bytes();
            Act::SayThen(head, gate.clone(), Box::new(Act::Say(event)))
        })
    });
    let gateway = Setup::new().puppet("one", &puppet).up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    client.text_of("one_echo", &json!({})).await;
    puppet.forget_requests();
    open.send(true).expect("it listens");
    assert_eq!(stream.message().await["method"], TOOLS);
    assert_eq!(puppet.posted("tools/list").len(), 1, "the list was read again before");
    let more = tokio::time::timeout(Duration::from_millis(700), stream.event()).await;
    assert!(more.is_err(), "once is enough: {more:?}");
}
