//! TLS on both sides of Envoy: one gateway with `tls` is the upstream of another.

use super::harness::{Gateway, parts, post};
use super::processor;
use mcp_manifold::edge::envoy::Address;
use std::future::pending;
use std::path::{Path, PathBuf};
use tokio::task::JoinSet;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

/// What a client gets of an HTTPS upstream at `host`, verified against `authority`.
async fn call(host: &str, authority: &str, port: u16) -> (u16, String) {
    let gateway = Gateway::new(&format!(
        "upstreams: [ {{ name: secure, url: 'https://{host}:{port}/mcp', tls: {{ ca: {{ file: {} }} }} }} ]",
        fixture(authority).display()
    ));
    let Address::Socket(socket) = &gateway.options.processor else {
        panic!("the default is a socket");
    };
    let mut tasks = JoinSet::new();
    let listening = processor::bind(socket).await;
    tasks.spawn(processor::serve(
        listening,
        gateway.options.route_key.clone(),
        pending(),
    ));
    let _envoy = gateway.start().await;
    let response = post(gateway.address().await, "/mcp", "", "to secure").await;
    let (status, body) = parts(&response);
    (status, body.to_owned())
}

#[tokio::test]
async fn an_https_upstream_is_reached_only_under_its_name_and_with_its_authority() {
    let upstream = Gateway::new(&format!(
        "tls: {{ cert: {{ file: {} }}, key: {{ file: {} }} }}\nupstreams: [ {{ name: none, url: 'http://127.0.0.1:9/' }} ]",
        fixture("server.pem").display(),
        fixture("server.key").display()
    ));
    let _upstream = upstream.start().await;
    let port = upstream.address().await.port();

    let reached = (404, "not found\n".to_owned());
    assert_eq!(
        call("localhost", "ca.pem", port).await,
        reached,
        "the other gateway has no such path"
    );
    let (status, body) = call("127.0.0.1", "ca.pem", port).await;
    assert_eq!(status, 503, "the certificate is not for this address: {body}");
    let (status, body) = call("localhost", "other-ca.pem", port).await;
    assert_eq!(status, 503, "the certificate is of another authority: {body}");
}
