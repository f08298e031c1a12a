//! A legacy client that leaves has not cancelled its call; one that cancels has. A modern upstream sees the difference at
//! its connection.

use super::open;
use crate::e2e::harness::client::{Client, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::{self, Closing};
use crate::e2e::harness::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const META: &str = r#""ttlMs":0,"cacheScope":"private","resultType":"complete""#;

/// A server of 2026-07-28 with one tool. Whoever calls it gets the head of an event stream, and the test the connection.
async fn server() -> (String, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("bound"));
    let (calls, called) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, calls.clone()));
        }
    });
    (url, called)
}

async fn serve(stream: TcpStream, calls: mpsc::UnboundedSender<TcpStream>) {
    let mut stream = BufReader::new(stream);
    while let Ok((_, headers)) = http::head(&mut stream).await {
        let mut body = Vec::new();
        if http::body(&mut stream, &headers, Closing::IsNotAwaited, &mut body)
            .await
            .is_err()
        {
            return;
        }
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, result) = match message["method"].as_str() {
            Some("tools/call") => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let mut stream = stream.into_inner();
                stream.write_all(head.as_bytes()).await.expect("sent");
                let _test_is_over = calls.send(stream);
                return;
            }
            Some("server/discover") => {
                let capabilities = r#""supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}"#;
                (200, format!(r#""result":{{{META},{capabilities}}}"#))
            }
            Some("tools/list") => {
                let tool = r#"{"name":"wait","inputSchema":{"type":"object"}}"#;
                (200, format!(r#""result":{{{META},"tools":[{tool}]}}"#))
            }
            _ => (400, r#""error":{"code":-32022,"message":"unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"x"}}"#.to_owned()),
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},{result}}}"#, message["id"]);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn called(calls: &mut mpsc::UnboundedReceiver<TcpStream>) -> TcpStream {
    let call = tokio::time::timeout(PATIENCE, calls.recv()).await;
    call.expect("called in time").expect("the server runs")
}

/// Waits for the gateway to close this connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    let _reset_or_end = ended.expect("the upstream hears of it");
}

async fn gateway(url: &str) -> Gateway {
    Setup::new().upstream_with("new", url, "prefix: ''").up().await
}

async fn cancel(client: &Client, id: u64) {
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    let response = client.request(cancelled.to_string()).send(client.address).await;
    assert_eq!(response.status, 202);
}

/// The call is over for the gateway's own exchange.
async fn recorded(gateway: &Gateway, way: &str) {
    eventually("the exchange is over", async || {
        let lines = gateway.programs[0].err();
        lines
            .lines()
            .any(|line| line.contains(r#""method":"tools/call""#) && line.contains(way))
    })
    .await;
}

#[tokio::test]
async fn a_cancel_closes_the_upstreams_stream_and_the_clients() {
    let (url, mut calls) = server().await;
    let gateway = gateway(&url).await;
    let client = gateway.client().await;
    let mut stream = open(&client, 5, &json!({"name": "wait"})).await;
    let mut upstream = called(&mut calls).await;
    cancel(&client, 5).await;
    closed(&mut upstream).await;
    assert_eq!(stream.event().await, None, "no response is sent");
    assert_eq!(stream.whole, Some(true));
}

#[tokio::test]
async fn leaving_is_no_cancel_but_a_cancel_after_it_is() {
    let (url, mut calls) = server().await;
    let gateway = gateway(&url).await;
    let client = gateway.client().await;
    let stream = open(&client, 5, &json!({"name": "wait"})).await;
    let mut upstream = called(&mut calls).await;
    drop(stream);
    recorded(&gateway, r#""way":"relay""#).await;
    let mut byte = [0];
    let still = upstream.try_read(&mut byte).map_err(|error| error.kind());
    assert_eq!(
        still,
        Err(ErrorKind::WouldBlock),
        "the connection is neither closed nor reset"
    );
    let event = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";
    upstream.write_all(event.as_bytes()).await.expect("it is read");
    cancel(&client, 5).await;
    closed(&mut upstream).await;
}

#[tokio::test]
async fn a_gateway_that_ends_waits_for_a_call_whose_client_has_left() {
    let (url, mut calls) = server().await;
    let mut gateway = gateway(&url).await;
    let client = gateway.client().await;
    let stream = open(&client, 5, &json!({"name": "wait"})).await;
    let mut upstream = called(&mut calls).await;
    drop(stream);
    recorded(&gateway, r#""way":"relay""#).await;
    gateway.program().signal("TERM");
    let early = tokio::time::timeout(Duration::from_secs(1), upstream.read_u8()).await;
    assert!(early.is_err(), "the call was cut: {early:?}");
    let answer = format!(r#"data: {{"jsonrpc":"2.0","id":1,"result":{{{META}}}}}"#);
    upstream
        .write_all(format!("{answer}\n\n").as_bytes())
        .await
        .expect("it is read");
    drop(upstream);
    let status = gateway.program().ends().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.program().output());
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_calls() {
    let (url, mut calls) = server().await;
    let gateway = gateway(&url).await;
    let client = gateway.client().await;
    let mut stream = open(&client, 5, &json!({"name": "wait"})).await;
    let mut upstream = called(&mut calls).await;
    assert_eq!(client.delete().await, 200);
    closed(&mut upstream).await;
    assert_eq!(stream.event().await, None);
}

#[tokio::test]
async fn a_call_without_an_answer_is_an_error_on_its_stream() {
    let (url, mut calls) = server().await;
    let gateway = gateway(&url).await;
    let client = gateway.client().await;
    let mut stream = open(&client, 5, &json!({"name": "wait"})).await;
    drop(called(&mut calls).await);
    let answer = stream.message().await;
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(5), &json!(-31010)),
        "{answer}"
    );
    let whole = rpc(6, "tools/call", &json!({"name": "wait"}));
    let only_json = client.request(whole).with("accept", "application/json");
    let (response, ()) = tokio::join!(only_json.send(client.address), async { drop(called(&mut calls).await) });
    assert_eq!(response.message()["error"]["data"]["upstream"], "new");
}
