//! What each wiring of Envoy offers, and streams of servers by others.

use super::{listen, listen_modern};
use crate::e2e::harness::check::refused;
use crate::e2e::harness::client::modern;
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::program::Program;
use crate::e2e::process::free_port;
use crate::e2e::tools;
use serde_json::json;
use std::process::Command;

#[tokio::test]
async fn under_buffered_a_get_streams_and_a_listen_is_refused_by_name() {
    let (_upstream, url) = super::fixture(&[]).await;
    let gateway = Setup::new()
        .upstream_with("one", &url, "prefix: ''")
        .start(Wiring::Buffered)
        .await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    client.text_of("test_tool_with_logging", &json!({})).await;
    assert_eq!(stream.message().await["method"], "notifications/message");
    let params = json!({"notifications": {"toolsListChanged": true}});
    let response = modern(1, "subscriptions/listen", &params).send(gateway.address).await;
    let message = refused("listen", &response, 503, -31014, "1");
    let text = message["error"]["message"].as_str().unwrap_or_default();
    assert!(text.contains("FULL_DUPLEX_STREAMED"), "{text}");
}

#[tokio::test]
async fn subscriptions_at_the_everything_server_are_heard_in_both_eras() {
    let port = free_port();
    let mut command = Command::new(tools::node());
    command
        .arg(tools::npm("@modelcontextprotocol/server-everything/dist/index.js"))
        .arg("streamableHttp")
        .env("PORT", port.to_string());
    let _everything = Program::start(&mut command);
    let url = format!("http://127.0.0.1:{port}/mcp");
    let gateway = Setup::new().upstream("all", &url).up().await;
    let client = gateway.client().await;
    let listed = async || !client.tools().await.is_empty();
    crate::e2e::harness::eventually("it is listed", listed).await;
    let resources = client.rpc("resources/list", &json!({})).await;
    let uri = resources["result"]["resources"][0]["uri"]
        .as_str()
        .expect("a resource")
        .to_owned();
    let mut stream = listen(&client).await;
    let answer = client.rpc("resources/subscribe", &json!({"uri": uri})).await;
    assert!(answer["result"].is_object(), "{answer}");
    client.text_of("all_toggle-subscriber-updates", &json!({})).await;
    let heard = async {
        loop {
            let message = stream.message().await;
            if message["method"] == "notifications/resources/updated" {
                return message;
            }
        }
    };
    assert_eq!(heard.await["params"]["uri"], uri);
    let (_modern, acknowledged) = listen_modern(&gateway, "m", &json!({"resourceSubscriptions": [uri.clone()]})).await;
    assert_eq!(acknowledged["notifications"]["resourceSubscriptions"][0], uri);
}
