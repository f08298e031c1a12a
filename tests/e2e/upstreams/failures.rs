//! Calls to an upstream that cannot answer: a JSON-RPC error with the caller's id, and soon.

use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{Client, Request, modern, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup, Wiring};
use crate::e2e::harness::http::Response;
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Which way calls go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through Envoy.
    Forward,
    /// A client that reads only JSON makes the processor call itself.
    Relay,
}

async fn one(wiring: Wiring, more: &str) -> (Puppet, Gateway, Client) {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().upstream_with("up", &puppet.url(), more);
    let gateway = setup.start(wiring).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    (puppet, gateway, client)
}

async fn call(client: &Client) -> Response {
    call_by(Way::Forward, client).await
}

async fn call_by(way: Way, client: &Client) -> Response {
    let body = rpc("the id", "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    let request = client.request(body);
    let request = match way {
        Way::Forward => request,
        Way::Relay => request.with("accept", "application/json"),
    };
    request.send(client.address).await
}

fn assert_names_upstream(message: &Value) {
    assert_eq!(message["error"]["data"]["upstream"], "up", "{message}");
    let words = message["error"]["message"].as_str().unwrap_or_default();
    assert!(
        words.contains("up") && !words.contains("127.0.0.1"),
        "no address: {words}"
    );
}

fn misbehaviours() -> Vec<(&'static str, Act)> {
    let html = [("content-type", "text/html")];
    let plain = [("content-type", "text/plain")];
    vec![
        ("closed before a word", Act::SayAndLeave(Vec::new())),
        (
            "garbage",
            Act::SayAndLeave(b"\x00\x01 this is not HTTP\r\n\r\n".to_vec()),
        ),
        (
            "half a head",
            Act::SayAndLeave(b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec()),
        ),
        ("a page", Act::reply(200, &html, b"<h1>Welcome</h1>")),
        ("a page without type", Act::reply(200, &[], b"Welcome")),
        ("nothing", Act::SayAndLeave(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())),
        ("accepted, not answered", Act::reply(202, &[], b"")),
        (
            "sent elsewhere",
            Act::reply(302, &[("location", "http://127.0.0.1:1/")], b""),
        ),
        ("an error page", Act::reply(502, &html, b"<h1>Bad gateway</h1>")),
        (
            "unauthorized",
            Act::reply(401, &[("www-authenticate", "Bearer"), plain[0]], b"no"),
        ),
        ("unauthorized in JSON", Act::text(401, r#"{"error":"invalid_token"}"#)),
        ("forbidden", Act::reply(403, &plain, b"no")),
        ("not allowed", Act::reply(405, &plain, b"no")),
        ("too many", Act::reply(429, &plain, b"slow down")),
        ("broken", Act::reply(500, &plain, b"stack trace")),
    ]
}

async fn becomes_an_error(wiring: Wiring, way: Way) {
    let (puppet, _gateway, client) = one(wiring, "").await;
    for (what, act) in misbehaviours() {
        puppet.play_for("tools/call", act);
        let response = call_by(way, &client).await;
        assert_names_upstream(&refused(what, &response, 200, -31010, r#""the id""#));
        assert_eq!(response.header("www-authenticate"), None, "{what}: not for the client");
    }
    puppet.behave();
    answered("and then it works", &call_by(way, &client).await, r#""the id""#);
    drop(puppet);
    let begun = Instant::now();
    assert_names_upstream(&refused(
        "gone",
        &call_by(way, &client).await,
        200,
        -31010,
        r#""the id""#,
    ));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "a dead upstream fails fast: {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn what_is_no_answer_becomes_an_error_that_names_the_upstream() {
    becomes_an_error(Wiring::FullDuplex, Way::Forward).await;
}

#[tokio::test]
async fn what_is_no_answer_becomes_an_error_that_names_the_upstream_under_buffered() {
    becomes_an_error(Wiring::Buffered, Way::Forward).await;
}

#[tokio::test]
async fn what_is_no_answer_becomes_an_error_when_the_processor_calls_itself() {
    becomes_an_error(Wiring::FullDuplex, Way::Relay).await;
}

async fn in_time(wiring: Wiring, way: Way) {
    let (puppet, _gateway, client) = one(wiring, "timeout: { call: 300ms }").await;
    puppet.play_for("tools/call", Act::Hang);
    let begun = Instant::now();
    assert_names_upstream(&refused(
        "hangs",
        &call_by(way, &client).await,
        200,
        -31013,
        r#""the id""#,
    ));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    puppet
        .until("the upstream is told", |seen| {
            seen.iter().any(|seen| seen.method == "notifications/cancelled")
        })
        .await;
    let notice = puppet.posted("notifications/cancelled").pop().expect("just seen");
    assert_eq!(notice.json()["params"]["requestId"], "the id");
    let hung = puppet.posted("tools/call").pop().expect("it hangs there");
    assert_eq!(notice.header("mcp-session-id"), hung.header("mcp-session-id"));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_given_up_and_told() {
    in_time(Wiring::FullDuplex, Way::Forward).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_given_up_and_told_under_buffered() {
    in_time(Wiring::Buffered, Way::Forward).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_the_processor_in_time_is_given_up_and_told() {
    in_time(Wiring::FullDuplex, Way::Relay).await;
}

#[tokio::test]
async fn a_handshake_that_fails_is_an_error_of_the_call() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .upstream_with("up", &puppet.url(), "timeout: { call: 500ms }")
        .up()
        .await;
    puppet.play_for("initialize", Act::Hang);
    let client = gateway.client().await;
    let response = call(&client).await;
    let message = response.message();
    let code = message["error"]["code"].as_i64();
    assert!(matches!(code, Some(-31010 | -31013)), "{message}");
    assert_names_upstream(&message);
    puppet.play_for("initialize", Act::reply(500, &[], b"no"));
    assert_names_upstream(&refused("refused", &call(&client).await, 200, -31010, r#""the id""#));
    puppet.behave();
    answered("healed", &call(&client).await, r#""the id""#);
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete() {
    let (puppet, _gateway, client) = one(Wiring::FullDuplex, "").await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"jsonrpc\":";
    puppet.play_for("tools/call", Act::SayAndLeave(head.as_bytes().to_vec()));
    let response = call(&client).await;
    // Either the end came after the headers had gone out, or Envoy saw it before and says so, or the processor.
    if response.whole {
        assert_eq!(response.message()["id"], "the id");
        let said = (response.status, response.message()["error"]["code"].as_i64());
        let known = [(502, Some(-31014)), (200, Some(-31010))];
        assert!(known.contains(&said), "{response:?}");
    }
}

#[tokio::test]
async fn a_call_without_a_session_to_a_dead_upstream_is_an_error_too() {
    let (puppet, gateway, _client) = one(Wiring::FullDuplex, "").await;
    drop(puppet);
    let body = rpc(5, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    let response = Request::post(body).send(gateway.address).await;
    assert_names_upstream(&refused("one-shot", &response, 200, -31010, "5"));
}

#[tokio::test]
async fn an_upstream_that_was_never_listed_is_unavailable_and_not_unknown() {
    let gateway = Setup::new().upstream("up", "http://127.0.0.1:9/mcp").up().await;
    let client = gateway.client().await;
    assert_names_upstream(&refused("legacy", &call(&client).await, 200, -31010, r#""the id""#));
    let response = modern(6, "tools/call", &json!({"name": "up_echo"}))
        .send(gateway.address)
        .await;
    assert_names_upstream(&refused("modern", &response, 200, -31010, "6"));
    let response = modern(7, "server/discover", &json!({})).send(gateway.address).await;
    answered("discover answers with every upstream down", &response, "7");
}
