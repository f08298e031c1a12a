//! Envoy or the gateway dies.

use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::http;
use crate::e2e::harness::program::{processes, signal};
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::harness::{PATIENCE, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_killed_envoy_is_started_again_and_clients_go_on() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    let opened = puppet.posted("initialize").len();
    let first = gateway.envoy().expect("Envoy runs");
    signal(first, "KILL");
    eventually("another Envoy runs", async || {
        gateway.envoy().is_some_and(|id| id != first)
    })
    .await;
    eventually("it listens at the same address", async || {
        http::exchange(
            gateway.address,
            b"PUT /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n",
        )
        .await
        .is_ok_and(|response| response.status == 405)
    })
    .await;
    assert_eq!(client.text_of("up_echo", &json!({})).await, "echo", "the same session");
    assert_eq!(puppet.posted("initialize").len(), opened, "nothing was opened again");
    eventually("ready again", async || gateway.ask("/readyz").await.status == 200).await;
}

#[tokio::test]
async fn a_gateway_killed_hard_leaves_no_envoy_behind() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let folder = gateway.setup.folder.path().display().to_string();
    let envoy = gateway.envoy().expect("Envoy runs");
    assert!(processes(&folder).contains(&envoy));
    signal(gateway.programs[0].id(), "KILL");
    let begun = Instant::now();
    eventually("everything is gone", async || {
        // The gateway itself is a zombie until it is waited for, and has no command line.
        processes(&folder).is_empty()
    })
    .await;
    assert!(
        begun.elapsed() < PATIENCE.min(Duration::from_secs(10)),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn without_the_processor_nothing_passes_and_the_answer_is_json_rpc() {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).serve_beside(&[], &[]).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    puppet.forget_requests();
    drop(gateway.programs.remove(0));
    let response = client
        .ask("tools/call", &json!({"name": "up_echo", "arguments": {}}))
        .await;
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(response.media(), "application/json");
    assert_eq!(response.message()["error"]["code"], -31014);
    assert!(puppet.posted("tools/call").is_empty(), "nothing passed");
}

#[tokio::test]
async fn a_processor_that_was_killed_under_its_envoy_goes_on_where_it_was() {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).serve_beside(&[], &[]).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    let other = gateway.client().await;
    assert!(
        (200..300).contains(&other.delete().await),
        "written down, and all before it"
    );
    drop(gateway.programs.remove(0));
    let first = puppet.posted("tools/call").remove(0);
    puppet.forget_requests();
    let mut command = gateway.setup.command(&["serve", "-f"]);
    command.arg(gateway.setup.file());
    let mut again = crate::e2e::harness::program::Program::start(&mut command);
    again.says("ready ").await;
    gateway.programs.insert(0, again);
    eventually("Envoy has found it", async || {
        client.ask("ping", &json!({})).await.status == 200
    })
    .await;
    assert_eq!(client.text_of("up_echo", &json!({})).await, "echo");
    assert_eq!(other.ask("tools/list", &json!({})).await.status, 404);
    let own: Vec<_> = puppet.posted("tools/call");
    assert_eq!(
        own[0].header("mcp-session-id"),
        first.header("mcp-session-id"),
        "the upstream session is the old one"
    );
}

#[tokio::test]
async fn a_processor_that_hangs_is_noticed_and_forgiven() {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).serve_beside(&[], &[]).await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    gateway.program().signal("STOP");
    let begun = Instant::now();
    let response = client
        .ask("tools/call", &json!({"name": "up_echo", "arguments": {}}))
        .await;
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(response.message()["error"]["code"], -31014);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    gateway.program().signal("CONT");
    eventually("it goes on", async || {
        client
            .ask("tools/call", &json!({"name": "up_echo", "arguments": {}}))
            .await
            .status
            == 200
    })
    .await;
    assert_eq!(client.text_of("up_echo", &json!({})).await, "echo");
}
