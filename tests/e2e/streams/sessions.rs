//! GET of a legacy session: what it hears, and how it ends.

use super::{fixture, get, listen, open_files};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Setup;
use serde_json::json;

#[tokio::test]
async fn what_is_said_during_the_first_call_is_heard() {
    let (_upstream, url) = fixture(&[]).await;
    let gateway = Setup::new().upstream_with("one", &url, "prefix: ''").up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    client.text_of("test_tool_with_logging", &json!({})).await;
    for text in [
        "Tool execution started",
        "Tool processing data",
        "Tool execution completed",
    ] {
        let message = stream.message().await;
        assert_eq!(message["method"], "notifications/message", "{message}");
        assert_eq!(message["params"]["data"], text, "{message}");
    }
}

#[tokio::test]
async fn a_call_of_another_upstream_is_heard_on_the_same_stream() {
    let ((_one, first), (_two, second)) = (fixture(&[]).await, fixture(&[]).await);
    let gateway = Setup::new().upstream("one", &first).upstream("two", &second).up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    for tool in ["one_test_tool_with_logging", "two_test_tool_with_logging"] {
        client.text_of(tool, &json!({})).await;
        for _ in 0..3 {
            assert_eq!(stream.message().await["method"], "notifications/message", "{tool}");
        }
    }
}

#[tokio::test]
async fn the_youngest_get_takes_over() {
    let (_upstream, url) = fixture(&[]).await;
    let gateway = Setup::new().upstream_with("one", &url, "prefix: ''").up().await;
    let client = gateway.client().await;
    let mut old = listen(&client).await;
    let mut young = listen(&client).await;
    old.rest().await;
    assert_eq!(old.whole, Some(true), "it ends cleanly");
    client.text_of("test_tool_with_logging", &json!({})).await;
    assert_eq!(young.message().await["method"], "notifications/message");
}

#[tokio::test]
async fn the_stream_ends_with_its_session() {
    let (_upstream, url) = fixture(&[]).await;
    let gateway = Setup::new().upstream("one", &url).up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    assert_eq!(client.delete().await, 200);
    stream.rest().await;
    assert_eq!(stream.whole, Some(true), "it ends cleanly");
    assert_eq!(get(&client).send(client.address).await.status, 404);
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_heard_again() {
    let (upstream, url) = fixture(&[]).await;
    let port = url.split([':', '/']).nth(4).expect("a port").to_owned();
    let gateway = Setup::new().upstream_with("one", &url, "prefix: ''").up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    client.text_of("test_tool_with_logging", &json!({})).await;
    for _ in 0..3 {
        stream.message().await;
    }
    drop(upstream);
    let (_again, _) = fixture(&["--port", &port]).await;
    // Its session is lost; the next call opens another, and its stream with it.
    eventually("the tool answers again", async || {
        let message = client.call("test_tool_with_logging", &json!({})).await;
        message["result"]["content"][0]["text"] == "Tool with logging executed"
    })
    .await;
    let heard = async {
        loop {
            if stream.message().await["method"] == "notifications/message" {
                break;
            }
        }
    };
    heard.await;
}

#[tokio::test]
async fn two_hundred_streams_that_come_and_go_leave_nothing() {
    let (_upstream, url) = fixture(&[]).await;
    let mut gateway = Setup::new()
        .upstream_with("one", &url, "prefix: ''")
        .with("limits: { streams: 230 }")
        .up()
        .await;
    let client = gateway.client().await;
    client.text_of("test_simple_text", &json!({})).await;
    let program = gateway.program().id();
    let before = open_files(program);
    for _ in 0..3 {
        let mut streams = Vec::new();
        for _ in 0..200 {
            let client = gateway.client().await;
            client.text_of("test_simple_text", &json!({})).await;
            streams.push(listen(&client).await);
        }
        drop(streams);
        eventually("their connections to the upstream are gone", async || {
            open_files(program) <= before + 20
        })
        .await;
    }
}

#[tokio::test]
async fn a_drain_ends_streams_cleanly() {
    let (_upstream, url) = fixture(&[]).await;
    let mut gateway = Setup::new().upstream("one", &url).up().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    gateway.program().signal("TERM");
    stream.rest().await;
    assert_eq!(stream.whole, Some(true));
    gateway.program().ends().await;
}
