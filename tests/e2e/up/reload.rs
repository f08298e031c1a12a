//! The configuration file changes while calls run.

use crate::e2e::harness::client::{Client, rpc};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::{self, Response};
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A call that waits at the puppet until its gate is opened.
struct Slow {
    gate: watch::Sender<bool>,
    call: JoinHandle<std::io::Result<Response>>,
}

impl Slow {
    async fn begin(client: &Client, puppet: &Puppet, tool: &str) -> Self {
        let (gate, closed) = watch::channel(false);
        puppet.play(move |seen| (seen.method == "tools/call").then(|| Act::Wait(closed.clone())));
        let request = client
            .request(rpc("slow", "tools/call", &json!({"name": tool, "arguments": {}})))
            .bytes();
        let address = client.address;
        let call = tokio::spawn(async move { http::exchange(address, &request).await });
        puppet
            .until("the slow call runs", |seen| {
                seen.iter().any(|seen| seen.method == "tools/call")
            })
            .await;
        puppet.behave();
        Self { gate, call }
    }

    async fn ends_well(self, what: &str) {
        assert!(!self.call.is_finished(), "{what}: it ended before its time");
        self.gate.send(true).expect("the puppet waits");
        let response = self.call.await.expect("no panic").expect("a response");
        assert!(response.whole && response.status == 200, "{what}: {response:?}");
        assert!(
            response.message()["result"]["content"].is_array(),
            "{what}: {}",
            response.text()
        );
    }
}

async fn two() -> (Puppet, Puppet, Gateway) {
    let (one, two) = (Puppet::start(&["a"]).await, Puppet::start(&["b"]).await);
    let gateway = Setup::new().puppet("one", &one).puppet("two", &two).up().await;
    (one, two, gateway)
}

