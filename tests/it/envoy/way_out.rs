//! The way of a decided request through Envoy: what the upstream gets, what the client gets, who gets nowhere.

use super::harness::{Gateway, parts, post};
use super::processor;
use mcp_manifold::edge::envoy::{Address, BodyMode, Envoy};
use std::future::pending;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const UNAVAILABLE: &str = r#"{"error":{"code":-31014,"message":"gateway unavailable"},"id":"7","jsonrpc":"2.0"}"#;

/// Envoy, a processor and an upstream that answers with what it was asked.
struct Whole {
    address: SocketAddr,
    port: u16,
    _envoy: Envoy,
    _gateway: Gateway,
    _tasks: JoinSet<()>,
}

impl Whole {
    async fn start(more: &str, body: BodyMode) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = upstream.local_addr().expect("bound").port();
        let mut gateway = Gateway::new(&format!(
            "{more}\nupstreams: [ {{ name: mirror, url: 'http://localhost:{port}/mcp' }} ]"
        ));
        gateway.options.body = body;
        let mut tasks = JoinSet::new();
        tasks.spawn(mirror(upstream));
        let Address::Socket(socket) = gateway.options.processor.clone() else {
            panic!("the default is a socket");
        };
        let key = gateway.options.route_key.clone();
        let listening = processor::bind(&socket).await;
        tasks.spawn(processor::serve(listening, key, pending()));
        let envoy = gateway.start().await;
        Self {
            address: gateway.address().await,
            port,
            _envoy: envoy,
            _gateway: gateway,
            _tasks: tasks,
        }
    }

    async fn post(&self, headers: &str, body: &str) -> String {
        post(self.address, "/mcp", headers, body).await
    }
}

async fn mirror(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        while !asked.ends_with(b"!") {
            if stream.read_buf(&mut asked).await.expect("a request") == 0 {
                break;
            }
        }
        let length = asked.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nmcp-session-id: theirs\r\nset-cookie: a=b\r\n\
             access-control-allow-origin: *\r\nserver: mirror\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("answered");
        stream.write_all(&asked).await.expect("answered");
    }
}

#[tokio::test]
async fn the_upstream_sees_its_own_host_and_path_and_nothing_of_the_gateway() {
    let whole = Whole::start("", BodyMode::FullDuplex).await;
    let sent = "x-forwarded-host: evil\r\nx-forwarded-for: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\nx-mcp-other: 1\r\n\
                x-envoy-upstream-rq-timeout-ms: 1\r\ntraceparent: kept\r\n";
    let response = whole.post(sent, "to mirror !").await;
    let (status, asked) = parts(&response);
    assert_eq!(status, 200, "{response}");
    let (head, body) = asked.split_once("\r\n\r\n").expect("a request");
    assert_eq!(body, "to mirror !");
    let mut lines: Vec<&str> = head
        .lines()
        .filter(|line| !line.starts_with("x-request-id: "))
        .collect();
    lines[1..].sort_unstable();
    let host = format!("host: localhost:{}", whole.port);
    assert_eq!(
        lines,
        [
            "POST /there?query=1 HTTP/1.1",
            "content-length: 11",
            "content-type: application/json",
            &host,
            "traceparent: kept",
        ]
    );
}

#[tokio::test]
async fn the_client_sees_nothing_that_belongs_to_the_upstream_alone() {
    for more in ["", "envoy: { responsePhase: false }"] {
        let whole = Whole::start(more, BodyMode::FullDuplex).await;
        let response = whole.post("", "to mirror !").await;
        let (head, _) = response.split_once("\r\n\r\n").expect("a response");
        let names: Vec<&str> = head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
        assert!(names.contains(&"server") && names.contains(&"content-length"), "{head}");
        for name in [
            "mcp-session-id",
            "set-cookie",
            "access-control-allow-origin",
            "x-envoy-upstream-service-time",
        ] {
            assert!(!names.contains(&name), "{more}: {head}");
        }
    }
}

#[tokio::test]
async fn what_the_processor_did_not_decide_goes_nowhere() {
    let whole = Whole::start("", BodyMode::FullDuplex).await;
    let response = whole.post("", "leave !").await;
    assert_eq!(parts(&response).0, 503, "a stream that ends without a word: {response}");
    for undecided in ["lie mirror !", "to nowhere !"] {
        let response = whole.post("", undecided).await;
        let (status, body) = parts(&response);
        assert_eq!((status, body.trim_end()), (503, UNAVAILABLE), "{undecided}: {response}");
    }
}

#[tokio::test]
async fn an_answer_of_the_processor_is_left_as_it_is() {
    let whole = Whole::start("", BodyMode::FullDuplex).await;
    let response = whole.post("", "answer !").await;
    assert_eq!(parts(&response), (404, "own words"));
}

#[tokio::test]
async fn a_buffered_body_may_be_as_long_as_the_limit() {
    let whole = Whole::start("limits: { body: 64KiB }", BodyMode::Buffered).await;
    let body = |length: usize| format!("answer {}", "x".repeat(length - "answer ".len()));
    let response = whole.post("", &body(64 << 10)).await;
    assert_eq!(parts(&response), (404, "own words"));
    let response = whole.post("", &body((64 << 10) + 1)).await;
    assert_eq!(parts(&response).0, 413, "{response}");
}
