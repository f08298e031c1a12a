//! There and back again: what a legacy side says comes back as it was said, whatever the modern one between was told.

use super::{down, up};
use crate::engine::era::modern::request::{Introduction, introduce};
use crate::engine::mcp::{Method, Version};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

/// JSON of any shape, a few levels deep.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z/]{1,5}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_method() -> impl Strategy<Value = Method> {
    let methods = [
        Method::ToolsCall,
        Method::PromptsGet,
        Method::ResourcesRead,
        Method::Complete,
    ];
    proptest::sample::select(methods.to_vec())
}

fn bytes(value: &Value) -> Bytes {
    value.to_string().into()
}

/// A legacy upstream's answer as a modern client gets it.
fn to_modern(message: &Value, method: Method) -> Bytes {
    let terms = down::Terms {
        id: "\"modern\"",
        own: "\"own\"",
        method,
        uri: Some("a://b"),
        logs: true,
        capabilities: "{}",
    };
    let said = down::answer::read(&terms, &bytes(message));
    let (down::Said::Result(body) | down::Said::Error { body, .. }) = said else {
        panic!("{message}: {said:?}")
    };
    body
}

/// That, as a modern upstream's answer to a legacy client.
fn to_legacy(message: &Bytes, method: Method) -> Value {
    let answer = up::read(message, up::Asked { method, id: b"\"own\"" });
    let up::Answer::Final { message, .. } = answer else {
        panic!("{answer:?}")
    };
    serde_json::from_slice(&message).expect("JSON")
}

proptest! {
    #[test]
    fn a_request_comes_back_as_it_was(
        method in any_method(),
        arguments in any_value(),
        meta in proptest::option::of(any_value()),
        name in ".{0,8}",
    ) {
        let mut request = json!({"jsonrpc": "2.0", "id": "own", "method": method.as_str(), "params": {"name": name, "arguments": arguments}});
        if let Some(meta) = meta {
            request["params"]["_meta"] = json!({"progressToken": 7, "other/key": meta});
        }
        let sender = Introduction {
            version: Version::V2026_07_28,
            capabilities: r#"{"sampling":{}}"#,
            info: r#"{"name":"c","version":"1"}"#,
            level: Some("info"),
        };
        let modern = introduce(&bytes(&request), &sender, None).expect("a request");
        let taken = down::request::take(&modern, "\"own\"").expect("a request");
        let mut back: Value = serde_json::from_slice(&taken.body).expect("JSON");
        // Where nothing was said of itself, nothing is said.
        let params = back["params"].as_object_mut().expect("params");
        if params.get("_meta").is_some_and(|meta| *meta == json!({})) {
            params.remove("_meta");
        }
        prop_assert_eq!(back, request);
        prop_assert_eq!(taken.capabilities.as_ref(), sender.capabilities);
        prop_assert_eq!(taken.info.as_deref(), Some(sender.info));
        prop_assert_eq!(taken.level.as_deref(), Some("\"info\""));
    }

    #[test]
    fn a_result_comes_back_as_it_was(method in any_method(), text in ".{0,9}", more in any_value(), is_error: bool) {
        let result = json!({"content": [{"type": "text", "text": text}], "isError": is_error, "more": more, "_meta": {"k": text}});
        let answer = json!({"jsonrpc": "2.0", "id": "own", "result": result});
        prop_assert_eq!(to_legacy(&to_modern(&answer, method), method), answer);
    }

    #[test]
    fn an_error_comes_back_as_it_was(method in any_method(), code in -32010_i64..-31000, words in ".{0,9}", data in any_value()) {
        // That there is no such resource can only be said of one.
        prop_assume!(method == Method::ResourcesRead || code != -32002);
        let data = if code == -32002 { json!({"uri": "a://b"}) } else { data };
        let answer = json!({"jsonrpc": "2.0", "id": "own", "error": {"code": code, "message": words, "data": data}});
        prop_assert_eq!(to_legacy(&to_modern(&answer, method), method), answer);
    }
}

#[test]
fn a_resource_that_nobody_has_is_not_found_on_both_sides() {
    let answer =
        json!({"jsonrpc": "2.0", "id": "own", "error": {"code": -32002, "message": "m", "data": {"uri": "a://b"}}});
    let modern = to_modern(&answer, Method::ResourcesRead);
    let seen: Value = serde_json::from_slice(&modern).expect("JSON");
    assert_eq!(seen["error"]["code"], -32602);
    assert_eq!(to_legacy(&modern, Method::ResourcesRead), answer);
}
