//! What goes through goes through byte for byte: bodies both ways, headers but for those that must change.

use super::harness::check::answered;
use super::harness::client::{Client, Request, modern, rpc};
use super::harness::gateway::{Gateway, Setup, Wiring};
use super::harness::http::Response;
use super::harness::program::Program;
use super::harness::puppet::{Act, Puppet, Seen};
use super::tools;
use serde_json::{Value, json};
use std::process::Command;

async fn one(wiring: Wiring) -> (Puppet, Gateway) {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).start(wiring).await;
    (puppet, gateway)
}

fn call_of(puppet: &Puppet) -> Seen {
    puppet.posted("tools/call").pop().expect("the upstream saw the call")
}

const ODD: &str = "{ \"method\" : \"tools/call\",\n\t\"params\":{\"arguments\":{\"n\":9007199254740993,\
    \"e\":1.0e400,\"z\":-0.0,\"u\":\"\\u00e9\\ud83c\\udf31\",\"dup\":1,\"dup\":2},\"unknown\":[1,2 ,3],\
    \"name\" : \"up_\\u0065cho\" ,\"_meta\":{\"progressToken\":1}},\"x-vendor\":{\"a\":null},\
    \"id\":123456789012345678901234567890,\"jsonrpc\":\"2.0\"}\r\n ";

async fn a_call_reaches_the_upstream_unchanged(wiring: Wiring) {
    let (puppet, gateway) = one(wiring).await;
    let client = gateway.client().await;
    let response = client.request(ODD).send(gateway.address).await;
    assert_eq!(response.status, 200, "{response:?}");
    let seen = call_of(&puppet);
    assert_eq!(
        seen.text(),
        ODD.replace("\"up_\\u0065cho\"", "\"echo\""),
        "only the name is another"
    );
    assert_eq!(
        seen.header("content-length"),
        Some(seen.body.len().to_string().as_str())
    );
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_call_reaches_the_upstream_unchanged_but_for_the_name() {
    a_call_reaches_the_upstream_unchanged(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn a_call_reaches_the_upstream_unchanged_but_for_the_name_under_buffered() {
    a_call_reaches_the_upstream_unchanged(Wiring::Buffered).await;
}

async fn headers_change_as_they_must(wiring: Wiring) {
    let (puppet, gateway) = one(wiring).await;
    let client = gateway.client().await;
    let request = client
        .request(rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}})))
        .with("authorization", "Bearer of-the-client")
        .with("cookie", "a=b")
        .with("origin", "http://localhost:3000")
        .with("accept-encoding", "gzip")
        .with("last-event-id", "7")
        .with("x-mcp-upstream", "other")
        .with("x-mcp-anything", "1")
        .with("x-forwarded-for", "10.0.0.1")
        .with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with("user-agent", "test/1")
        .with("x-own", "kept");
    answered("the call", &request.send(gateway.address).await, "1");
    let seen = call_of(&puppet);
    for gone in [
        "authorization",
        "cookie",
        "origin",
        "accept-encoding",
        "last-event-id",
        "x-mcp-upstream",
    ] {
        assert_eq!(seen.header(gone), None, "{gone} goes no further: {seen:?}");
    }
    let leaked: Vec<_> = seen
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-mcp-"))
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert_eq!(seen.header("x-own"), Some("kept"));
    assert_eq!(seen.header("user-agent"), Some("test/1"));
    assert_eq!(
        seen.header("traceparent"),
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    );
    assert_eq!(seen.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(seen.header("host"), Some(puppet.address.to_string().as_str()));
    assert_eq!(seen.header("mcp-protocol-version"), Some("2025-11-25"));
    assert!(
        seen.header("mcp-session-id")
            .is_some_and(|id| id.starts_with("puppet-")),
        "{seen:?}"
    );
    assert_eq!(seen.path, "/mcp");
}

