//! Names, owners and sizes of what is merged.

use super::harness::check::{answered, refused};
use super::harness::client::{modern, names, rpc};
use super::harness::gateway::{Setup, Wiring};
use super::harness::program::Program;
use super::harness::puppet::{Act, Puppet};
use super::harness::stream::Stream;
use super::tools;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tokio::sync::watch;

#[tokio::test]
async fn names_that_clients_would_refuse_are_changed_and_still_lead_to_their_tool() {
    let long = "a".repeat(100);
    let odd = ["plain", "with space", "with.dot", "ünïcode", long.as_str()];
    let puppet = Puppet::start(&odd).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = gateway.client().await;
    let exposed = client.tools().await;
    assert_eq!(exposed.len(), odd.len(), "{exposed:?}");
    for (name, upstream_name) in exposed.iter().zip(odd) {
        let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        assert!(name.len() <= 64 && name.chars().all(good), "{name}");
        assert!(name.starts_with("up_"), "{name}");
        assert_eq!(client.text_of(name, &json!({})).await, upstream_name);
    }
    assert_eq!(exposed[0], "up_plain");
}

#[tokio::test]
async fn of_two_with_the_same_name_the_first_one_is_shown_and_the_other_is_reported() {
    let (first, second) = (Puppet::start(&["same", "a"]).await, Puppet::start(&["same", "b"]).await);
    let setup = Setup::new()
        .upstream_with("first", &first.url(), "prefix: x_")
        .upstream_with("second", &second.url(), "prefix: x_");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["x_same", "x_a", "x_b"]);
    client.text_of("x_same", &json!({})).await;
    assert_eq!(
        (first.posted("tools/call").len(), second.posted("tools/call").len()),
        (1, 0)
    );
    let warnings = gateway.upstream("second").await["warnings"].to_string();
    assert!(warnings.contains("same"), "{warnings}");
}

#[tokio::test]
async fn a_resource_that_nobody_claims_is_asked_of_those_who_allow_it() {
    let resources = |has: bool| {
        move |seen: &super::harness::puppet::Seen| match seen.method.as_str() {
            "resources/read" if has => Some(seen.result(&json!({"contents": [{"uri": "any://x", "text": "here"}]}))),
            "resources/read" => Some(seen.error(200, -32002, "not found")),
            _ => None,
        }
    };
    let (without, with) = (Puppet::start(&["a"]).await, Puppet::start(&["b"]).await);
    without.play(resources(false));
    with.play(resources(true));
    let probe = "resources: { probe: true }";
    let setup = Setup::new()
        .upstream_with("without", &without.url(), probe)
        .upstream_with("with", &with.url(), probe);
    let gateway = setup.up().await;
    let client = gateway.client().await;
    let message = client.rpc("resources/read", &json!({"uri": "any://x"})).await;
    assert_eq!(message["result"]["contents"][0]["text"], "here", "{message}");
    with.play(resources(false));
    let message = client.rpc("resources/read", &json!({"uri": "any://y"})).await;
    assert_eq!(message["error"]["code"], -32002, "{message}");
}

async fn fixture() -> (Program, String) {
    let mut program = Program::start(&mut Command::new(tools::example("upstream")));
    let url = program.says("listening ").await;
    (program, url)
}

#[tokio::test]
async fn a_modern_call_names_the_upstreams_tool_in_header_and_body() {
    let (_fixture, url) = fixture().await;
    let gateway = Setup::new().upstream("up", &url).up().await;
    let request = modern(1, "tools/call", &json!({"name": "up_headers", "arguments": {}}))
        .with("mcp-param-region", "eu")
        .with("mcp-param-of-tomorrow", "=?base64?eA==?=")
        .with("mcp-session-id", "ignored")
        .with("authorization", "Bearer of-the-client");
    let response = request.send(gateway.address).await;
    let seen = answered("headers", &response, "1")["result"]["structuredContent"].clone();
    assert_eq!(seen["mcp-name"], "headers");
    assert_eq!(seen["mcp-method"], "tools/call");
    assert_eq!(seen["mcp-protocol-version"], "2026-07-28");
    assert_eq!(seen["mcp-param-region"], "eu");
    assert_eq!(seen["mcp-param-of-tomorrow"], "=?base64?eA==?=");
    for gone in [
        "mcp-session-id",
        "authorization",
        "x-mcp-upstream",
        "x-mcp-route-key",
        "x-forwarded-for",
    ] {
        assert_eq!(seen[gone], Value::Null, "{gone}: {seen}");
    }
    assert_eq!(response.header("mcp-session-id"), None);
    // An upstream's own refusal of a modern request passes with its status.
    let request = modern(
        2,
        "tools/call",
        &json!({"name": "up_test_missing_capability", "arguments": {}}),
    );
    let response = request.send(gateway.address).await;
    assert_eq!(response.message()["error"]["code"], -32021, "{response:?}");
    assert_eq!(response.message()["id"], 2);
}

