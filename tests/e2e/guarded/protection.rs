//! How much goes on at once, and upstreams that are spared: on real Envoy.

use crate::e2e::harness::check::{answered, counted, refused};
use crate::e2e::harness::client::{Client, Request, modern, rpc};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::{self, Response};
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::stream::Stream;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const LIMITED: i64 = -31012;
const UNAVAILABLE: i64 = -31010;

fn call(client: &Client, tool: &str) -> Request {
    client.request(rpc("my-id", "tools/call", &json!({"name": tool, "arguments": {}})))
}

/// Calls of `slow` wait until the gate is opened.
fn hold_slow(puppet: &Puppet) -> watch::Sender<bool> {
    let (gate, closed) = watch::channel(false);
    puppet.play(move |seen| {
        let slow = seen.method == "tools/call" && seen.json()["params"]["name"] == "slow";
        slow.then(|| Act::Wait(closed.clone()))
    });
    gate
}

fn begin(request: &Request, gateway: &Gateway) -> JoinHandle<std::io::Result<Response>> {
    let (bytes, address) = (request.bytes(), gateway.address);
    tokio::spawn(async move { http::exchange(address, &bytes).await })
}

async fn until_calls(puppet: &Puppet, count: usize) {
    puppet
        .until("the calls run", |seen| {
            seen.iter().filter(|seen| seen.method == "tools/call").count() >= count
        })
        .await;
}

#[tokio::test]
async fn a_session_has_so_many_calls_under_way_and_no_more() {
    let puppet = Puppet::start(&["slow", "quick"]).await;
    let setup = Setup::new().puppet("p", &puppet).with("limits: { callsPerSession: 2 }");
    let gateway = setup.up().await;
    let (ann, bob) = (gateway.client().await, gateway.client().await);
    let gate = hold_slow(&puppet);
    let running = [
        begin(&call(&ann, "p_slow"), &gateway),
        begin(&call(&ann, "p_slow"), &gateway),
    ];
    until_calls(&puppet, 2).await;
    let third = call(&ann, "p_quick").send(gateway.address).await;
    refused("the third", &third, 429, LIMITED, "\"my-id\"");
    assert!(third.header("retry-after").is_some());
    answered(
        "another session",
        &call(&bob, "p_quick").send(gateway.address).await,
        "\"my-id\"",
    );
    assert_eq!(ann.tools().await, ["p_slow", "p_quick"], "lists are no calls");
    gate.send(true).expect("the puppet waits");
    for call in running {
        answered(
            "it ran",
            &call.await.expect("no panic").expect("a response"),
            "\"my-id\"",
        );
    }
    eventually("the places are free again", async || {
        call(&ann, "p_quick").send(gateway.address).await.status == 200
    })
    .await;
    counted(&gateway, "calls_per_session").await;
}

