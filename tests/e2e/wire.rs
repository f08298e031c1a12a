//! HTTP as odd clients speak it, and streams that must not be held back.

use super::harness::check::{answered, refused};
use super::harness::client::{Request, rpc};
use super::harness::gateway::{Gateway, Setup, Wiring};
use super::harness::puppet::{Act, Puppet};
use super::harness::shared::{on_both_wirings, shared};
use super::harness::{PATIENCE, http};
use serde_json::json;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

fn list(id: i64) -> String {
    rpc(id, "tools/list", &json!({}))
}

on_both_wirings! {
    async fn only_the_endpoints_path_exists(shared) {
        let to = shared.gateway.address;
        for path in ["/mcp?x=1", "//mcp", "/x/../mcp", "/./mcp", "/%6dcp"] {
            answered(path, &Request::post(list(1)).path(path).send(to).await, "1");
        }
        for path in ["/", "/mcp/", "/MCP", "/mcp/x", "/mcpx", "/.well-known/oauth-protected-resource"] {
            let response = Request::post(list(1)).path(path).send(to).await;
            assert_eq!(response.status, 404, "{path}: {response:?}");
        }
        for path in ["/mcp%2f", "/x%2f..%2fmcp"] {
            let response = Request::post(list(1)).path(path).send(to).await;
            assert_eq!(response.status, 400, "{path}: {response:?}");
        }
    }

    async fn what_envoy_itself_refuses_is_json_rpc_too(shared) {
        let to = shared.gateway.address;
        let underscore = Request::post(list(1)).with("x_mcp_upstream", "puppet");
        refused("an underscore", &underscore.send(to).await, 400, -32600, "null");
        let huge = Request::post(list(1)).with("x-huge", &"x".repeat(60_000));
        refused("large headers", &huge.send(to).await, 431, -32600, "null");
    }

    async fn several_requests_share_a_connection_even_after_an_error(shared) {
        let mut stream = BufReader::new(TcpStream::connect(shared.gateway.address).await.expect("connected"));
        let keep = |request: Request| {
            let text = String::from_utf8(request.bytes()).expect("text");
            text.replacen("connection: close", "connection: keep-alive", 1)
        };
        // All at once: pipelined. After a 400 Envoy closes, and says so.
        let unknown = Request::post(rpc(2, "no/such", &json!({})));
        let all = [Request::post(list(1)), unknown, Request::post(list(3)), Request::post("{")].map(keep).concat();
        stream.write_all(all.as_bytes()).await.expect("sent");
        answered("first", &http::receive(&mut stream).await.expect("a response"), "1");
        refused("second", &http::receive(&mut stream).await.expect("a response"), 200, -32601, "2");
        answered("third", &http::receive(&mut stream).await.expect("a response"), "3");
        let last = http::receive(&mut stream).await.expect("a response");
        refused("fourth", &last, 400, -32700, "null");
        assert_eq!(last.header("connection"), Some("close"));
    }

    async fn a_chunked_body_with_trailers_is_read(shared) {
        let text = String::from_utf8(Request::post(list(1)).in_chunks(7).bytes()).expect("text");
        let text = text.replace("0\r\n\r\n", "0\r\nx-checksum: 1\r\n\r\n");
        let response = http::exchange(shared.gateway.address, text.as_bytes()).await.expect("a response");
        answered("trailers", &response, "1");
        let call = rpc(2, "tools/call", &json!({"name": "puppet_echo", "arguments": {}}));
        let client = shared.gateway.client().await;
        let text = String::from_utf8(client.request(call).in_chunks(7).bytes()).expect("text");
        let text = text.replace("0\r\n\r\n", "0\r\nx-checksum: 1\r\n\r\n");
        let response = http::exchange(shared.gateway.address, text.as_bytes()).await.expect("a response");
        answered("a call with trailers", &response, "2");
    }

    async fn curl_may_ask_before_it_sends_and_speak_http_2(shared) {
        let folder = tempfile::tempdir().expect("a folder");
        let body = folder.path().join("body");
        std::fs::write(&body, rpc(1, "tools/list", &json!({"x": "y".repeat((4 << 20) - 100)}))).expect("written");
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let mut command = tokio::process::Command::new("curl");
            command.args(["-s", version, "-H", "content-type: application/json", "-H", "expect: 100-continue"]);
            command.args(["--data-binary", &format!("@{}", body.display()), &shared.gateway.url()]);
            let output = command.output().await.expect("curl runs");
            let text = String::from_utf8(output.stdout).expect("text");
            assert!(text.starts_with(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":"#), "{version}: {text}");
        }
    }
}

/// A response whose events come one after the other.
fn two_events(gate: watch::Receiver<bool>) -> Act {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let note = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";
    let result = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let rest = format!("{}0\r\n\r\n", chunk(result));
    Act::SayThen(
        format!("{head}{}", chunk(note)).into_bytes(),
        gate,
        Box::new(Act::Say(rest.into_bytes())),
    )
}

/// The first event arrives while the second is held back.
async fn streams(to: SocketAddr, puppet: &Puppet, request: &Request) {
    let (gate, closed) = watch::channel(false);
    puppet.play_for("tools/call", two_events(closed));
    let mut stream = BufReader::new(TcpStream::connect(to).await.expect("connected"));
    stream.write_all(&request.bytes()).await.expect("sent");
    let mut line = String::new();
    let first = async {
        while !line.contains("notifications/message") {
            line.clear();
            assert_ne!(
                stream.read_line(&mut line).await.expect("readable"),
                0,
                "it ended too early"
            );
        }
    };
    tokio::time::timeout(PATIENCE, first)
        .await
        .expect("the first event does not wait for the second");
    gate.send(true).expect("the puppet waits");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("the end");
    assert!(rest.contains(r#""result""#), "{rest}");
}

async fn one() -> (Puppet, Gateway) {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    (puppet, gateway)
}

#[tokio::test]
async fn events_of_a_call_arrive_as_they_are_sent() {
    let (puppet, gateway) = one().await;
    let call = rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    let client = gateway.client().await;
    streams(gateway.address, &puppet, &client.request(&call)).await;
    streams(gateway.address, &puppet, &Request::post(&call)).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_call_without_session_leaves_nothing_behind() {
    let (puppet, gateway) = one().await;
    let before = puppet.sessions();
    puppet.play_for("tools/call", Act::Hang);
    let call = Request::post(rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}))).bytes();
    let mut stream = TcpStream::connect(gateway.address).await.expect("connected");
    stream.write_all(&call).await.expect("sent");
    puppet
        .until("the call runs", |seen| {
            seen.iter().any(|seen| seen.method == "tools/call")
        })
        .await;
    let call = puppet.posted("tools/call").remove(0);
    drop(stream);
    puppet
        .until("its session is ended", |seen| {
            seen.iter()
                .any(|seen| seen.verb == "DELETE" && seen.header("mcp-session-id") == call.header("mcp-session-id"))
        })
        .await;
    assert_eq!(puppet.sessions(), before);
}

#[tokio::test]
async fn a_session_works_over_any_connection() {
    let shared = shared(Wiring::FullDuplex).await;
    let client = shared.gateway.client().await;
    let texts = futures_util::future::join_all((0..20).map(async |_| client.text_of("puppet_echo", &json!({})).await));
    assert!(texts.await.iter().all(|text| text == "echo"));
}
