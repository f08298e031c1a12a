//! Audit lines: what a call was made with, and whether its tool failed.

use crate::e2e::harness::client::Client;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A body with these raw arguments.
fn mk_call(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"arguments": {arguments} ,"name":"{tool}"}}}}"#
    )
}

async fn call(gateway: &Gateway, client: &Client, tool: &str, arguments: &str) {
    let response = client.request(mk_call(tool, arguments)).send(gateway.address).await;
    assert_eq!(response.status, 200, "{response:?}");
}

fn lines(gateway: &Gateway) -> Vec<Value> {
    let text = std::fs::read_to_string(gateway.setup.folder.path().join("audit.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["method"] == "tools/call").collect()
}

/// The line of the only call.
async fn line_of_call(gateway: &Gateway) -> Value {
    eventually("the call has its line", async || !lines(gateway).is_empty()).await;
    lines(gateway).remove(0)
}

fn mk_setup(puppet: &Puppet, via: &str, arguments: &str) -> Setup {
    Setup::new()
        .upstream_with("puppet", &puppet.url(), &format!("via: {via}"))
        .with(&format!("audit: {{ file: audit.jsonl{arguments} }}"))
}

fn mk_result(failed: bool) -> Value {
    json!({"content": [{"type": "text", "text": "isError"}], "isError": failed})
}

#[tokio::test]
async fn a_hash_is_that_of_the_bytes_that_the_upstream_gets() {
    let puppet = Puppet::start(&["echo"]).await;
    for via in ["envoy", "direct"] {
        puppet.forget_requests();
        let gateway = mk_setup(&puppet, via, ", arguments: hash").up().await;
        let client = gateway.client().await;
        let arguments = "{\"b\" :\t1.50, \"a\":\n\"\\u00e9\"}";
        call(&gateway, &client, "puppet_echo", arguments).await;
        let line = line_of_call(&gateway).await;
        let seen = puppet.posted("tools/call").remove(0).text();
        assert!(seen.contains(arguments), "{seen}");
        let hash: String = Sha256::digest(arguments)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(line["arguments"], format!("sha256:{hash}"), "{via}");
        assert!(!line.to_string().contains("u00e9"), "{line}");
    }
}

#[tokio::test]
async fn full_arguments_are_the_bytes_themselves_up_to_a_limit() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = mk_setup(&puppet, "envoy", ", arguments: full").up().await;
    let client = gateway.client().await;
    let long = format!("{{\"text\": \"{}\"}}", "é".repeat(4000));
    for arguments in ["{\"a\":\n 1}", &long] {
        call(&gateway, &client, "puppet_echo", arguments).await;
    }
    eventually("both have lines", async || lines(&gateway).len() == 2).await;
    let lines = lines(&gateway);
    assert_eq!(lines[0]["arguments"], "{\"a\":\n 1}");
    assert_eq!(lines[0].get("argumentsCut"), None);
    let kept = lines[1]["arguments"].as_str().expect("kept");
    assert!(
        long.starts_with(kept) && (4095..=4096).contains(&kept.len()),
        "{}",
        kept.len()
    );
    assert_eq!(lines[1]["argumentsCut"], true);
}

#[tokio::test]
async fn nothing_is_said_of_arguments_where_nobody_asks() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = mk_setup(&puppet, "envoy", "").up().await;
    let client = gateway.client().await;
    call(&gateway, &client, "puppet_echo", "{\"a\":1}").await;
    let line = line_of_call(&gateway).await;
    assert_eq!(line.get("arguments"), None);
    assert_eq!(line.get("isError"), None, "its answer went through Envoy alone");
}

#[tokio::test]
async fn a_tool_that_fails_is_told_where_its_answer_passes_here() {
    for (failed, events) in [(true, false), (true, true), (false, true)] {
        let puppet = Puppet::start(&["echo"]).await;
        puppet.play(move |seen| {
            let message = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#, seen.id, mk_result(failed));
            let act = if events {
                let stream = format!("event: message\ndata: {message}\n\n");
                Act::reply(200, &[("content-type", "text/event-stream")], stream.as_bytes())
            } else {
                Act::text(200, &message)
            };
            (seen.method == "tools/call").then_some(act)
        });
        let gateway = mk_setup(&puppet, "direct", "").up().await;
        let client = gateway.client().await;
        call(&gateway, &client, "puppet_echo", "{}").await;
        let line = line_of_call(&gateway).await;
        assert_eq!(line["isError"], failed, "{line}");
        // Nor does it matter whether upstreams may ask the client.
        let asked = Client::connect_as(gateway.address, "2025-11-25", &json!({"roots": {}})).await;
        call(&gateway, &asked, "puppet_echo", "{}").await;
        eventually("the second has its line", async || lines(&gateway).len() == 2).await;
        let line = lines(&gateway).remove(1);
        assert_eq!(line["isError"], failed, "{line}");
        assert!(line["bytesOut"].as_u64().is_some_and(|bytes| bytes > 0), "{line}");
    }
}

#[tokio::test]
async fn an_answer_that_is_looked_at_on_its_way_through_envoy_is_told_and_counted() {
    let puppet = Puppet::start(&["echo"]).await;
    puppet.play(|seen| {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#, seen.id, mk_result(true));
        let stream = format!("event: message\ndata: {message}\n\n");
        let act = Act::reply(200, &[("content-type", "text/event-stream")], stream.as_bytes());
        (seen.method == "tools/call").then_some(act)
    });
    let gateway = mk_setup(&puppet, "envoy", "").up().await;
    let client = Client::connect_as(gateway.address, "2025-11-25", &json!({"roots": {}})).await;
    call(&gateway, &client, "puppet_echo", "{}").await;
    let line = line_of_call(&gateway).await;
    assert_eq!(
        (&line["way"], &line["isError"]),
        (&json!("forward"), &json!(true)),
        "{line}"
    );
    assert!(line["bytesOut"].as_u64().is_some_and(|bytes| bytes > 50), "{line}");
}
