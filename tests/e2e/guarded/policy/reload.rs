//! Other rules while calls run: an exchange keeps the rules that it began with.

use crate::e2e::harness::client::rpc;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::http;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::stream::Stream;
use serde_json::json;
use tokio::sync::watch;

#[tokio::test]
async fn a_running_call_ends_under_its_own_rules_and_clients_hear_of_other_lists() {
    let puppet = Puppet::start(&["slow", "fast"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = gateway.client().await;
    let get = crate::e2e::harness::client::Request::bare("GET")
        .with("accept", "text/event-stream")
        .session(&client.session);
    let mut stream = Stream::open(gateway.address, &get).await;
    let (gate, closed) = watch::channel(false);
    puppet.play(move |seen| (seen.method == "tools/call").then(|| Act::Wait(closed.clone())));
    let request = client
        .request(rpc("slow", "tools/call", &json!({"name": "up_slow"})))
        .bytes();
    let address = gateway.address;
    let running = tokio::spawn(async move { http::exchange(address, &request).await });
    puppet
        .until("the call runs", |seen| {
            seen.iter().any(|seen| seen.method == "tools/call")
        })
        .await;
    puppet.behave();

    let denied = gateway
        .setup
        .clone()
        .with(r#"policies: { rules: [ { name: r, deny: "tool.name == 'up_slow'" } ] }"#);
    denied.write();
    eventually("the list is another one", async || client.tools().await == ["up_fast"]).await;
    assert_eq!(stream.message().await["method"], "notifications/tools/list_changed");
    assert_eq!(client.call("up_slow", &json!({})).await["error"]["code"], -32602);

    gate.send(true).expect("the puppet waits");
    let response = running.await.expect("no panic").expect("a response");
    assert!(
        response.message()["result"]["content"].is_array(),
        "{}",
        response.text()
    );

    gateway.setup.write();
    eventually("everything is listed again", async || {
        client.tools().await == ["up_slow", "up_fast"]
    })
    .await;
}
