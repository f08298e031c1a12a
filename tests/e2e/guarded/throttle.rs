//! Rate limits on real Envoy: who is counted, what the refusal says, and that it is true.

use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{Client, Request, modern, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::{self, Response};
use crate::e2e::harness::puppet::Puppet;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

const LIMITED: i64 = -31012;

async fn mk_gateway(limits: &str) -> (Puppet, Gateway) {
    let puppet = Puppet::start(&["echo", "other", "big_one"]).await;
    let gateway = Setup::new()
        .puppet("puppet", &puppet)
        .with(&format!("rateLimits:\n{limits}"))
        .up()
        .await;
    (puppet, gateway)
}

async fn call(client: &Client, tool: &str) -> Response {
    let body = rpc("my-id", "tools/call", &json!({"name": tool, "arguments": {}}));
    client.request(body).send(client.address).await
}

fn seconds(response: &Response, header: &str) -> u64 {
    let value = response.header(header).unwrap_or_default();
    value
        .parse()
        .unwrap_or_else(|_| panic!("{header}: {value:?} in {response:?}"))
}

/// Bytes of memory of this process.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.expect("Linux tells") << 10
}

/// One line of the metrics.
async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.ask("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

/// The same request from another address of loopback.
async fn send_from(source: Ipv4Addr, to: SocketAddr, request: &Request) -> io::Result<Response> {
    use tokio::io::AsyncWriteExt;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source.into(), 0))?;
    let stream = socket.connect(to).await?;
    let mut stream = tokio::io::BufReader::new(stream);
    stream.write_all(&request.bytes()).await?;
    http::receive(&mut stream).await
}

#[tokio::test]
async fn each_session_has_its_own_bucket_for_each_tool_and_retry_after_is_true() {
    let (puppet, gateway) = mk_gateway("- { name: tools, per: [session, tool], limit: 12/min, burst: 2 }").await;
    let (ann, bob) = (gateway.client().await, gateway.client().await);
    for _ in 0..2 {
        answered("within the burst", &call(&ann, "puppet_echo").await, "\"my-id\"");
    }
    let response = call(&ann, "puppet_echo").await;
    let at = Instant::now();
    let message = refused("the third", &response, 429, LIMITED, "\"my-id\"");
    assert_eq!(message["error"]["data"]["limit"], "tools");
    assert_eq!(response.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(response.header("x-ratelimit-limit"), Some("2, 12;w=60;name=\"tools\""));
    answered("another tool", &call(&ann, "puppet_other").await, "\"my-id\"");
    answered("another session", &call(&bob, "puppet_echo").await, "\"my-id\"");
    let calls = puppet.seen().iter().filter(|seen| seen.method == "tools/call").count();
    assert_eq!(calls, 4, "the refused one did not get there");
    let wait = seconds(&response, "retry-after");
    assert!((1..=5).contains(&wait), "{wait}");
    tokio::time::sleep_until((at + Duration::from_secs(wait)).into()).await;
    answered("after Retry-After", &call(&ann, "puppet_echo").await, "\"my-id\"");
    let name = "mcp_manifold_rate_limited_total{limit=\"tools\"}";
    assert!(metric(&gateway, name).await >= 1.0);
}

#[tokio::test]
async fn what_the_processor_answers_is_limited_too() {
    let (_puppet, gateway) = mk_gateway(
        "- { name: lists, per: [ip], limit: 2/h, methods: '*/list' }\n\
         - { name: sessions, per: [ip], limit: 2/h, methods: initialize }\n\
         - { name: bad, per: [session], limit: 3/h, methods: tools/call }",
    )
    .await;
    let client = gateway.client().await;
    for left in ["1", "0"] {
        let response = client.ask("tools/list", &json!({})).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("x-ratelimit-remaining"), Some(left), "{response:?}");
    }
    let list = client
        .request(rpc(7, "prompts/list", &json!({})))
        .send(client.address)
        .await;
    refused("the third list", &list, 429, LIMITED, "7");
    let asked = modern(8, "tools/list", &json!({})).send(gateway.address).await;
    refused("a list without a session", &asked, 429, LIMITED, "8");
    let _second = gateway.client().await;
    let third = crate::e2e::harness::client::initialize("2025-11-25", &json!({}));
    refused(
        "the third initialize",
        &third.send(gateway.address).await,
        429,
        LIMITED,
        "0",
    );
    for _ in 0..3 {
        refused(
            "unknown",
            &call(&client, "puppet_nobody").await,
            200,
            -32602,
            "\"my-id\"",
        );
    }
    let guess = call(&client, "puppet_nobody").await;
    refused("guessing names is limited", &guess, 429, LIMITED, "\"my-id\"");
    assert_eq!(client.delete().await, 200, "nothing limits that");
}

#[tokio::test]
async fn a_heavy_tool_takes_more_and_several_limits_hold_at_once() {
    let (_puppet, gateway) = mk_gateway(
        "- { name: weight, per: [principal], limit: 10/h, tools: 'puppet_*', cost: { '*_big_*': 4 } }\n\
         - { name: few, per: [upstream], limit: 4/h }",
    )
    .await;
    let client = gateway.client().await;
    answered("4 of 10", &call(&client, "puppet_big_one").await, "\"my-id\"");
    answered("8 of 10", &call(&client, "puppet_big_one").await, "\"my-id\"");
    let response = call(&client, "puppet_big_one").await;
    let message = refused("two are left", &response, 429, LIMITED, "\"my-id\"");
    assert_eq!(message["error"]["data"]["limit"], "weight");
    assert_eq!(seconds(&response, "retry-after"), 720, "two more of six minutes each");
    answered("9 of 10", &call(&client, "puppet_echo").await, "\"my-id\"");
    answered("10 of 10", &call(&client, "puppet_echo").await, "\"my-id\"");
    let message = call(&client, "puppet_echo").await.message();
    assert_eq!(
        message["error"]["data"]["limit"], "weight",
        "the first that is empty is named"
    );
}

