//! Rules that read arguments and name neither tool nor method: about whatever carries arguments, and nothing else.

use super::fixture;
use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{Client, modern, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::Response;
use crate::e2e::harness::puppet::Puppet;
use serde_json::{Value, json};

fn setup(expression: &str) -> Setup {
    Setup::new().with(&format!(
        "policies: {{ rules: [ {{ name: bare, deny: \"{expression}\" }} ] }}"
    ))
}

async fn call(gateway: &Gateway, client: &Client, arguments: &str) -> Response {
    let params = format!(r#"{{"name":"bank_pay","arguments":{arguments}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    client.request(body).send(gateway.address).await
}

async fn ask(gateway: &Gateway, client: &Client, method: &str, params: &Value) -> Response {
    client.request(rpc(1, method, params)).send(gateway.address).await
}

#[tokio::test]
async fn a_rule_about_arguments_alone_leaves_the_protocol_alone() {
    let (_fixture, url) = fixture().await;
    let puppet = Puppet::start(&["pay"]).await;
    let setup = setup("arguments.amount > 100");
    let gateway = setup.upstream("up", &url).puppet("bank", &puppet).up().await;
    let client = gateway.client().await;
    for (method, params) in [
        ("ping", json!({})),
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": "test://static-text"})),
        ("logging/setLevel", json!({"level": "info"})),
    ] {
        answered(method, &ask(&gateway, &client, method, &params).await, "1");
    }
    assert!(
        client.tools().await.contains(&"bank_pay".to_owned()),
        "nothing is hidden"
    );
    let discover = modern(1, "server/discover", &json!({}));
    answered("server/discover", &discover.send(gateway.address).await, "1");
    answered("100", &call(&gateway, &client, r#"{"amount":100}"#).await, "1");
    for denied in [r#"{"amount":101}"#, r#"{"amount":"a lot"}"#, "{}", "null"] {
        refused(denied, &call(&gateway, &client, denied).await, 200, -31011, "1");
    }
    let none = ask(&gateway, &client, "tools/call", &json!({"name": "bank_pay"})).await;
    refused("none is given", &none, 200, -31011, "1");
    let odd = json!({"uri": "test://static-text", "arguments": {"amount": 101}});
    let odd = ask(&gateway, &client, "resources/read", &odd).await;
    refused("what should have none has one", &odd, 200, -31011, "1");
    assert_eq!(puppet.posted("tools/call").len(), 1, "one call was allowed");
}

#[tokio::test]
async fn completions_are_judged_by_what_is_typed_and_by_what_is_settled() {
    let (_fixture, url) = fixture().await;
    let setup = setup("has(arguments.arg1) && arguments.arg1 == 'secret'");
    let gateway = setup.upstream("up", &url).up().await;
    let client = gateway.client().await;
    let complete = async |typed: (&str, &str), settled: Value| {
        let params = json!({
            "ref": {"type": "ref/prompt", "name": "up_test_prompt_with_arguments"},
            "argument": {"name": typed.0, "value": typed.1},
            "context": {"arguments": settled},
        });
        ask(&gateway, &client, "completion/complete", &params).await
    };
    answered("open", &complete(("arg1", "sec"), json!({"arg2": "b"})).await, "1");
    answered(
        "another",
        &complete(("arg2", "secret"), json!({"arg1": "a"})).await,
        "1",
    );
    for (what, typed, settled) in [
        ("typed", ("arg1", "secret"), json!({})),
        ("settled", ("arg2", "b"), json!({"arg1": "secret"})),
        ("settled and typed anew", ("arg1", "x"), json!({"arg1": "secret"})),
        ("typed anew", ("arg1", "secret"), json!({"arg1": "x"})),
    ] {
        refused(what, &complete(typed, settled).await, 200, -31011, "1");
    }
}

#[tokio::test]
async fn a_transparent_path_holds_what_carries_arguments_against_the_rule_too() {
    let puppet = Puppet::start(&["pay"]).await;
    let setup = setup("arguments.amount > 100").with("transparent: [ { path: /bank, upstream: bank } ]");
    let gateway = setup.puppet("bank", &puppet).up().await;
    let client = Client::connect(gateway.address).await;
    let post = async |body: String| client.request(body).path("/bank").send(gateway.address).await;
    let message = |method: &str, id: &str, amount: u32| {
        format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{{"arguments":{{"amount":{amount}}}}}}}"#)
    };
    let list = post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned()).await;
    assert_ne!(list.message()["error"]["code"], -31011, "{list:?}");
    refused(
        "a method of its own",
        &post(message("vendor/pay", r#""id":1,"#, 101)).await,
        200,
        -31011,
        "1",
    );
    let silent = post(message("vendor/pay", "", 101)).await;
    assert_eq!(silent.status, 202, "nobody waits for an answer: {silent:?}");
    assert_eq!(puppet.posted("vendor/pay").len(), 0, "neither passed");
    post(message("vendor/pay", r#""id":1,"#, 100)).await;
    post(message("vendor/pay", "", 100)).await;
    assert_eq!(puppet.posted("vendor/pay").len(), 2, "both passed");
}
