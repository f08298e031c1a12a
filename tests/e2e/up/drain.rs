//! TERM and Ctrl-C: what runs is finished, what comes is refused, and then it ends.

use crate::e2e::harness::client::{Request, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup, Wiring};
use crate::e2e::harness::http;
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;
use tokio::sync::watch;

async fn drains(signal: &str, wiring: Wiring) {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).start(wiring).await;
    let client = gateway.client().await;
    let (gate, closed) = watch::channel(false);
    puppet.play(move |seen| (seen.method == "tools/call").then(|| Act::Wait(closed.clone())));
    let request = client
        .request(rpc("slow", "tools/call", &json!({"name": "up_echo", "arguments": {}})))
        .bytes();
    let address = gateway.address;
    let call = tokio::spawn(async move { http::exchange(address, &request).await });
    puppet
        .until("the call runs", |seen| {
            seen.iter().any(|seen| seen.method == "tools/call")
        })
        .await;
    gateway.program().signal(signal);
    refuses_new_ones(&gateway).await;
    assert!(!call.is_finished(), "the call still runs");
    gate.send(true).expect("the puppet waits");
    let response = call.await.expect("no panic").expect("a response");
    assert!(response.whole && response.status == 200, "{response:?}");
    assert_eq!(response.message()["result"]["content"][0]["text"], "echo");
    let status = gateway.program().ends().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.program().output());
}

/// A new request is told to go away, or finds nobody.
async fn refuses_new_ones(gateway: &Gateway) {
    let request = Request::post(rpc(1, "tools/list", &json!({}))).bytes();
    let deadline = std::time::Instant::now() + crate::e2e::harness::PATIENCE;
    loop {
        match http::exchange(gateway.address, &request).await {
            Err(_) => return,
            Ok(response) if response.status == 503 => {
                assert_eq!(response.message()["error"]["code"], -31014, "{response:?}");
                return;
            }
            Ok(response) => assert_eq!(response.status, 200, "{response:?}"),
        }
        assert!(std::time::Instant::now() < deadline, "it still serves");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn term_lets_a_running_call_finish() {
    drains("TERM", Wiring::FullDuplex).await;
}

#[tokio::test]
async fn interrupt_lets_a_running_call_finish() {
    drains("INT", Wiring::FullDuplex).await;
}

#[tokio::test]
async fn term_lets_a_running_call_finish_where_envoy_is_not_ours() {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).start(Wiring::Buffered).await;
    let client = gateway.client().await;
    let (gate, closed) = watch::channel(false);
    puppet.play(move |seen| (seen.method == "tools/call").then(|| Act::Wait(closed.clone())));
    let request = client
        .request(rpc("slow", "tools/call", &json!({"name": "up_echo", "arguments": {}})))
        .bytes();
    let address = gateway.address;
    let call = tokio::spawn(async move { http::exchange(address, &request).await });
    puppet
        .until("the call runs", |seen| {
            seen.iter().any(|seen| seen.method == "tools/call")
        })
        .await;
    gateway.program().signal("TERM");
    gate.send(true).expect("the puppet waits");
    let response = call.await.expect("no panic").expect("a response");
    assert!(response.whole && response.status == 200, "{response:?}");
    assert_eq!(
        gateway.program().ends().await.code(),
        Some(0),
        "{}",
        gateway.program().output()
    );
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once() {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).up().await;
    let begun = std::time::Instant::now();
    gateway.program().signal("TERM");
    assert_eq!(gateway.program().ends().await.code(), Some(0));
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
    let left = gateway.processes();
    assert!(left.is_empty(), "{left:?}");
    assert!(
        puppet.sessions().is_empty(),
        "its discovery session is ended: {:?}",
        puppet.sessions()
    );
}