/// More than 4 MiB of tools.
async fn large() -> Puppet {
    let filler = "d".repeat(2000);
    let tools = (0..2500).map(
        |number| json!({"name": format!("tool_{number}"), "description": filler, "inputSchema": {"type": "object"}}),
    );
    Puppet::listed(([127, 0, 0, 1], 0).into(), tools.collect()).await
}

fn expected() -> Vec<String> {
    (0..2500).map(|number| format!("up_tool_{number}")).collect()
}

#[tokio::test]
async fn a_large_list_is_one_page() {
    let puppet = large().await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = gateway.client().await;
    let response = client.ask("tools/list", &json!({})).await;
    assert!(
        response.whole && response.body.len() > 4 << 20,
        "{} bytes",
        response.body.len()
    );
    let message = response.message();
    assert_eq!(names(&message["result"]["tools"]), expected());
    assert_eq!(message["result"]["nextCursor"], Value::Null);
}

#[tokio::test]
async fn a_large_list_comes_in_pages_under_buffered() {
    let puppet = large().await;
    let gateway = Setup::new().puppet("up", &puppet).start(Wiring::Buffered).await;
    let client = gateway.client().await;
    let (mut all, mut params) = (Vec::new(), json!({}));
    loop {
        let message = client.rpc("tools/list", &params).await;
        all.extend(names(&message["result"]["tools"]));
        match message["result"]["nextCursor"].as_str() {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => break,
        }
        assert!(all.len() <= 2500, "it goes in circles");
    }
    assert_eq!(all, expected());
    let wrong = client
        .request(rpc(1, "tools/list", &json!({"cursor": "nobody's"})))
        .send(gateway.address)
        .await;
    refused("a foreign cursor", &wrong, 200, -32602, "1");
}

#[tokio::test]
async fn without_the_response_phase_calls_pass_and_nothing_leaks() {
    let puppet = Puppet::start(&["echo"]).await;
    // What becomes of a forward then; the processor's own calls do not pass there.
    let setup = Setup::new()
        .upstream_with("up", &puppet.url(), "via: envoy")
        .with("envoy: { responsePhase: false, accessLog: true }");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    assert_eq!(client.text_of("up_echo", &json!({})).await, "echo");
    let headers = [
        ("content-type", "application/json"),
        ("mcp-session-id", "leak"),
        ("set-cookie", "a=b"),
    ];
    puppet.play_for(
        "tools/call",
        Act::reply(200, &headers, br#"{"jsonrpc":"2.0","id":2,"result":{}}"#),
    );
    let response = client
        .ask("tools/call", &json!({"name": "up_echo", "arguments": {}}))
        .await;
    assert_eq!(
        (response.header("mcp-session-id"), response.header("set-cookie")),
        (None, None),
        "{response:?}"
    );
    drop(puppet);
    let response = client
        .ask("tools/call", &json!({"name": "up_echo", "arguments": {}}))
        .await;
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(
        (&response.message()["id"], &response.message()["error"]["code"]),
        (&json!(3), &json!(-31014))
    );

    let log = gateway.setup.folder.path().join("state/access.log");
    let find = || -> Option<Value> {
        let text = std::fs::read_to_string(&log).ok()?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["tool"] == "up_echo")
    };
    super::harness::eventually("the access log has the call", async || find().is_some()).await;
    let line = find().expect("just seen");
    assert_eq!(
        (&line["method"], &line["upstream"], &line["era"]),
        (&json!("tools/call"), &json!("up"), &json!("legacy"))
    );
    assert!(!line.to_string().contains(&client.session), "{line}");
}

#[tokio::test]
async fn without_the_response_phase_an_answer_that_has_begun_takes_its_time() {
    let puppet = Puppet::start(&["echo"]).await;
    let (open, gate) = watch::channel(false);
    puppet.play(move |seen| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: begun\n\n".to_vec();
        let last = format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}}}\n\n", seen.id);
        let then = Box::new(Act::SayAndLeave(last.into_bytes()));
        (seen.method == "tools/call").then(|| Act::SayThen(head, gate.clone(), then))
    });
    let gateway = Setup::new()
        .upstream_with("up", &puppet.url(), "via: envoy, timeout: { call: 1s }")
        .with("envoy: { responsePhase: false }")
        .up()
        .await;
    let client = gateway.client().await;
    let call = client.request(rpc(7, "tools/call", &json!({"name": "up_echo", "arguments": {}})));
    let mut stream = Stream::open(gateway.address, &call).await;
    assert_eq!(stream.event().await.as_deref(), Some(": begun"));
    // Longer than it may take until headers.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    open.send(true).expect("it waits");
    assert_eq!(stream.message().await["id"], 7);
    stream.rest().await;
    assert_eq!(stream.whole, Some(true), "not cut");
}
