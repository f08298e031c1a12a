//! What a legacy upstream asks its client for becomes input that a modern client brings along when it calls again.

use super::{ALL, before_the_fixture, call, request};
use crate::e2e::harness::gateway::Gateway;
use serde_json::{Value, json};

/// The `result` of a call.
async fn result(gateway: &Gateway, id: u32, tool: &str, params: Value) -> Value {
    let message = call(id, tool, params).send(gateway.address).await.message();
    assert_eq!(message["id"], id, "{message}");
    message["result"].clone()
}

/// Answers to all that is asked for.
fn answers(asked: &Value) -> Value {
    let requests = asked["inputRequests"].as_object().expect("something is asked for");
    let answer = |request: &Value| match request["method"].as_str() {
        Some("elicitation/create") => json!({"action": "accept", "content": {"name": "Ada", "color": "blue"}}),
        Some("sampling/createMessage") => {
            json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Paris"}})
        }
        Some("roots/list") => json!({"roots": [{"uri": "file:///a"}]}),
        _ => panic!("{request}"),
    };
    let answers = requests.iter().map(|(key, request)| (key.clone(), answer(request)));
    Value::Object(answers.collect())
}

/// What a client sends when it comes back.
fn retry(asked: &Value, answers: &Value) -> Value {
    json!({"arguments": {}, "inputResponses": answers, "requestState": asked["requestState"]})
}

fn first() -> Value {
    json!({"arguments": {}})
}

#[tokio::test]
async fn every_kind_of_request_is_put_to_the_client_and_its_answer_reaches_the_upstream() {
    let (_program, gateway) = before_the_fixture().await;
    for (tool, expected) in [
        ("test_input_required_result_elicitation", "Hello, Ada!"),
        ("test_input_required_result_sampling", "Paris"),
        ("test_input_required_result_list_roots", "file:///a"),
        ("test_input_required_result_multiple_inputs", "all three"),
    ] {
        let asked = result(&gateway, 1, tool, first()).await;
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let done = result(&gateway, 2, tool, retry(&asked, &answers(&asked))).await;
        assert_eq!(done["resultType"], "complete", "{done}");
        let text = done["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(expected), "{done}");
    }
}

#[tokio::test]
async fn a_call_may_take_several_rounds() {
    let (_program, gateway) = before_the_fixture().await;
    let tool = "test_input_required_result_multi_round";
    let first = result(&gateway, 1, tool, first()).await;
    let second = result(&gateway, 2, tool, retry(&first, &answers(&first))).await;
    assert_eq!(second["resultType"], "input_required", "{second}");
    assert_ne!(first["requestState"], second["requestState"]);
    let done = result(&gateway, 3, tool, retry(&second, &answers(&second))).await;
    assert_eq!(done["resultType"], "complete", "{done}");
}

#[tokio::test]
async fn what_is_missing_is_asked_for_again_and_what_is_more_is_ignored() {
    let (_program, gateway) = before_the_fixture().await;
    let tool = "test_input_required_result_multiple_inputs";
    let asked = result(&gateway, 1, tool, first()).await;
    let mut some = answers(&asked);
    let keys: Vec<String> = some
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect();
    let left = some
        .as_object_mut()
        .and_then(|some| some.remove(&keys[1]))
        .expect("three");
    some["nobody"] = json!({"action": "accept"});
    let again = result(&gateway, 2, tool, retry(&asked, &some)).await;
    let open: Vec<&String> = again["inputRequests"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(open, [&keys[1]], "{again}");
    let done = result(&gateway, 3, tool, retry(&again, &json!({ keys[1].clone(): left }))).await;
    assert_eq!(done["resultType"], "complete", "{done}");
}

#[tokio::test]
async fn a_state_is_good_once_and_for_its_request_alone() {
    let (_program, gateway) = before_the_fixture().await;
    let tool = "test_input_required_result_elicitation";
    let asked = result(&gateway, 1, tool, first()).await;
    let state = asked["requestState"].as_str().expect("a state").to_owned();
    let refused = async |tool: &str, params: Value| {
        let response = call(7, tool, params).send(gateway.address).await;
        let message = response.message();
        assert_eq!(
            (response.status, message["error"]["code"].clone()),
            (200, json!(-32602)),
            "{message}"
        );
    };
    let mut tampered = retry(&asked, &answers(&asked));
    tampered["requestState"] = json!(format!("{state}x"));
    refused(tool, tampered).await;
    refused("test_input_required_result_sampling", retry(&asked, &answers(&asked))).await;
    let mut other = retry(&asked, &answers(&asked));
    other["arguments"] = json!({"more": 1});
    refused(tool, other).await;
    let done = result(&gateway, 2, tool, retry(&asked, &answers(&asked))).await;
    assert_eq!(
        done["resultType"], "complete",
        "those who failed have not used it up: {done}"
    );
    refused(tool, retry(&asked, &answers(&asked))).await;
}

#[tokio::test]
async fn clients_that_are_asked_at_once_do_not_meet() {
    let (_program, gateway) = before_the_fixture().await;
    let tool = "test_elicitation";
    let ask = async |name: String| {
        let arguments = json!({"message": name});
        let asked = result(&gateway, 1, tool, json!({"arguments": arguments})).await;
        assert_eq!(asked["inputRequests"]["input-1"]["params"]["message"], name, "{asked}");
        asked
    };
    let names: Vec<String> = (0..8).map(|at| format!("client {at}")).collect();
    let asked = futures_util::future::join_all(names.iter().map(|name| ask(name.clone()))).await;
    let answer = async |name: &String, asked: &Value| {
        let content = json!({"username": name, "email": "a@b"});
        let answer = json!({"input-1": {"action": "accept", "content": content}});
        let mut params = retry(asked, &answer);
        params["arguments"] = json!({"message": name});
        let done = result(&gateway, 2, tool, params).await;
        let text = done["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(&format!("\"{name}\"")), "{done}");
    };
    // The last one asked comes back first.
    futures_util::future::join_all(names.iter().zip(&asked).rev().map(|(name, asked)| answer(name, asked))).await;
}

#[tokio::test]
async fn an_upstream_that_dies_while_its_call_waits_is_an_error_of_that_call() {
    let (program, gateway) = before_the_fixture().await;
    let tool = "test_input_required_result_elicitation";
    let asked = result(&gateway, 1, tool, first()).await;
    drop(program);
    let message = call(2, tool, retry(&asked, &answers(&asked)))
        .send(gateway.address)
        .await
        .message();
    assert_eq!(message["error"]["code"], -31010, "{message}");
    assert_eq!(message["error"]["data"]["upstream"], "fixture");
}

#[tokio::test]
async fn a_client_that_can_nothing_is_asked_nothing() {
    let (_program, gateway) = before_the_fixture().await;
    let params = json!({"name": "test_input_required_result_capabilities", "arguments": {}});
    for (capabilities, methods) in [
        (r#"{"sampling":{}}"#, vec!["sampling/createMessage"]),
        (ALL, vec!["elicitation/create", "roots/list", "sampling/createMessage"]),
    ] {
        let asking = request(1, "tools/call", &params, capabilities, &json!({}));
        let asked = asking.send(gateway.address).await.message();
        let requests = asked["result"]["inputRequests"].as_object().into_iter().flatten();
        let mut found: Vec<&str> = requests.filter_map(|(_, request)| request["method"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, methods, "{asked}");
    }
    let nothing = request(1, "tools/call", &params, "{}", &json!({}));
    let done = nothing.send(gateway.address).await.message();
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
}
