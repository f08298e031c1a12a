//! A legacy upstream that sends the user elsewhere first (-32042), and one behind an Envoy that buffers requests.

use super::{call, request};
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::tools;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server whose tool wants the user to sign in before the first call.
async fn signing_in() -> Puppet {
    let puppet = Puppet::start(&["pay"]).await;
    let calls = AtomicUsize::new(0);
    puppet.play(move |seen| {
        (seen.method == "tools/call").then(|| {
            if calls.fetch_add(1, Ordering::Relaxed) > 0 {
                return seen.result(&json!({"content": [{"type": "text", "text": "paid"}]}));
            }
            let elicitation =
                json!({"mode": "url", "elicitationId": "e-1", "url": "https://bank.example/in", "message": "Sign in"});
            let error = json!({"code": -32042, "message": "sign in first", "data": {"elicitations": [elicitation]}});
            Act::text(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, seen.id))
        })
    });
    puppet
}

#[tokio::test]
async fn the_user_is_sent_elsewhere_and_the_call_is_made_anew() {
    let puppet = signing_in().await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let asked = call(1, "up_pay", json!({"arguments": {"n": 1}}))
        .send(gateway.address)
        .await
        .message();
    let asked = &asked["result"];
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let (key, input) = asked["inputRequests"]
        .as_object()
        .and_then(|all| all.iter().next())
        .expect("one");
    assert_eq!(
        (&input["method"], &input["params"]["mode"]),
        (&json!("elicitation/create"), &json!("url"))
    );
    assert_eq!(input["params"]["url"], "https://bank.example/in");
    let mut retry = json!({"arguments": {"n": 1}, "requestState": asked["requestState"]});
    retry["inputResponses"] = json!({ key.clone(): {"action": "accept"} });
    let done = call(2, "up_pay", retry).send(gateway.address).await.message();
    assert_eq!(done["result"]["content"][0]["text"], "paid", "{done}");
    let bodies: Vec<Value> = puppet
        .posted("tools/call")
        .iter()
        .map(|seen| seen.json()["params"]["arguments"].clone())
        .collect();
    assert_eq!(bodies, [json!({"n": 1}), json!({"n": 1})]);
}

#[tokio::test]
async fn who_cannot_be_sent_elsewhere_hears_why() {
    let puppet = signing_in().await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let params = json!({"name": "up_pay", "arguments": {}});
    let refused = request(1, "tools/call", &params, "{}", &json!({}))
        .send(gateway.address)
        .await
        .message();
    assert!(refused["error"]["code"].is_i64(), "{refused}");
    assert_ne!(
        refused["error"]["code"], -32042,
        "no code of another revision: {refused}"
    );
}

#[tokio::test]
async fn behind_buffered_requests_input_is_asked_for_all_the_same() {
    let mut program = Program::start(Command::new(tools::example("upstream")).args(["--eras", "legacy"]));
    let url = program.says("listening ").await;
    let setup = Setup::new().upstream_with("fixture", &url, "prefix: ''");
    let gateway = setup.start(Wiring::Buffered).await;
    let simple = call(1, "test_simple_text", json!({"arguments": {}}))
        .send(gateway.address)
        .await
        .message();
    assert_eq!(simple["result"]["resultType"], "complete", "{simple}");
    let tool = "test_input_required_result_elicitation";
    let asked = call(2, tool, json!({"arguments": {}}))
        .send(gateway.address)
        .await
        .message();
    let asked = &asked["result"];
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let (key, _) = asked["inputRequests"]
        .as_object()
        .and_then(|all| all.iter().next())
        .expect("one");
    let answer = json!({ key.clone(): {"action": "accept", "content": {"name": "Ada"}} });
    let retry = json!({"arguments": {}, "requestState": asked["requestState"], "inputResponses": answer});
    let done = call(3, tool, retry).send(gateway.address).await.message();
    assert_eq!(done["result"]["content"][0]["text"], "Hello, Ada!", "{done}");
}
