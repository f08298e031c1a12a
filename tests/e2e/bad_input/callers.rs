//! Who may not come in: foreign Host and Origin, dead and forged sessions, versions nobody speaks.

use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{Request, initialize, modern, rpc};
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::shared::{on_both_wirings, shared};
use crate::e2e::harness::{eventually, puppet::Puppet};
use serde_json::json;

fn list() -> String {
    rpc(1, "tools/list", &json!({}))
}

on_both_wirings! {
    async fn a_foreign_host_is_refused(shared) {
        for host in ["evil.example", "evil.example:8001", "127.0.0.1.evil.example", "mcp.example.com.evil.example"] {
            let response = Request::post(list()).with("host", host).send(shared.gateway.address).await;
            refused(host, &response, 403, -32600, "null");
        }
        for host in ["127.0.0.1", "localhost:1234", "mcp.example.com", "MCP.example.com:443", "[::1]:80"] {
            let response = Request::post(list()).with("host", host).send(shared.gateway.address).await;
            answered(host, &response, "1");
        }
    }

    async fn a_foreign_origin_is_refused(shared) {
        for origin in ["https://evil.example", "null", "http://app.example.com", "http://localhost.evil.example"] {
            let response = Request::post(list()).with("origin", origin).send(shared.gateway.address).await;
            refused(origin, &response, 403, -32600, "null");
        }
        for origin in ["https://app.example.com", "http://localhost:5173", "http://127.0.0.1"] {
            let response = Request::post(list()).with("origin", origin).send(shared.gateway.address).await;
            answered(origin, &response, "1");
        }
    }

    async fn a_session_id_that_is_not_ours_is_not_found(shared) {
        let client = shared.gateway.client().await;
        let mut altered = client.session.clone().into_bytes();
        let last = altered.last_mut().expect("an id is not empty");
        *last = if *last == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).expect("still text");
        let marked = client.session.replacen("mp1.", "mi1.", 1);
        let long = "x".repeat(4000);
        for id in ["x", "puppet-1", "mp1.", altered.as_str(), marked.as_str(), long.as_str()] {
            let response = Request::post(list()).session(id).send(shared.gateway.address).await;
            refused(id, &response, 404, -32001, "1");
            let call = rpc(2, "tools/call", &json!({"name": "puppet_echo"}));
            let response = Request::post(call).session(id).send(shared.gateway.address).await;
            refused(id, &response, 404, -32001, "2");
        }
    }

    async fn an_ended_session_is_not_found(shared) {
        let client = shared.gateway.client().await;
        assert!(!client.tools().await.is_empty());
        let ended = client.delete().await;
        assert!((200..300).contains(&ended), "DELETE answers {ended}");
        refused("after DELETE", &client.ask("tools/list", &json!({})).await, 404, -32001, "2");
        assert_eq!(client.delete().await, 404, "a second DELETE");
    }

    async fn delete_needs_a_session_and_knows_only_its_own(shared) {
        let response = Request::bare("DELETE").send(shared.gateway.address).await;
        refused("without id", &response, 400, -32600, "null");
        let response = Request::bare("DELETE").session("nobody").send(shared.gateway.address).await;
        refused("unknown", &response, 404, -32001, "null");
    }

    async fn other_methods_are_not_allowed(shared) {
        let modern = Request::bare("DELETE").with("mcp-protocol-version", "2026-07-28");
        let requests = [
            Request::bare("PUT"),
            Request::bare("GET").with("accept", "text/event-stream"),
            Request::bare("GET").with("accept", "text/event-stream").with("mcp-protocol-version", "2026-07-28"),
            Request::bare("OPTIONS"),
            modern,
        ];
        for request in requests {
            let response = request.send(shared.gateway.address).await;
            assert_eq!(response.status, 405, "{request:?}: {response:?}");
            let allow = response.header("allow").unwrap_or_default();
            assert!(allow.contains("POST"), "{request:?}: {response:?}");
        }
    }

    async fn a_legacy_version_that_nobody_speaks_is_refused(shared) {
        let client = shared.gateway.client().await;
        for version in ["1999-01-01", "2025-03-27", "latest", "2"] {
            let request = client.request(list()).with("mcp-protocol-version", version);
            refused(version, &request.send(shared.gateway.address).await, 400, -32600, "1");
        }
        for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let request = client.request(list()).with("mcp-protocol-version", version);
            answered(version, &request.send(shared.gateway.address).await, "1");
        }
    }

    async fn a_modern_version_that_nobody_speaks_is_named_with_those_we_do(shared) {
        let body = modern(1, "tools/list", &json!({}));
        let body = String::from_utf8(body.bytes()).expect("text");
        let body = body.split("\r\n\r\n").nth(1).expect("a body").replace("2026-07-28", "2031-01-01");
        let request = Request::post(&body).with("mcp-protocol-version", "2031-01-01").with("mcp-method", "tools/list");
        let message = refused("2031", &request.send(shared.gateway.address).await, 400, -32022, "1");
        let data = &message["error"]["data"];
        assert_eq!(data["requested"], "2031-01-01");
        let supported = data["supported"].as_array().expect("a list");
        assert!(supported.contains(&json!("2026-07-28")), "{data}");
    }

    async fn every_legacy_version_is_negotiated(shared) {
        for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let response = initialize(version, &json!({})).send(shared.gateway.address).await;
            assert_eq!(answered(version, &response, "0")["result"]["protocolVersion"], version);
        }
        for version in ["1999-01-01", "2026-07-28", "x"] {
            let response = initialize(version, &json!({})).send(shared.gateway.address).await;
            assert_eq!(answered(version, &response, "0")["result"]["protocolVersion"], "2025-11-25", "asked {version}");
        }
    }
}

#[tokio::test]
async fn a_session_of_another_gateway_is_not_found() {
    let (one, other) = (shared(Wiring::FullDuplex).await, shared(Wiring::Buffered).await);
    let client = one.gateway.client().await.moved_to(other.gateway.address);
    refused(
        "other key",
        &client.ask("tools/list", &json!({})).await,
        404,
        -32001,
        "1",
    );
}

#[tokio::test]
async fn an_expired_session_is_not_found() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().puppet("puppet", &puppet).with("session: { lifetime: 1s }");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    eventually("the session expires", async || {
        client.ask("ping", &json!({})).await.status == 404
    })
    .await;
    let response = client.request(list()).send(gateway.address).await;
    refused("expired", &response, 404, -32001, "1");
}
