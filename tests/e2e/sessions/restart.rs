//! A gateway killed hard and started again on the same state folder: its clients go on.

use crate::e2e::harness::check::refused;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::Puppet;
use serde_json::json;

#[tokio::test]
async fn clients_go_on_after_the_gateway_was_killed() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let (busy, idle, ended) = (gateway.client().await, gateway.client().await, gateway.client().await);
    busy.rpc("logging/setLevel", &json!({"level": "error"})).await;
    idle.rpc("logging/setLevel", &json!({"level": "debug"})).await;
    busy.text_of("up_echo", &json!({})).await;
    ended.text_of("up_echo", &json!({})).await;
    assert!((200..300).contains(&ended.delete().await));
    let of_busy = puppet.posted("tools/call")[0]
        .header("mcp-session-id")
        .map(str::to_owned);
    // DELETE was answered, so everything before it is on disk too.
    let setup = gateway.kill();
    let gateway = setup.up().await;
    puppet.forget_requests();
    let (busy, idle, ended) = (
        busy.moved_to(gateway.address),
        idle.moved_to(gateway.address),
        ended.moved_to(gateway.address),
    );
    assert_eq!(busy.text_of("up_echo", &json!({})).await, "echo");
    let call = puppet.posted("tools/call").pop().expect("it came through");
    assert_eq!(
        call.header("mcp-session-id").map(str::to_owned),
        of_busy,
        "the binding was kept"
    );
    assert!(puppet.posted("initialize").is_empty(), "no second handshake");
    refused(
        "ended before",
        &ended.ask("tools/list", &json!({})).await,
        404,
        -32001,
        "2",
    );
    assert_eq!(idle.text_of("up_echo", &json!({})).await, "echo");
    puppet
        .until("the level was kept", |seen| {
            seen.iter().any(|seen| seen.method == "logging/setLevel")
        })
        .await;
    assert_eq!(puppet.posted("logging/setLevel")[0].json()["params"]["level"], "debug");
}

#[tokio::test]
async fn an_upstream_that_is_down_at_a_restart_keeps_its_last_good_list() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["up_echo"]);
    let setup = gateway.kill();
    drop(puppet);
    let gateway = setup.up().await;
    let client = client.moved_to(gateway.address);
    assert_eq!(client.tools().await, ["up_echo"], "the last good list");
    let message = client.call("up_echo", &json!({})).await;
    assert_eq!(message["error"]["code"], -31010, "{message}");
}
