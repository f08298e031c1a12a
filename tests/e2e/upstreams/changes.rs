//! Upstreams that come, go and change while the gateway runs.

use crate::e2e::harness::client::{Client, modern, names};
use crate::e2e::harness::gateway::{Setup, address_in};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::harness::{eventually, http};
use crate::e2e::{process, tools};
use serde_json::json;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_dead_upstream_is_named_at_the_start_and_appears_when_it_comes_up() {
    let alive = Puppet::start(&["a"]).await;
    let later = Puppet::start(&["b"]).await;
    let address = later.address;
    drop(later);
    let url = format!("http://{address}/mcp");
    let mut gateway = Setup::new().puppet("alive", &alive).upstream("later", &url).up().await;
    assert!(gateway.ready.contains("1/2 upstreams  1 tools"), "{}", gateway.ready);
    let errors = gateway.program().err();
    let line = errors.lines().find(|line| line.starts_with("upstream later"));
    assert!(
        line.is_some_and(|line| line.contains(&url) && line.contains("Unreachable")),
        "{errors}"
    );
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["alive_a"]);
    assert_eq!(
        gateway.ask("/readyz").await.status,
        200,
        "a dead upstream does not keep others from serving"
    );
    let row = gateway.upstream("later").await;
    assert_eq!(
        (&row["ready"], &row["reason"]),
        (&json!(false), &json!("Unreachable")),
        "{row}"
    );

    let _later = Puppet::at(address, &["b"]).await;
    eventually("its tool appears", async || {
        client.tools().await == ["alive_a", "later_b"]
    })
    .await;
    assert_eq!(client.text_of("later_b", &json!({})).await, "b");
    gateway
        .until_upstream("later", "is ready", |row| {
            row["ready"] == true && row["lastError"].is_null()
        })
        .await;
}

#[tokio::test]
async fn an_upstream_that_dies_keeps_its_items_for_a_while_and_calls_fail_fast() {
    let (dying, other) = (Puppet::start(&["a"]).await, Puppet::start(&["b"]).await);
    let setup = Setup::new().puppet("dying", &dying).puppet("other", &other);
    let gateway = setup
        .with("lists: { first: 20s, keepLastGood: 4s, refresh: 300ms }")
        .up()
        .await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["dying_a", "other_b"]);
    drop(dying);
    gateway
        .until_upstream("dying", "is noticed", |row| row["ready"] == false)
        .await;
    assert_eq!(client.tools().await, ["dying_a", "other_b"], "last known good");
    let begun = Instant::now();
    let message = client.call("dying_a", &json!({})).await;
    assert_eq!(message["error"]["code"], -31010, "{message}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    eventually("the items are gone", async || client.tools().await == ["other_b"]).await;
    let message = client.call("dying_a", &json!({})).await;
    assert_eq!(message["error"]["code"], -31010, "unavailable, not unknown: {message}");
}

#[tokio::test]
async fn a_changed_list_is_merged_within_a_second() {
    let mut fixture = Program::start(Command::new(tools::example("upstream")).args(["--bare", "--tools", "1"]));
    let url = fixture.says("listening ").await;
    let address = address_in(&url);
    let gateway = Setup::new().upstream("up", &url).up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["up_generated_0"]);
    // The gateway may still be about to open its stream; changes are watched from then on.
    let mut number = 0;
    while !put_and_see(address, &client, &format!("new_{number}")).await {
        number += 1;
        assert!(number < 20, "no change is noticed within a second");
    }
    // The other era is watched by a stream of its own.
    let expected = format!("up_new_{number}");
    eventually("modern clients see it too", async || {
        let list = modern(1, "tools/list", &json!({}))
            .send(gateway.address)
            .await
            .message();
        names(&list["result"]["tools"]).contains(&expected)
    })
    .await;
}

/// Gives the fixture a new tool; whether it is listed within a second.
async fn put_and_see(fixture: SocketAddr, client: &Client, tool: &str) -> bool {
    let head = format!("PUT /control/tools/{tool} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n");
    let told = http::exchange(fixture, format!("{head}connection: close\r\n\r\n").as_bytes()).await;
    assert_eq!(told.expect("the fixture answers").status, 200);
    within_a_second(client, &format!("up_{tool}")).await
}

async fn within_a_second(client: &Client, tool: &str) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        if client.tools().await.iter().any(|name| name == tool) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn servers_by_others_are_merged_and_called() {
    let (_everything, everything) = process::everything();
    let python = process::python_server();
    let gateway = Setup::new()
        .upstream("everything", &everything)
        .upstream("words", &python.said)
        .up()
        .await;
    let client = gateway.client().await;
    let tools = client.tools().await;
    assert!(
        tools.contains(&"everything_echo".to_owned()) && tools.contains(&"words_reverse".to_owned()),
        "{tools:?}"
    );
    assert_eq!(
        client.text_of("everything_echo", &json!({"message": "hello"})).await,
        "Echo: hello"
    );
    assert_eq!(client.text_of("words_reverse", &json!({"text": "abc"})).await, "cba");
    let sum = client
        .text_of("words_add", &json!({"a": 9_007_199_254_740_993_u64, "b": 1}))
        .await;
    assert_eq!(sum, "9007199254740994");
    assert!((200..300).contains(&client.delete().await));
}