async fn until_tools(client: &Client, expected: &[&str]) {
    eventually(&format!("the tools are {expected:?}"), async || {
        client.tools().await == expected
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_is_added_appears_while_a_call_runs() {
    let (one, two, mut gateway) = two().await;
    let client = gateway.client().await;
    let slow = Slow::begin(&client, &one, "one_a").await;
    let three = Puppet::start(&["c"]).await;
    let setup = gateway.setup.clone().puppet("three", &three);
    gateway.reconfigure(setup);
    until_tools(&client, &["one_a", "two_b", "three_c"]).await;
    assert_eq!(
        client.text_of("three_c", &json!({})).await,
        "c",
        "at once, through Envoy"
    );
    slow.ends_well("added").await;
    drop(two);
}

/// Tools that rotate logs, and terminals that are closed, send it unasked.
async fn outlives_a_hangup(one: Puppet, mut gateway: Gateway) {
    let client = gateway.client().await;
    let slow = Slow::begin(&client, &one, "one_a").await;
    gateway.program().signal("HUP");
    let program = &gateway.programs[0];
    eventually("it says that it reads again", async || {
        program.output().contains("Asked to read the configuration")
    })
    .await;
    slow.ends_well("hangup").await;
    until_tools(&client, &["one_a"]).await;
    gateway.program().signal("TERM");
    let status = gateway.program().ends().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.program().output());
}

#[tokio::test]
async fn a_hangup_ends_no_call() {
    let one = Puppet::start(&["a"]).await;
    let gateway = Setup::new().puppet("one", &one).up().await;
    outlives_a_hangup(one, gateway).await;
}

#[tokio::test]
async fn a_hangup_ends_no_call_of_a_processor_beside_its_envoy() {
    let one = Puppet::start(&["a"]).await;
    let gateway = Setup::new().puppet("one", &one).serve_beside(&[], &[]).await;
    outlives_a_hangup(one, gateway).await;
}

#[tokio::test]
async fn an_upstream_that_is_removed_disappears_while_its_call_runs_to_the_end() {
    let (one, two, mut gateway) = two().await;
    let client = gateway.client().await;
    let slow = Slow::begin(&client, &one, "one_a").await;
    let setup = gateway.setup.clone().without_upstreams().puppet("two", &two);
    gateway.reconfigure(setup);
    until_tools(&client, &["two_b"]).await;
    let message = client.call("one_a", &json!({})).await;
    assert_eq!(message["error"]["code"], -32602, "{message}");
    assert_eq!(client.text_of("two_b", &json!({})).await, "b");
    slow.ends_well("removed").await;
}

#[tokio::test]
async fn an_upstream_that_moves_is_called_at_its_new_place_while_an_old_call_runs() {
    let (one, two, mut gateway) = two().await;
    let client = gateway.client().await;
    assert_eq!(client.text_of("one_a", &json!({})).await, "a");
    one.forget_requests();
    let slow = Slow::begin(&client, &one, "one_a").await;
    let moved = Puppet::start(&["a", "new"]).await;
    let setup = gateway
        .setup
        .clone()
        .without_upstreams()
        .puppet("one", &moved)
        .puppet("two", &two);
    gateway.reconfigure(setup);
    until_tools(&client, &["one_a", "one_new", "two_b"]).await;
    assert_eq!(
        client.text_of("one_a", &json!({})).await,
        "a",
        "the client goes on with the same session"
    );
    assert!(!moved.posted("tools/call").is_empty(), "the new place was called");
    slow.ends_well("moved").await;
}

#[tokio::test]
async fn an_upstream_that_is_disabled_refuses_calls_and_comes_back_with_its_sessions() {
    let (one, two, mut gateway) = two().await;
    let client = gateway.client().await;
    assert_eq!(client.text_of("one_a", &json!({})).await, "a");
    let session = one.posted("tools/call")[0].header("mcp-session-id").map(str::to_owned);
    one.forget_requests();
    let slow = Slow::begin(&client, &one, "one_a").await;
    let enabled = gateway.setup.clone();
    let base = enabled.clone().without_upstreams();
    gateway.reconfigure(
        base.upstream_with("one", &one.url(), "enabled: false")
            .puppet("two", &two),
    );
    until_tools(&client, &["two_b"]).await;
    let message = client.call("one_a", &json!({})).await;
    assert!(message["error"].is_object(), "{message}");
    slow.ends_well("disabled").await;
    one.forget_requests();
    gateway.reconfigure(enabled);
    until_tools(&client, &["one_a", "two_b"]).await;
    assert_eq!(client.text_of("one_a", &json!({})).await, "a");
    let again = one.posted("tools/call")[0].header("mcp-session-id").map(str::to_owned);
    assert_eq!(again, session, "session ids are kept");
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing_and_is_named_in_the_status() {
    let (_one, _two, gateway) = two().await;
    let client = gateway.client().await;
    let file = gateway.setup.file();
    let good = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(&file, format!("{good}unknwon: 1\n")).expect("written");
    eventually("the error is shown", async || {
        gateway.status().await["configError"].is_string()
    })
    .await;
    let error = gateway.status().await["configError"].to_string();
    assert!(error.contains("unknwon"), "{error}");
    assert_eq!(client.tools().await, ["one_a", "two_b"]);
    assert_eq!(client.text_of("one_a", &json!({})).await, "a");
    std::fs::write(&file, good).expect("written");
    eventually("the error is gone", async || {
        gateway.status().await["configError"].is_null()
    })
    .await;
}

#[tokio::test]
async fn limits_follow_the_file() {
    let (_one, _two, mut gateway) = two().await;
    let client = gateway.client().await;
    let big = || client.request(rpc(1, "tools/list", &json!({"x": "y".repeat(5000)})));
    assert_eq!(big().send(gateway.address).await.status, 200);
    let setup = gateway.setup.clone().with("limits: { body: 4KiB }");
    gateway.reconfigure(setup);
    eventually("the limit is in force", async || {
        big().send(gateway.address).await.status == 413
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reloads_under_load_cost_nobody_a_call() {
    let (one, two, mut gateway) = two().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for _ in 0..10 {
        let client = gateway.client().await;
        let stop = Arc::clone(&stop);
        callers.push(tokio::spawn(async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(client.text_of("two_b", &json!({})).await, "b");
                calls += 1;
            }
            calls
        }));
    }
    let client = gateway.client().await;
    let with = gateway.setup.clone();
    let without = with.clone().without_upstreams().puppet("two", &two);
    for _ in 0..4 {
        gateway.reconfigure(without.clone());
        until_tools(&client, &["two_b"]).await;
        gateway.reconfigure(with.clone());
        until_tools(&client, &["one_a", "two_b"]).await;
        assert_eq!(client.text_of("one_a", &json!({})).await, "a");
    }
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.expect("no call failed");
    }
    println!("{calls} calls during 8 reloads");
    drop(one);
}

#[tokio::test]
async fn other_prefixes_and_another_order_show_at_once() {
    let (one, two, mut gateway) = two().await;
    let client = gateway.client().await;
    client.text_of("one_a", &json!({})).await;
    let base = gateway.setup.clone().without_upstreams();
    gateway.reconfigure(
        base.puppet("two", &two)
            .upstream_with("one", &one.url(), "prefix: new-"),
    );
    until_tools(&client, &["two_b", "new-a"]).await;
    assert_eq!(client.text_of("new-a", &json!({})).await, "a");
    assert_eq!(
        client.text_of("two_b", &json!({})).await,
        "b",
        "positions have changed, owners have not"
    );
    let sessions: Vec<_> = one
        .posted("tools/call")
        .iter()
        .map(|call| call.header("mcp-session-id").map(str::to_owned))
        .collect();
    assert_eq!(sessions[0], sessions[1], "the same upstream session");
}
