//! Bodies too large, too slow, too many.

use crate::e2e::harness::check::{answered, counted, refused};
use crate::e2e::harness::client::{Request, rpc};
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::http;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::harness::shared::on_both_wirings;
use serde_json::json;
use std::net::SocketAddr;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const LIMIT: usize = 4 << 20;

/// A list request of exactly so many bytes.
fn sized(bytes: usize) -> String {
    let empty = rpc(1, "tools/list", &json!({"x": ""})).len();
    rpc(1, "tools/list", &json!({"x": "y".repeat(bytes - empty)}))
}

/// Sends the beginning of a request and keeps the connection open.
async fn begin(to: SocketAddr, beginning: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.expect("connected");
    // A refusal may come, and the connection end, before everything is written.
    let _refused = stream.write_all(beginning).await;
    stream
}

async fn response(stream: TcpStream) -> http::Response {
    let mut reader = BufReader::new(stream);
    let response = tokio::time::timeout(crate::e2e::harness::PATIENCE, http::receive(&mut reader)).await;
    response.expect("in time").expect("a response")
}

on_both_wirings! {
    async fn a_body_of_the_limit_passes_and_one_byte_more_does_not(shared) {
        let to = shared.gateway.address;
        answered("4 MiB", &Request::post(sized(LIMIT)).send(to).await, "1");
        refused("by length", &Request::post(sized(LIMIT + 1)).send(to).await, 413, -32600, "null");
        answered("4 MiB in chunks", &Request::post(sized(LIMIT)).in_chunks(100_000).send(to).await, "1");
        let request = Request::post(sized(LIMIT + 1)).in_chunks(100_000);
        refused("in chunks", &request.send(to).await, 413, -32600, "null");
        if shared.gateway.programs.len() == 1 {
            // Under BUFFERED the refusal is Envoy's.
            counted(&shared.gateway, "body_too_large").await;
        }
    }

    async fn an_announced_size_is_enough_to_refuse(shared) {
        let head = Request::post("").with("content-length", "99999999999").bytes();
        let head = String::from_utf8(head).expect("text").replace("content-length: 0\r\n", "");
        let stream = begin(shared.gateway.address, head.as_bytes()).await;
        refused("nothing sent yet", &response(stream).await, 413, -32600, "null");
    }

    async fn an_endless_body_is_refused_at_the_limit(shared) {
        let head = Request::post("").in_chunks(1).bytes();
        let head = head.strip_suffix(b"0\r\n\r\n").expect("an empty body ends so");
        let mut beginning = head.to_vec();
        beginning.extend_from_slice(format!("{:x}\r\n", LIMIT + 70_000).as_bytes());
        beginning.extend(std::iter::repeat_n(b' ', LIMIT + 70_000));
        let stream = begin(shared.gateway.address, &beginning).await;
        refused("no end in sight", &response(stream).await, 413, -32600, "null");
    }
}

async fn too_slow(wiring: Wiring) {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .puppet("puppet", &puppet)
        .with("limits: { receive: 300ms }")
        .start(wiring)
        .await;
    let whole = Request::post(rpc(1, "tools/list", &json!({}))).bytes();
    let stream = begin(gateway.address, &whole[..whole.len() - 5]).await;
    refused("five bytes missing", &response(stream).await, 408, -32600, "null");
    answered(
        "at once",
        &Request::post(rpc(1, "tools/list", &json!({})))
            .send(gateway.address)
            .await,
        "1",
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    too_slow(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_given_up_under_buffered() {
    too_slow(Wiring::Buffered).await;
}

/// Under BUFFERED Envoy holds the bodies; a processor that gets them whole decides at once.
#[tokio::test]
async fn all_bodies_together_have_a_limit() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new()
        .puppet("puppet", &puppet)
        .with("limits: { body: 1MiB, bodies: 1MiB }");
    let gateway = setup.up().await;
    let big = Request::post(sized(800_000)).bytes();
    let held = begin(gateway.address, &big[..big.len() - 10]).await;
    let metrics = async || gateway.ask("/metrics").await.text();
    crate::e2e::harness::eventually("the first body is held", async || {
        let metrics = metrics().await;
        let mut lines = metrics
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains("held"));
        lines.any(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()) > Some(700_000.0))
    })
    .await;
    let response_to_second = Request::post(sized(800_000)).send(gateway.address).await;
    refused("the second", &response_to_second, 503, -31014, "null");
    counted(&gateway, "bodies_full").await;
    assert!(
        response_to_second.header("retry-after").is_some(),
        "{response_to_second:?}"
    );
    let mut held = held;
    held.write_all(&big[big.len() - 10..]).await.expect("the first goes on");
    answered("the first", &response(held).await, "1");
    answered(
        "another",
        &Request::post(sized(800_000)).send(gateway.address).await,
        "1",
    );
}
