//! Room for what is held of streams: `limits.bodies` counts it.

use super::listen;
use crate::e2e::harness::client::rpc;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;

/// An event that is never complete, of this many bytes.
async fn never_done(bytes: usize) -> Puppet {
    let puppet = Puppet::start(&["echo"]).await;
    puppet.play(move |seen| {
        (seen.verb == "GET" && seen.header("mcp-session-id") != Some("puppet-1")).then(|| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ";
            Act::Say([head.as_bytes(), &vec![b'x'; bytes]].concat())
        })
    });
    puppet
}

async fn gateway(puppet: &Puppet) -> Gateway {
    let setup = Setup::new().puppet("up", puppet);
    setup.with("limits: { body: 1MiB, bodies: 1MiB }").up().await
}

#[tokio::test]
async fn an_event_that_is_not_complete_takes_room_that_others_need_until_its_client_leaves() {
    let puppet = never_done(600 << 10).await;
    let gateway = gateway(&puppet).await;
    let (hearing, calling) = (gateway.client().await, gateway.client().await);
    let large = json!({"name": "up_echo", "arguments": {"text": "x".repeat(600 << 10)}});
    let call = async || {
        let request = calling.request(rpc(1, "tools/call", &large));
        request.send(gateway.address).await.status
    };
    assert_eq!(call().await, 200);
    let _stream = listen(&hearing).await;
    hearing.text_of("up_echo", &json!({})).await;
    eventually("there is no room", async || call().await == 503).await;
    assert_eq!(
        calling.text_of("up_echo", &json!({})).await,
        "echo",
        "for little there is"
    );
    hearing.delete().await;
    eventually("there is room again", async || call().await == 200).await;
}

#[tokio::test]
async fn a_stream_that_there_is_no_room_for_is_opened_anew() {
    let puppet = never_done(1200 << 10).await;
    let gateway = gateway(&puppet).await;
    let client = gateway.client().await;
    let _stream = listen(&client).await;
    client.text_of("up_echo", &json!({})).await;
    puppet
        .until("its stream is opened again", |seen| {
            let session = seen.iter().rfind(|seen| seen.method == "tools/call");
            let session = session.and_then(|seen| seen.header("mcp-session-id"));
            let gets = seen.iter().filter(|seen| seen.verb == "GET");
            gets.filter(|seen| seen.header("mcp-session-id") == session).count() > 1
        })
        .await;
}
