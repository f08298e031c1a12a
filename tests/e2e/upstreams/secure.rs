//! HTTPS: a gateway that serves TLS is the upstream of another one that knows its authority.

use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::tools;
use serde_json::json;

fn certificate(name: &str) -> String {
    tools::source(&format!("tests/fixtures/tls/{name}"))
        .display()
        .to_string()
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