#[tokio::test]
async fn the_place_of_a_client_that_has_left_is_free_again() {
    let puppet = Puppet::start(&["slow", "quick"]).await;
    let setup = Setup::new().puppet("p", &puppet).with("limits: { callsPerSession: 1 }");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    let _gate = hold_slow(&puppet);
    let left = begin(&call(&client, "p_slow"), &gateway);
    until_calls(&puppet, 1).await;
    let second = call(&client, "p_quick").send(gateway.address).await;
    refused("it runs", &second, 429, LIMITED, "\"my-id\"");
    left.abort();
    let _gone = left.await;
    eventually("it was cut", async || {
        call(&client, "p_quick").send(gateway.address).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_principal_has_so_many_calls_and_streams_in_all_sessions_together() {
    let puppet = Puppet::start(&["slow", "quick"]).await;
    let setup = Setup::new().puppet("p", &puppet).with(
        "limits: { callsPerPrincipal: 1, streamsPerPrincipal: 1 }\n\
         authentication: { required: false, apiKeys: { header: x-api-key, file: keys.yaml } }",
    );
    let digest: String = Sha256::digest(b"ann's key")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let keys = setup.folder.path().join("keys.yaml");
    std::fs::write(keys, format!("- {{ name: ann, sha256: {digest} }}\n")).expect("written");
    let gateway = setup.up().await;
    let ask = |id: u32, tool: &str| {
        modern(id, "tools/call", &json!({"name": tool, "arguments": {}})).with("x-api-key", "ann's key")
    };
    let gate = hold_slow(&puppet);
    let running = begin(&ask(1, "p_slow"), &gateway);
    until_calls(&puppet, 1).await;
    refused(
        "the second",
        &ask(2, "p_quick").send(gateway.address).await,
        429,
        LIMITED,
        "2",
    );
    let nobody = ask(3, "p_quick").without("x-api-key").send(gateway.address).await;
    answered("the anonymous are not one principal", &nobody, "3");
    let listen = |id: u32| {
        modern(
            id,
            "subscriptions/listen",
            &json!({"notifications": {"toolsListChanged": true}}),
        )
        .with("x-api-key", "ann's key")
    };
    let stream = Stream::open(gateway.address, &listen(4)).await;
    assert_eq!(stream.status, 200, "a stream is no call");
    refused(
        "the second stream",
        &listen(5).send(gateway.address).await,
        503,
        -31014,
        "5",
    );
    drop(stream);
    eventually("the stream's place is free again", async || {
        Stream::open(gateway.address, &listen(6)).await.status == 200
    })
    .await;
    for reason in ["calls_per_principal", "streams_per_principal"] {
        counted(&gateway, reason).await;
    }
    gate.send(true).expect("the puppet waits");
    answered("it ran", &running.await.expect("no panic").expect("a response"), "1");
}

#[tokio::test]
async fn request_headers_have_a_limit() {
    let puppet = Puppet::start(&["quick"]).await;
    let gateway = Setup::new()
        .puppet("p", &puppet)
        .with("limits: { headers: 4KiB }")
        .up()
        .await;
    let ping = Request::post(rpc(1, "ping", &json!({})));
    answered(
        "usual ones",
        &ping
            .clone()
            .with("x-long", &"a".repeat(2000))
            .send(gateway.address)
            .await,
        "1",
    );
    let long = ping.with("x-long", &"a".repeat(5000)).send(gateway.address).await;
    refused("too long", &long, 431, -32600, "null");
}

/// A 5xx to every call.
fn break_calls(puppet: &Puppet) {
    puppet.play(|seen| (seen.method == "tools/call").then(|| seen.error(500, -32603, "broken")));
}

#[tokio::test]
async fn an_upstream_that_answers_5xx_is_left_alone_for_a_while() {
    let puppet = Puppet::start(&["echo"]).await;
    let outlier = "outlierDetection: { consecutive5xx: 3, interval: 200ms, ejection: 1s }, via: envoy";
    let gateway = Setup::new().upstream_with("p", &puppet.url(), outlier).up().await;
    let client = gateway.client().await;
    answered(
        "while it is well",
        &call(&client, "p_echo").send(gateway.address).await,
        "\"my-id\"",
    );
    break_calls(&puppet);
    eventually("it is out", async || {
        call(&client, "p_echo").send(gateway.address).await.status == 200
    })
    .await;
    let (before, begun) = (puppet.seen().len(), Instant::now());
    let response = call(&client, "p_echo").send(gateway.address).await;
    refused("fails at once", &response, 200, UNAVAILABLE, "\"my-id\"");
    assert!(begun.elapsed() < Duration::from_secs(1));
    let calls = puppet.seen()[before..]
        .iter()
        .filter(|seen| seen.method == "tools/call")
        .count();
    assert_eq!(calls, 0, "it heard nothing of it");
    puppet.behave();
    eventually("it is back", async || {
        let response = call(&client, "p_echo").send(gateway.address).await;
        response.message()["result"]["content"].is_array()
    })
    .await;
}

async fn beyond_its_requests_calls_fail_at_once(via: &str) {
    let puppet = Puppet::start(&["slow", "quick"]).await;
    let more = format!("circuitBreaker: {{ requests: 2 }}, via: {via}");
    let gateway = Setup::new().upstream_with("p", &puppet.url(), &more).up().await;
    let client = gateway.client().await;
    answered(
        "one",
        &call(&client, "p_quick").send(gateway.address).await,
        "\"my-id\"",
    );
    let gate = hold_slow(&puppet);
    let running = [
        begin(&call(&client, "p_slow"), &gateway),
        begin(&call(&client, "p_slow"), &gateway),
    ];
    until_calls(&puppet, 3).await;
    let begun = Instant::now();
    let third = call(&client, "p_quick").send(gateway.address).await;
    refused("the third", &third, 200, UNAVAILABLE, "\"my-id\"");
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits");
    gate.send(true).expect("the puppet waits");
    for call in running {
        answered(
            "it ran",
            &call.await.expect("no panic").expect("a response"),
            "\"my-id\"",
        );
    }
    eventually("there is room again", async || {
        let response = call(&client, "p_quick").send(gateway.address).await;
        response.message()["result"]["content"].is_array()
    })
    .await;
}

#[tokio::test]
async fn beyond_its_requests_calls_fail_at_once_through_envoy() {
    beyond_its_requests_calls_fail_at_once("envoy").await;
}

#[tokio::test]
async fn beyond_its_requests_calls_fail_at_once_when_the_processor_calls() {
    beyond_its_requests_calls_fail_at_once("direct").await;
}
