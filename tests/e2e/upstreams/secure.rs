//! HTTPS: a gateway that serves TLS is the upstream of another one that knows its authority; and other servers behind TLS.

use crate::e2e::harness::client::{Client, Request, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup, address_in};
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::harness::stream::Stream;
use crate::e2e::harness::terminator::{self, Terminator};
use crate::e2e::process;
use serde_json::json;

fn certificate(name: &str) -> String {
    terminator::certificate(name).display().to_string()
}

async fn behind(upstream: &Gateway, authority: &str) -> Gateway {
    let url = format!("https://localhost:{}/mcp", upstream.address.port());
    let more = format!("prefix: '', tls: {{ ca: {{ file: {} }} }}", certificate(authority));
    Setup::new().upstream_with("secure", &url, &more).up().await
}

#[tokio::test]
async fn an_upstream_with_its_own_authority_is_listed_and_called() {
    let puppet = Puppet::start(&["echo"]).await;
    let (cert, key) = (certificate("server.pem"), certificate("server.key"));
    let tls = format!("tls: {{ cert: {{ file: {cert} }}, key: {{ file: {key} }} }}");
    let upstream = Setup::new().puppet("inner", &puppet).with(&tls).up().await;
    assert!(upstream.ready.starts_with("https://"), "{}", upstream.ready);
    let gateway = behind(&upstream, "ca.pem").await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["inner_echo"]);
    assert_eq!(client.text_of("inner_echo", &json!({})).await, "echo");

    let distrusting = behind(&upstream, "other-ca.pem").await;
    assert_eq!(distrusting.client().await.tools().await, [""; 0]);
    let row = distrusting.upstream("secure").await;
    assert_eq!(row["ready"], false);
    let error = row["lastError"].as_str().unwrap_or_default().to_lowercase();
    assert!(error.contains("certificate"), "{row}");
}

/// A gateway before what speaks TLS on this port.
async fn trusting(port: u16, path: &str, more: &str) -> Gateway {
    let ca = certificate("ca.pem");
    let more = format!("prefix: '', tls: {{ ca: {{ file: {ca} }} }}{more}");
    let url = format!("https://localhost:{port}{path}");
    Setup::new().upstream_with("secure", &url, &more).up().await
}

#[tokio::test]
async fn a_server_of_the_old_transport_is_called_over_tls_and_asks_its_client() {
    let server = process::python_sse_server();
    let front = Terminator::start(address_in(&server.said)).await;
    let gateway = trusting(front.port, "/sse", ", protocol: sse").await;
    let client = Client::connect_as(gateway.address, "2025-11-25", &json!({"elicitation": {}})).await;
    assert_eq!(client.text_of("reverse", &json!({"text": "abc"})).await, "cba");
    let call = rpc("call", "tools/call", &json!({"name": "greet", "arguments": {}}));
    let mut stream = Stream::open(gateway.address, &client.request(call)).await;
    let asked = loop {
        let message = stream.message().await;
        if message["method"] == "elicitation/create" {
            break message;
        }
    };
    let accepted =
        json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "accept", "content": {"name": "Ada"}}});
    let taken = client.request(accepted.to_string()).send(gateway.address).await;
    assert_eq!(taken.status, 202, "{taken:?}");
    assert_eq!(stream.message().await["result"]["content"][0]["text"], "Hello, Ada!");

    let ca = certificate("other-ca.pem");
    let more = format!("protocol: sse, tls: {{ ca: {{ file: {ca} }} }}");
    let url = format!("https://localhost:{}/sse", front.port);
    let distrusting = Setup::new().upstream_with("secure", &url, &more).up().await;
    let row = distrusting.upstream("secure").await;
    let error = row["lastError"].as_str().unwrap_or_default().to_lowercase();
    assert!(error.contains("certificate"), "{row}");
}

#[tokio::test]
async fn the_stream_of_a_session_is_heard_over_tls() {
    let server = process::upstream(&["--eras", "legacy"]);
    let front = Terminator::start(address_in(&server.said)).await;
    let gateway = trusting(front.port, "/mcp", "").await;
    let client = gateway.client().await;
    let get = Request::bare("GET")
        .with("accept", "text/event-stream")
        .session(&client.session)
        .with("mcp-protocol-version", "2025-11-25");
    let mut stream = Stream::open(gateway.address, &get).await;
    client.text_of("test_tool_with_logging", &json!({})).await;
    for _ in 0..3 {
        assert_eq!(stream.message().await["method"], "notifications/message");
    }
}