#[tokio::test]
async fn headers_towards_the_upstream_change_only_as_they_must() {
    headers_change_as_they_must(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn headers_towards_the_upstream_change_only_as_they_must_under_buffered() {
    headers_change_as_they_must(Wiring::Buffered).await;
}

fn assert_clean(response: &Response) {
    for (name, value) in &response.headers {
        let foreign = name == "set-cookie" || name.starts_with("access-control-") || name.starts_with("x-envoy");
        assert!(!foreign, "{name}: {value}");
        assert!(!value.contains("puppet-"), "an upstream's session id: {name}: {value}");
    }
}

async fn a_response_comes_back_unchanged(wiring: Wiring) {
    let (puppet, gateway) = one(wiring).await;
    let client = gateway.client().await;
    const BODY: &str =
        "{\"id\":1 ,\n \"result\":{\"n\":9007199254740993,\"z\":1e400,\"content\":[]},\"jsonrpc\":\"2.0\"}\n";
    puppet.play_for(
        "tools/call",
        Act::reply(
            200,
            &[
                ("content-type", "application/json; charset=utf-8"),
                ("mcp-session-id", "puppet-leak"),
                ("set-cookie", "a=b"),
                ("access-control-allow-origin", "*"),
                ("access-control-expose-headers", "mcp-session-id"),
                ("x-own", "kept"),
                ("server", "scripted"),
            ],
            BODY.as_bytes(),
        ),
    );
    let call = rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    let response = client.request(call).send(gateway.address).await;
    assert_eq!((response.status, response.text().as_str()), (200, BODY));
    assert_eq!(response.header("content-length"), Some(BODY.len().to_string().as_str()));
    assert_eq!(response.header("x-own"), Some("kept"));
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    assert_clean(&response);
}

#[tokio::test]
async fn a_response_comes_back_unchanged_and_without_what_is_not_the_clients() {
    a_response_comes_back_unchanged(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn a_response_comes_back_unchanged_and_without_what_is_not_the_clients_under_buffered() {
    a_response_comes_back_unchanged(Wiring::Buffered).await;
}

#[tokio::test]
async fn an_event_stream_comes_through_as_it_is_said() {
    let (puppet, gateway) = one(Wiring::FullDuplex).await;
    let client = gateway.client().await;
    const EVENTS: &str = ": hi\n\nretry: 10\nid: 1\ndata: \n\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{}}\r\n\r\n";
    puppet.play_for(
        "tools/call",
        Act::reply(200, &[("content-type", "text/event-stream")], EVENTS.as_bytes()),
    );
    let call = rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    let response = client.request(call).send(gateway.address).await;
    assert_eq!((response.status, response.text().as_str()), (200, EVENTS));
}

#[tokio::test]
async fn errors_of_tools_and_servers_pass_as_they_are() {
    let (puppet, gateway) = one(Wiring::FullDuplex).await;
    let client = gateway.client().await;
    let call = rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    for (status, body) in [
        (
            200,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no","data":[1]}}"#,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[]}}"#,
        ),
        (
            500,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"broken"}}"#,
        ),
        (422, r#"{"jsonrpc":"2.0","id":1,"error":{"code":5,"message":"odd"}}"#),
    ] {
        puppet.play_for(
            "tools/call",
            Act::reply(status, &[("content-type", "application/json")], body.as_bytes()),
        );
        let response = client.request(&call).send(gateway.address).await;
        assert_eq!((response.status, response.text().as_str()), (status, body));
    }
}

#[tokio::test]
async fn listed_items_equal_the_upstreams_but_for_the_name() {
    let item = json!({
        "name": "echo", "title": "Echo", "description": "é 🌱", "inputSchema": {"type": "object", "$defs": {"a": {"const": 9_007_199_254_740_993_i64}}},
        "outputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true, "tomorrow": 1},
        "icons": [{"src": "data:,", "sizes": ["1x1"]}], "_meta": {"a.example/b": [1.5e300, null]}, "x-unknown": {"deep": [[]]},
    });
    let puppet = Puppet::listed(([127, 0, 0, 1], 0).into(), vec![item.clone()]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let response = Request::post(rpc(1, "tools/list", &json!({})))
        .send(gateway.address)
        .await;
    let raw = item.to_string().replace(r#""name":"echo""#, r#""name":"up_echo""#);
    assert!(response.text().contains(&raw), "{raw}\nis not in\n{}", response.text());
}

#[tokio::test]
async fn one_upstream_without_a_prefix_keeps_its_names() {
    let odd = "weird/name.with spaces and ünïcode";
    let puppet = Puppet::start(&[odd, "plain"]).await;
    let gateway = Setup::new().upstream_with("up", &puppet.url(), "prefix: ''").up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, [odd, "plain"]);
    assert_eq!(client.text_of(odd, &json!({})).await, odd);
}

async fn bodies_of_all_sizes(wiring: Wiring) {
    let mut fixture = Program::start(&mut Command::new(tools::example("upstream")));
    let url = fixture.says("listening ").await;
    let gateway = Setup::new().upstream("up", &url).start(wiring).await;
    let client = gateway.client().await;
    for size in [1, 100_000, (4 << 20) - 1000] {
        let arguments = json!({"text": "x".repeat(size)});
        assert_eq!(
            client.text_of("up_echo", &arguments).await,
            arguments.to_string(),
            "{size} bytes there and back"
        );
        let answer = client.text_of("up_big", &json!({"bytes": size})).await;
        assert_eq!(answer.len(), size);
        let request = modern(9, "tools/call", &json!({"name": "up_echo", "arguments": &arguments}));
        let response = request.send(gateway.address).await;
        let message = answered("modern", &response, "9");
        assert_eq!(
            message["result"]["content"][0]["text"],
            Value::String(arguments.to_string())
        );
    }
}

#[tokio::test]
async fn bodies_of_all_sizes_pass() {
    bodies_of_all_sizes(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn bodies_of_all_sizes_pass_under_buffered() {
    bodies_of_all_sizes(Wiring::Buffered).await;
}

/// What is sent to an upstream alone and through the gateway must be answered alike.
#[tokio::test]
async fn a_gateway_in_front_of_one_upstream_answers_as_the_upstream_does() {
    let mut fixture = Program::start(&mut Command::new(tools::example("upstream")));
    let url = fixture.says("listening ").await;
    let direct = super::harness::gateway::address_in(&url);
    let gateway = Setup::new().upstream_with("up", &url, "prefix: ''").up().await;
    let (alone, through) = (Client::connect(direct).await, gateway.client().await);
    let all = alone.tools().await;
    assert_eq!(all, through.tools().await);
    // Those that would ask the client, take time, or answer what differs from call to call.
    let odd = [
        "sampling",
        "elicitation",
        "task",
        "slow",
        "job",
        "confirm",
        "multi_input",
        "headers",
        "trigger",
    ];
    let calm = all.iter().filter(|name| !odd.iter().any(|word| name.contains(word)));
    for name in calm {
        let params =
            json!({"name": name, "arguments": {"name": "Ada", "region": "eu", "bytes": 5, "ms": 1, "n": 1.50}});
        // These ask a legacy client in the middle of the call.
        if !name.contains("input_required") {
            let (expected, found) = (
                alone.ask("tools/call", &params).await,
                through.ask("tools/call", &params).await,
            );
            assert_alike(name, &expected, &found);
        }
        let request = modern(1, "tools/call", &params).with("mcp-param-region", "eu");
        assert_alike(name, &request.send(direct).await, &request.send(gateway.address).await);
    }
    for (method, params) in [
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("prompts/get", json!({"name": "test_simple_prompt"})),
        (
            "prompts/get",
            json!({"name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}}),
        ),
        ("resources/read", json!({"uri": "test://static-text"})),
        ("resources/read", json!({"uri": "test://static-binary"})),
        ("resources/read", json!({"uri": "test://template/1/data"})),
    ] {
        let (expected, found) = (alone.rpc(method, &params).await, through.rpc(method, &params).await);
        assert_eq!(expected["result"], found["result"], "{method} {params}");
    }
}

fn assert_alike(what: &str, expected: &Response, found: &Response) {
    assert_eq!(
        (expected.status, expected.media()),
        (found.status, found.media()),
        "{what}: {found:?}"
    );
    let (expected, found) = (expected.message(), found.message());
    assert_eq!(expected["result"], found["result"], "{what}");
    assert_eq!(expected["error"], found["error"], "{what}");
}
