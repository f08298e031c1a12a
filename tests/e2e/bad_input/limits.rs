//! Too many sessions, streams; shutting down.

use crate::e2e::harness::check::{answered, counted, refused};
use crate::e2e::harness::client::{initialize, rpc};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;

#[tokio::test]
async fn more_sessions_than_are_remembered_are_refused() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .puppet("puppet", &puppet)
        .with("limits: { sessions: 2 }")
        .up()
        .await;
    let first = gateway.client().await;
    let _second = gateway.client().await;
    let response = initialize("2025-11-25", &json!({})).send(gateway.address).await;
    refused("the third", &response, 503, -31014, "0");
    counted(&gateway, "sessions_full").await;
    assert!(response.header("retry-after").is_some(), "{response:?}");
    assert!((200..300).contains(&first.delete().await));
    answered(
        "after one has ended",
        &initialize("2025-11-25", &json!({})).send(gateway.address).await,
        "0",
    );
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .puppet("puppet", &puppet)
        .with("limits: { streams: 1 }")
        .up()
        .await;
    let client = gateway.client().await;
    puppet.play_for("tools/call", Act::Hang);
    let hanging = client
        .request(rpc(1, "tools/call", &json!({"name": "puppet_echo"})))
        .bytes();
    let hanging = tokio::spawn({
        let to = gateway.address;
        async move { crate::e2e::harness::http::exchange(to, &hanging).await }
    });
    puppet
        .until("the call hangs", |seen| {
            seen.iter().any(|seen| seen.method == "tools/call")
        })
        .await;
    let response = client
        .request(rpc(2, "tools/list", &json!({})))
        .send(gateway.address)
        .await;
    refused("the second", &response, 503, -31014, "null");
    counted(&gateway, "streams_full").await;
    hanging.abort();
}
