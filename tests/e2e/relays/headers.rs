//! Heads in both directions, byte for byte.

use super::{Both, WAYS, both, call};
use crate::e2e::harness::client::modern;
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::http::Response;
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::{Act, Seen};
use crate::e2e::tools;
use serde_json::json;
use std::process::Command;

type Header = (String, String);

/// What the server saw and what the client got, one way.
async fn pass(both: &Both, way: &str) -> (Vec<Header>, Response) {
    both.puppet.forget_requests();
    let request = both
        .client
        .request(call(way))
        .with("authorization", "Bearer of-the-client")
        .with("cookie", "a=b")
        .with("origin", "http://localhost:3000")
        .with("accept-encoding", "gzip")
        .with("accept-language", "en")
        .with("x-mcp-anything", "1")
        .with("x-forwarded-for", "10.0.0.1")
        .with("forwarded", "for=10.0.0.1")
        .with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .and("x-own", "kept")
        .and("x-own", "twice")
        .and("x-team", "of the client");
    let response = request.send(both.gateway.address).await;
    let seen = both.puppet.posted("tools/call").pop().expect("the server saw the call");
    (sorted(seen), response)
}

/// What is told anew for each request is left out, and each way has an upstream session of its own.
fn sorted(seen: Seen) -> Vec<Header> {
    let anew = ["x-request-id", "mcp-session-id"];
    let mut headers: Vec<Header> = seen
        .headers
        .into_iter()
        .filter(|(name, _)| !anew.contains(&name.as_str()))
        .collect();
    headers.sort();
    headers
}

async fn heads_are_equal(wiring: Wiring) {
    let both = both(wiring, "headers: { x-team: tools }").await;
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("date", "Sat, 21 Nov 2026 12:00:00 GMT"),
        ("server", "scripted"),
        ("cache-control", "no-store"),
        ("link", "<a>"),
        ("link", "<b>"),
        ("x-own", "kept"),
        ("mcp-session-id", "leak"),
        ("set-cookie", "a=b"),
        ("alt-svc", "clear"),
        ("access-control-allow-origin", "*"),
        ("keep-alive", "timeout=5"),
    ];
    let body = br#"{"jsonrpc":"2.0", "id":1,"result":{}}"#;
    both.puppet.play_for("tools/call", Act::reply(200, &headers, body));
    let [(forwarded, forward), (relayed, relay)] = [pass(&both, "envoy").await, pass(&both, "direct").await];
    assert_eq!(forwarded, relayed, "the server hears the same");
    let team: Vec<_> = relayed.iter().filter(|(name, _)| name == "x-team").collect();
    assert_eq!(team, [&("x-team".to_owned(), "tools".to_owned())]);
    assert_eq!((forward.status, &forward.body), (relay.status, &relay.body));
    let own = |response: Response| {
        let mut headers = response.headers;
        headers.sort();
        headers
    };
    assert_eq!(own(forward), own(relay), "the client hears the same");
}

#[tokio::test]
async fn heads_are_equal_whoever_makes_the_call() {
    heads_are_equal(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn heads_are_equal_whoever_makes_the_call_under_buffered() {
    heads_are_equal(Wiring::Buffered).await;
}

#[tokio::test]
async fn statuses_are_judged_alike() {
    let both = both(Wiring::FullDuplex, "").await;
    let json = ("content-type", "application/json");
    let message = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}"#;
    for (what, act) in [
        ("500 of JSON", Act::reply(500, &[json], message)),
        ("400 of JSON", Act::reply(400, &[json], message)),
        ("404", Act::reply(404, &[json], message)),
        ("401", Act::reply(401, &[("www-authenticate", "Bearer")], b"")),
        (
            "an error page",
            Act::reply(502, &[("content-type", "text/html")], b"<html>"),
        ),
        ("202", Act::reply(202, &[], b"")),
        ("no body", Act::reply(200, &[json], b"")),
        (
            "elsewhere",
            Act::reply(302, &[("location", "http://127.0.0.1:1/")], b""),
        ),
    ] {
        both.puppet.play_for("tools/call", act);
        let mut told = Vec::new();
        for way in WAYS {
            let response = both.client.request(call(way)).send(both.gateway.address).await;
            told.push((response.status, response.text().replace(way, "way")));
        }
        assert_eq!(told[0], told[1], "{what}");
    }
}

#[tokio::test]
async fn the_modern_era_has_its_headers_either_way() {
    let mut fixture = Program::start(&mut Command::new(tools::example("upstream")));
    let url = fixture.says("listening ").await;
    let setup = WAYS.iter().fold(Setup::new(), |setup, way| {
        setup.upstream_with(way, &url, &format!("via: {way}"))
    });
    let gateway = setup.up().await;
    let mut told = Vec::new();
    for way in WAYS {
        let params = json!({"name": format!("{way}_headers"), "arguments": {"region": "eu"}});
        let request = modern(1, "tools/call", &params)
            .with("mcp-param-region", "eu")
            .with("mcp-param-unknown", "1");
        let response = request.send(gateway.address).await;
        assert_eq!(response.status, 200, "{response:?}");
        let mut headers = response.message()["result"]["structuredContent"].clone();
        headers.as_object_mut().expect("headers").remove("x-request-id");
        told.push(headers);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(
        (&told[1]["mcp-name"], &told[1]["mcp-param-unknown"]),
        (&json!("headers"), &json!("1"))
    );
}
