//! Which addresses may call, and whose word on an address counts.

use crate::e2e::harness::client::{Request, initialize};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::{self, Response};
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::harness::{check, eventually};
use serde_json::{Value, json};
use std::net::IpAddr;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;

/// Sends from another address of this machine.
async fn from(gateway: &Gateway, address: &str, request: &Request) -> Response {
    let address: IpAddr = address.parse().expect("an address");
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.expect("a socket");
    socket.bind((address, 0).into()).expect("an address of this machine");
    let mut stream = socket.connect(gateway.address).await.expect("Envoy listens");
    stream.write_all(&request.bytes()).await.expect("sent");
    http::receive(&mut BufReader::new(stream)).await.expect("a response")
}

fn ask() -> Request {
    initialize("2025-11-25", &json!({}))
}

fn forwarded_for(addresses: &str) -> Request {
    ask().with("x-forwarded-for", addresses)
}

async fn mk_gateway(filter: &str) -> (Gateway, Puppet) {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().with(&format!("ipFilter: {filter}\naudit: {{ file: audit.jsonl }}"));
    (setup.puppet("a", &puppet).up().await, puppet)
}

/// `client` of every audit line.
fn audited(gateway: &Gateway) -> Vec<String> {
    let text = std::fs::read_to_string(gateway.setup.folder.path().join("audit.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| line["client"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn only_addresses_that_are_allowed_and_not_denied_get_in() {
    let (gateway, _puppet) = mk_gateway("{ allow: [127.0.0.0/16], deny: [127.0.9.0/24, 127.0.0.5] }").await;
    for (address, status) in [
        ("127.0.0.1", 200),
        ("127.0.8.1", 200),
        ("127.0.9.1", 403),
        ("127.0.0.5", 403),
        ("127.0.0.6", 200),
        ("127.1.0.1", 403),
    ] {
        let response = from(&gateway, address, &ask()).await;
        assert_eq!(response.status, status, "{address}: {response:?}");
        if status == 403 {
            check::refused(address, &response, 403, -32600, "null");
        }
        // Nobody's word on an address is taken.
        for claim in ["127.0.0.1", "127.0.9.1", "10.0.0.1, 127.0.0.1"] {
            let again = from(&gateway, address, &forwarded_for(claim)).await;
            assert_eq!(again.status, status, "{address} says {claim}");
        }
    }
    let refused = from(&gateway, "127.0.9.1", &Request::post("{not JSON")).await;
    assert_eq!(refused.status, 403, "before anything is parsed");
    eventually("the audit knows the peer", async || {
        audited(&gateway).contains(&"127.0.8.1".to_owned())
    })
    .await;
    assert!(
        !audited(&gateway).iter().any(|client| client.starts_with("10.")),
        "{:?}",
        audited(&gateway)
    );
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_address_and_nobody_else_does() {
    let filter =
        "{ deny: [203.0.113.0/24, '2001:db8:bad::/48', 127.0.0.7], trustedProxies: [127.0.0.2, 127.0.3.0/24] }";
    let (gateway, _puppet) = mk_gateway(filter).await;
    for (peer, claim, status, client) in [
        ("127.0.0.2", "198.51.100.7", 200, "198.51.100.7"),
        ("127.0.0.2", "203.0.113.9", 403, ""),
        // The right-most address that is no proxy's: what stands before it is the client's own invention.
        ("127.0.0.2", "198.51.100.8, 203.0.113.9", 403, ""),
        ("127.0.0.2", "203.0.113.9, 198.51.100.9", 200, "198.51.100.9"),
        ("127.0.0.2", "203.0.113.9, 127.0.3.4", 403, ""),
        ("127.0.0.2", "198.51.100.10, 127.0.3.4", 200, "198.51.100.10"),
        ("127.0.0.2", "2001:db8::1", 200, "2001:db8::1"),
        ("127.0.0.2", "2001:db8:bad::1", 403, ""),
        // No proxy of ours.
        ("127.0.0.4", "203.0.113.9", 200, "127.0.0.4"),
        ("127.0.0.7", "198.51.100.11", 403, ""),
        ("127.0.0.7", "127.0.0.2, 127.0.0.4", 403, ""),
    ] {
        let response = from(&gateway, peer, &forwarded_for(claim)).await;
        assert_eq!(response.status, status, "{peer} says {claim}: {response:?}");
        if status == 200 {
            eventually(&format!("{peer} says {claim}: the audit knows {client}"), async || {
                audited(&gateway).contains(&client.to_owned())
            })
            .await;
        }
    }
    assert!(
        !audited(&gateway).contains(&"198.51.100.11".to_owned()),
        "{:?}",
        audited(&gateway)
    );
}

#[tokio::test]
async fn behind_a_proxy_the_headers_of_envoys_router_are_nobodys_to_set() {
    let (gateway, puppet) = mk_gateway("{ trustedProxies: [127.0.0.2] }").await;
    let client = gateway.client().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_echo","arguments":{}}}"#;
    for peer in ["127.0.0.2", "127.0.0.4"] {
        let request = client
            .request(call)
            .with("x-envoy-upstream-rq-timeout-ms", "1")
            .with("x-envoy-retry-on", "5xx")
            .with("x-envoy-original-path", "/x")
            .with("x-forwarded-for", "198.51.100.7");
        let response = from(&gateway, peer, &request).await;
        assert_eq!(response.status, 200, "{peer}: {response:?}");
        assert!(response.message().get("result").is_some(), "{peer}: {response:?}");
        let seen = puppet.posted("tools/call").pop().expect("it arrived");
        let odd = seen
            .headers
            .iter()
            .find(|(name, _)| name.starts_with("x-envoy-") || name.starts_with("x-forwarded-"));
        assert_eq!(odd, None, "the client's address is not the upstream's business");
    }
}

#[tokio::test]
async fn addresses_of_version_6_are_addresses() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6 loopback");
        return;
    }
    let puppet = Puppet::start(&["echo"]).await;
    for (filter, status) in [
        ("{ allow: ['::1'] }", 200),
        ("{ allow: ['2001:db8::/32'] }", 403),
        ("{ deny: ['::/0'] }", 403),
        ("{ allow: [0.0.0.0/0] }", 403),
    ] {
        let setup = Setup::new().with(&format!("listen: '[::1]:0'\nipFilter: {filter}"));
        let gateway = setup.puppet("a", &puppet).up().await;
        let response = from(&gateway, "::1", &ask()).await;
        assert_eq!(response.status, status, "{filter}: {response:?}");
    }
}
