//! Streams that clients hold open, through real Envoy and before real upstreams.

mod news;
mod resuming;
mod room;
mod sessions;
mod slow;
mod subscriptions;
mod wirings;

use super::harness::client::{Client, Request, modern};
use super::harness::gateway::Gateway;
use super::harness::http;
use super::harness::program::Program;
use super::harness::stream::Stream;
use super::tools;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

/// Our fixture on a port of its own.
async fn fixture(arguments: &[&str]) -> (Program, String) {
    let mut command = Command::new(tools::example("upstream"));
    command.args(arguments);
    let mut program = Program::start(&mut command);
    let url = program.says("listening ").await;
    (program, url)
}

/// Open file descriptors of the gateway.
fn open_files(gateway: u32) -> usize {
    let folder = format!("/proc/{gateway}/fd");
    std::fs::read_dir(folder).expect("it runs").count()
}

/// The session's GET.
fn get(client: &Client) -> Request {
    Request::bare("GET")
        .with("accept", "text/event-stream")
        .session(&client.session)
        .with("mcp-protocol-version", "2025-11-25")
}

/// Opens it.
async fn listen(client: &Client) -> Stream {
    let stream = Stream::open(client.address, &get(client)).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    stream
}

/// A modern listen, acknowledged.
async fn listen_modern(gateway: &Gateway, id: impl Into<Value>, filter: &Value) -> (Stream, Value) {
    let request = modern(id, "subscriptions/listen", &json!({"notifications": filter}));
    let mut stream = Stream::open(gateway.address, &request).await;
    assert_eq!(stream.status, 200);
    let first = stream.message().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    (stream, first["params"].clone())
}

/// A request to the fixture's `/control`.
async fn control(url: &str, verb: &str, path: &str) {
    let (address, _) = url.trim_start_matches("http://").split_once('/').expect("a path");
    let address: SocketAddr = address.parse().expect("an address");
    let request = format!("{verb} /control/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let response = http::exchange(address, request.as_bytes()).await.expect("a response");
    assert!(response.status < 300, "{response:?}");
}