#[tokio::test]
async fn an_address_is_limited_before_anything_is_parsed() {
    let (_puppet, gateway) = mk_gateway("- { name: per-ip, per: [ip], limit: 60/h, burst: 3 }").await;
    let request = Request::post("not even JSON");
    let (mine, other) = (Ipv4Addr::new(127, 0, 0, 77), Ipv4Addr::new(127, 0, 0, 78));
    for _ in 0..3 {
        let response = send_from(mine, gateway.address, &request).await.expect("a response");
        assert_eq!(response.status, 400);
    }
    let response = send_from(mine, gateway.address, &request).await.expect("a response");
    refused("the fourth", &response, 429, LIMITED, "null");
    let wait = seconds(&response, "retry-after");
    assert!((1..=60).contains(&wait), "{response:?}");
    let forged = request.clone().with("x-forwarded-for", "192.0.2.1");
    let response = send_from(mine, gateway.address, &forged).await.expect("a response");
    assert_eq!(response.status, 429, "an address of one's own choice is not believed");
    let response = send_from(other, gateway.address, &request).await.expect("a response");
    assert_eq!(response.status, 400, "another address");
}

#[tokio::test]
async fn ten_thousand_addresses_cost_bounded_memory() {
    let (_puppet, gateway) = mk_gateway(
        "- { name: ip-method, per: [ip, method], limit: 2/h }\n\
         - { name: per-ip, per: [ip], limit: 100000/s }",
    )
    .await;
    let request = Request::post(rpc(1, "ping", &json!({})));
    let source = |number: u16| Ipv4Addr::new(127, 1, (number >> 8) as u8, number as u8);
    let flood = async |from: u16, to: u16| {
        for number in from..to {
            let response = send_from(source(number), gateway.address, &request).await;
            assert_eq!(response.expect("a response").status, 200);
        }
    };
    flood(1, 1000).await;
    let before = resident(gateway.programs[0].id());
    flood(1000, 10_001).await;
    let after = resident(gateway.programs[0].id());
    assert!(after < before + (24 << 20), "{before} -> {after} bytes");
    let name = "mcp_manifold_rate_limit_buckets{limit=\"ip-method\"}";
    let buckets = metric(&gateway, name).await;
    assert!((10_000.0..=100_000.0).contains(&buckets), "{buckets}");
    let known = send_from(source(5), gateway.address, &request)
        .await
        .expect("a response");
    assert_eq!(known.status, 200, "its second");
    let known = send_from(source(5), gateway.address, &request)
        .await
        .expect("a response");
    refused(
        "its third: the flood has not made room for it",
        &known,
        429,
        LIMITED,
        "1",
    );
}

/// Whoever makes up keys and session ids is nobody, and has no bucket of anybody's.
#[tokio::test]
async fn ten_thousand_random_keys_and_sessions_make_no_bucket() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().puppet("puppet", &puppet).with(
        "authentication: { apiKeys: { file: keys.yaml } }\n\
         rateLimits:\n\
         - { name: who, per: [principal], limit: 100000/h }\n\
         - { name: where, per: [session], limit: 100000/h }",
    );
    let digest: String = Sha256::digest(b"a good one")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let keys = setup.folder.path().join("keys.yaml");
    std::fs::write(keys, format!("- {{ name: ann, sha256: {digest} }}\n")).expect("written");
    let gateway = setup.up().await;
    let to = gateway.address;
    let before = resident(gateway.programs[0].id());
    let some = |from: u32| async move {
        for number in from..from + 1250 {
            let ping = Request::post(rpc(1, "ping", &json!({})));
            let made_up = format!("{number:08x}{}", number.wrapping_mul(2_654_435_761));
            let stranger = ping.clone().with("x-api-key", &made_up).send(to).await;
            assert_eq!(stranger.status, 401, "{stranger:?}");
            let known = ping.with("x-api-key", "a good one");
            let lost = known.session(&format!("mp1.{made_up}")).send(to).await;
            assert_eq!(lost.status, 404, "{lost:?}");
        }
    };
    futures_util::future::join_all((0..8).map(|part| some(part * 1250))).await;
    let after = resident(gateway.programs[0].id());
    assert!(after < before + (24 << 20), "{before} -> {after} bytes");
    for limit in ["who", "where"] {
        let name = format!("mcp_manifold_rate_limit_buckets{{limit=\"{limit}\"}}");
        assert!(metric(&gateway, &name).await <= 2.0, "{limit}");
    }
}

#[tokio::test]
async fn a_reload_leaves_the_buckets_of_limits_that_stay() {
    let (puppet, mut gateway) = mk_gateway("- { name: stays, per: [session], limit: 2/h, tools: '*' }").await;
    let client = gateway.client().await;
    for _ in 0..2 {
        answered("within the burst", &call(&client, "puppet_echo").await, "\"my-id\"");
    }
    let more = "rateLimits:\n\
         - { name: more, per: [method], limit: 1/h, methods: prompts/list }\n\
         - { name: stays, per: [session], limit: 2/h, tools: '*' }";
    let mut setup = Setup::new().puppet("puppet", &puppet).with(more);
    setup.folder = gateway.setup.folder.clone();
    gateway.reconfigure(setup);
    crate::e2e::harness::eventually("the new limit holds", async || {
        client.ask("prompts/list", &json!({})).await.status == 429
    })
    .await;
    refused(
        "still empty",
        &call(&client, "puppet_echo").await,
        429,
        LIMITED,
        "\"my-id\"",
    );
}
