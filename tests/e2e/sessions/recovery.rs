//! An upstream that has forgotten a session: opened again, the call replayed once, the client none the wiser.

use crate::e2e::harness::check::answered;
use crate::e2e::harness::client::rpc;
use crate::e2e::harness::gateway::{Gateway, Setup, Wiring};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::process::free_port;
use crate::e2e::tools;
use serde_json::json;
use std::process::Command;

async fn one(wiring: Wiring) -> (Puppet, Gateway) {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).start(wiring).await;
    (puppet, gateway)
}

async fn lost_with(status: u16, wiring: Wiring) {
    let (puppet, gateway) = one(wiring).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    puppet.lose_sessions(status);
    puppet.forget_requests();
    let body = rpc(
        "again",
        "tools/call",
        &json!({"name": "up_echo", "arguments": {"n": 1}}),
    );
    let response = client.request(body).send(gateway.address).await;
    let message = answered("after the loss", &response, r#""again""#);
    assert_eq!(message["result"]["content"][0]["text"], "echo");
    assert_eq!(response.header("mcp-session-id"), None, "{response:?}");
    let calls = puppet.posted("tools/call");
    assert_eq!(calls.len(), 2, "once in vain, once replayed");
    assert_eq!(calls[0].body, calls[1].body, "the very same call");
    client.text_of("up_echo", &json!({})).await;
    assert_eq!(
        puppet.posted("tools/call").len(),
        3,
        "the next one goes straight through"
    );
}

#[tokio::test]
async fn a_session_lost_with_404_is_recovered_unseen() {
    lost_with(404, Wiring::FullDuplex).await;
}

#[tokio::test]
async fn a_session_lost_with_400_is_recovered_unseen() {
    lost_with(400, Wiring::FullDuplex).await;
}

#[tokio::test]
async fn a_session_lost_with_404_is_recovered_unseen_under_buffered() {
    lost_with(404, Wiring::Buffered).await;
}

#[tokio::test]
async fn a_400_of_a_living_session_passes_and_is_not_replayed() {
    let (puppet, gateway) = one(Wiring::FullDuplex).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    puppet.forget_requests();
    puppet.play(|seen| (seen.method == "tools/call").then(|| seen.error(400, -32602, "I do not like it")));
    let response = client
        .ask("tools/call", &json!({"name": "up_echo", "arguments": {}}))
        .await;
    assert_eq!(response.status, 400, "{response:?}");
    assert_eq!(response.message()["error"]["message"], "I do not like it");
    assert_eq!(puppet.posted("tools/call").len(), 1);
}

#[tokio::test]
async fn a_404_of_a_living_session_never_reaches_the_client() {
    let (puppet, gateway) = one(Wiring::FullDuplex).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    puppet.play_for(
        "tools/call",
        Act::reply(404, &[("content-type", "text/html")], b"<h1>not here</h1>"),
    );
    let message = client.call("up_echo", &json!({})).await;
    assert_eq!(message["error"]["code"], -31010, "{message}");
    assert_eq!(message["error"]["data"]["upstream"], "up");
}

#[tokio::test]
async fn a_restarted_upstream_goes_on_for_its_clients() {
    let port = free_port().to_string();
    let mut fixture = Program::start(Command::new(tools::example("upstream")).args(["--port", &port]));
    let url = fixture.says("listening ").await;
    let gateway = Setup::new().upstream("up", &url).up().await;
    let client = gateway.client().await;
    assert_eq!(client.text_of("up_greet", &json!({"name": "Ada"})).await, "Hello, Ada!");
    drop(fixture);
    let mut fixture = Program::start(Command::new(tools::example("upstream")).args(["--port", &port]));
    fixture.says("listening ").await;
    assert_eq!(client.text_of("up_greet", &json!({"name": "Bob"})).await, "Hello, Bob!");
}

#[tokio::test]
async fn twenty_calls_that_lose_one_session_share_one_new_one() {
    let (puppet, gateway) = one(Wiring::FullDuplex).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    puppet.lose_sessions(404);
    puppet.forget_requests();
    let calls = (0..20).map(async |number| client.text_of("up_echo", &json!({"number": number})).await);
    let texts = futures_util::future::join_all(calls).await;
    assert!(texts.iter().all(|text| text == "echo"));
    let opened = puppet.posted("initialize");
    // The gateway's own session for lists is lost as well, and may be found out meanwhile.
    let for_client = opened
        .iter()
        .filter(|seen| seen.text().contains(r#""name":"test""#))
        .count();
    assert_eq!(for_client, 1, "{opened:?}");
}

#[tokio::test]
async fn what_is_not_kept_for_a_replay_is_an_error_and_the_next_call_recovers() {
    let puppet = Puppet::start(&["echo"]).await;
    // A call that the processor makes is always kept until its response headers, within `limits.bodies`.
    let gateway = Setup::new()
        .upstream_with("up", &puppet.url(), "via: envoy")
        .with("limits: { replay: 1KiB }")
        .up()
        .await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    puppet.lose_sessions(404);
    let message = client.call("up_echo", &json!({"x": "y".repeat(10_000)})).await;
    assert_eq!(message["error"]["code"], -31010, "{message}");
    assert_eq!(client.text_of("up_echo", &json!({})).await, "echo");
}

#[tokio::test]
async fn a_session_lost_for_good_is_an_error_of_the_call_and_never_404() {
    let (puppet, gateway) = one(Wiring::FullDuplex).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    puppet.lose_sessions(404);
    puppet.play_for("initialize", Act::reply(503, &[], b"no more"));
    let message = client.call("up_echo", &json!({})).await;
    assert_eq!(message["error"]["code"], -31010, "{message}");
    puppet.behave();
    assert_eq!(client.text_of("up_echo", &json!({})).await, "echo");
}
