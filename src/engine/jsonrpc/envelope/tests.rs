//! What is accepted, what is refused, and that nothing makes it panic.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn scan(body: &str) -> Result<Envelope<'_>, EnvelopeError> {
    Envelope::scan(body.as_bytes(), 128)
}

fn refusal(body: &str) -> EnvelopeError {
    scan(body).expect_err(body)
}

fn twice(key: &str) -> EnvelopeError {
    EnvelopeError::DuplicateKey(key.to_owned())
}

fn is_wrong_type(body: &str) -> bool {
    matches!(refusal(body), EnvelopeError::WrongType(_))
}

#[test]
fn a_request_shows_id_method_and_members_as_they_stand() {
    let body = r#" {"jsonrpc":"2.0","id": 12345678901234567890123,"method":"tools/call","params":{"name":"a","arguments": {"n": 1e999},"_meta":{"progressToken":7}}} "#;
    let envelope = scan(body).unwrap();
    let (id, method) = (Id("12345678901234567890123"), "tools/call".into());
    assert_eq!(envelope.shape, Shape::Request { id, method });
    assert_eq!(envelope.params.string("name").as_deref(), Some("a"));
    assert_eq!(
        envelope.params.raw("arguments"),
        Some(r#"{"n": 1e999}"#),
        "arguments stay raw, whatever they hold"
    );
    assert_eq!(envelope.meta.unwrap().raw("progressToken"), Some("7"));
}

#[test]
fn shapes_are_told_apart() {
    let method = || Cow::from("ping");
    let id = Id(r#""\u0061""#);
    let cases = [
        (
            r#"{"jsonrpc":"2.0","method":"ping"}"#,
            Shape::Notification { method: method() },
        ),
        (
            r#"{"jsonrpc":"2.0","method":"ping","id":"\u0061"}"#,
            Shape::Request { id, method: method() },
        ),
        (
            r#"{"jsonrpc":"2.0","id":"\u0061","result":null}"#,
            Shape::Response { id },
        ),
        (r#"{"jsonrpc":"2.0","id":"\u0061","error":{}}"#, Shape::Response { id }),
    ];
    for (body, shape) in cases {
        assert_eq!(scan(body).expect(body).shape, shape, "{body}");
    }
}

#[test]
fn escaped_keys_and_values_are_decoded() {
    let body = r#"{"jsonrpc":"\u0032.0","m\u0065thod":"tools\/call","params":{"n\u0061me":"a\nb","\u005fmeta":{"k":1}},"id":1}"#;
    let envelope = scan(body).unwrap();
    assert!(matches!(envelope.shape, Shape::Request { method, .. } if method == "tools/call"));
    assert_eq!(envelope.params.string("name").as_deref(), Some("a\nb"));
    assert!(envelope.meta.is_some());
}

#[test]
fn what_is_not_json_is_refused() {
    let request = r#"{"jsonrpc":"2.0","method":"ping","id":1}"#;
    let bodies = [
        "",
        " ",
        "{",
        "[",
        "[1",
        "nonsense",
        "{}x",
        "\u{feff}{}",
        "\u{a0}{}",
        "{\"a\":\"\n\"}",
        r#"{"\ud800":1}"#,
    ];
    for body in bodies {
        assert_eq!(refusal(body), EnvelopeError::NotJson, "{body}");
    }
    for end in 0..request.len() {
        assert_eq!(refusal(&request[..end]), EnvelopeError::NotJson, "cut at {end}");
    }
    assert_eq!(refusal(&format!("{request}{request}")), EnvelopeError::NotJson);
    assert_eq!(Envelope::scan(b"{\"a\":\"\xff\"}", 128), Err(EnvelopeError::NotJson));
    assert_eq!(
        refusal(r#"{"params":[],"a"}"#),
        EnvelopeError::NotJson,
        "broken after what has the wrong type"
    );
}

#[test]
fn json_that_is_not_one_object_is_refused() {
    assert_eq!(
        refusal(r#" [{"jsonrpc":"2.0","method":"ping","id":1}]"#),
        EnvelopeError::Batch
    );
    for body in ["1", "null", "\"a\"", "true"] {
        assert_eq!(refusal(body), EnvelopeError::NotAnObject, "{body}");
    }
}

#[test]
fn members_of_the_wrong_type_are_refused() {
    for version in ["2.0", "\"1.0\"", "null", "\"2.0 \"", "\"\\ud800\"", "[]"] {
        assert!(
            is_wrong_type(&format!(r#"{{"jsonrpc":{version},"method":"ping","id":1}}"#)),
            "jsonrpc {version}"
        );
    }
    for id in ["null", "1.5", "1e3", "1.0", "true", "{}", "[]"] {
        assert!(
            is_wrong_type(&format!(r#"{{"jsonrpc":"2.0","method":"ping","id":{id}}}"#)),
            "id {id}"
        );
    }
    for method in ["1", "null", "{}", "\"\\ud800\""] {
        assert!(
            is_wrong_type(&format!(r#"{{"jsonrpc":"2.0","method":{method},"id":1}}"#)),
            "method {method}"
        );
    }
    for params in ["[]", "null", "1", "\"a\"", "true"] {
        let (before, after) = (r#"{"jsonrpc":"2.0","method":"ping","id":1"#, r#","other":1}"#);
        assert!(
            is_wrong_type(&format!(r#"{before},"params":{params}{after}"#)),
            "params {params}"
        );
        assert!(
            is_wrong_type(&format!(r#"{before},"params":{{"_meta":{params}}}{after}"#)),
            "_meta {params}"
        );
    }
}

#[test]
fn neither_or_both_of_method_and_outcome_are_refused() {
    let members = [
        "",
        r#","id":1"#,
        r#","method":"a","result":1"#,
        r#","method":"a","id":1,"error":1"#,
        r#","result":1"#,
    ];
    for more in members {
        assert!(is_wrong_type(&format!(r#"{{"jsonrpc":"2.0"{more}}}"#)), "{more}");
    }
    assert!(is_wrong_type(r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#));
}

#[test]
fn a_key_that_stands_twice_is_refused_however_it_is_escaped() {
    let start = r#"{"jsonrpc":"2.0","method":"a""#;
    let cases = [
        (r#","method":"b"}"#, "method"),
        (r#","m\u0065thod":"b"}"#, "method"),
        (r#","params":{},"params":{}}"#, "params"),
        (r#","id":1,"\u0069d":2}"#, "id"),
        (r#","x":1,"\u0078":2}"#, "x"),
        (r#","params":{"name":1,"n\u0061me":2}}"#, "name"),
        (r#","params":{"_meta":{},"\u005fmeta":{}}}"#, "_meta"),
        (r#","params":{"_meta":{"a/b":1,"a\/b":2}}}"#, "a/b"),
    ];
    for (rest, key) in cases {
        assert_eq!(refusal(&format!("{start}{rest}")), twice(key), "{rest}");
    }
    assert!(
        scan(&format!(r#"{start},"params":{{"arguments":{{"a":1,"a":2}}}}}}"#)).is_ok(),
        "arguments are not ours"
    );
}

#[test]
fn a_key_that_stands_twice_among_many_is_refused() {
    let many: Vec<String> = (0..20_000).map(|n| format!(r#""k{n}":1"#)).collect();
    let body = |more: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"a","params":{{{}{more}}}}}"#,
            many.join(",")
        )
    };
    assert!(scan(&body("")).is_ok());
    assert_eq!(refusal(&body(r#","k\u0037":1"#)), twice("k7"));
}

#[test]
fn nesting_is_allowed_up_to_the_limit() {
    let body = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{"a":{open}{close}}},"b":"\"[[[[{{"}}"#)
    };
    let at = |levels: usize, depth: u32| Envelope::scan(body(levels).as_bytes(), depth).map(drop);
    assert_eq!(at(126, 128), Ok(()), "body and params are two levels");
    assert_eq!(at(127, 128), Err(EnvelopeError::TooDeep(128)));
    assert_eq!(at(1, 3), Ok(()), "brackets in strings do not nest");
    assert_eq!(at(100_000, 128), Err(EnvelopeError::TooDeep(128)));
    assert_eq!(at(100_000, 200_000), Ok(()), "no recursion, so no stack to overflow");
}

#[test]
fn ids_of_refused_bodies_are_read_where_there_is_no_doubt() {
    let id = |body: &'static str| Envelope::readable_id(body.as_bytes()).map(|id| id.0);
    assert_eq!(id(r#"{"id":7,"method":"a","method":"b"}"#), Some("7"));
    assert_eq!(id(r#"{"params":[],"id":"x"}"#), Some("\"x\""));
    assert_eq!(
        id(r#"{"id":7,"\u0069d":7}"#),
        None,
        "the upstream may read the other one"
    );
    for body in [
        r#"[{"id":7}]"#,
        r#"{"id":null}"#,
        r#"{"id":1.5}"#,
        r#"{"id":7"#,
        r#"{"id":7}}"#,
        "",
        "7",
        "{}",
    ] {
        assert_eq!(id(body), None, "{body}");
    }
}

#[test]
fn spans_tell_where_a_slice_stands() {
    let body = r#"{"jsonrpc":"2.0","id":"i","method":"m","params":{"name":"tool"}}"#;
    let envelope = scan(body).unwrap();
    let span = envelope.span(envelope.params.raw("name").unwrap());
    assert_eq!(&body[span], "\"tool\"");
    assert_eq!(envelope.span(body), 0..body.len());
    assert_eq!(envelope.span("foreign"), 0..0);
}

/// JSON values, a few levels deep.
pub(super) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// `key` as a JSON string in which the characters chosen by `mask` are written as escapes.
fn escaped(key: &str, mask: u32) -> String {
    let unit = |(index, unit): (usize, u16)| match char::from_u32(unit.into()) {
        Some(plain) if plain.is_ascii_alphanumeric() && mask >> (index % 32) & 1 == 0 => plain.to_string(),
        Some(_) | None => format!("\\u{unit:04x}"),
    };
    format!("\"{}\"", key.encode_utf16().enumerate().map(unit).collect::<String>())
}

proptest! {
    #[test]
    fn any_bytes_are_scanned_without_panic(body in prop::collection::vec(any::<u8>(), 0..200), depth in 0_u32..5) {
        let _ = Envelope::scan(&body, depth);
        let _ = Envelope::readable_id(&body);
    }

    #[test]
    fn whatever_is_accepted_is_json(body in r#"[ \t\n]{0,2}\{("jsonrpc":"2.0",?)?("id":[0-9".]{1,3},?)?("method":"a",?)?("params":[{}\[\]",:a1]{0,5})?\}? ?"#) {
        if let Ok(envelope) = scan(&body) {
            prop_assert!(serde_json::from_str::<Value>(envelope.text).is_ok());
        }
        if Envelope::readable_id(body.as_bytes()).is_some() {
            prop_assert!(serde_json::from_str::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn members_are_those_of_the_parsed_tree(params in json()) {
        let body = serde_json::json!({"jsonrpc": "2.0", "method": "a", "id": 1, "params": params}).to_string();
        let Some(tree) = params.as_object() else {
            prop_assert!(is_wrong_type(&body));
            return Ok(());
        };
        let envelope = scan(&body).unwrap();
        prop_assert_eq!(envelope.params.members.len(), tree.len());
        for (key, value) in tree {
            let raw = envelope.params.raw(key).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(raw).unwrap(), value);
            let text = envelope.params.string(key);
            prop_assert_eq!(text.as_deref(), value.as_str());
            prop_assert_eq!(&body[envelope.span(raw)], raw);
        }
    }

    #[test]
    fn a_key_given_twice_is_always_refused(key in ".{0,6}", masks: (u32, u32), others in 0_usize..30, level in 0..3) {
        let twins = format!("{}:1,{}:2", escaped(&key, masks.0), escaped(&key, masks.1));
        let others: String = (0..others).map(|n| format!(r#""other {n}":{{}},"#)).collect();
        let body = match level {
            0 => format!(r#"{{"jsonrpc":"2.0","method":"a",{others}{twins}}}"#),
            1 => format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{{others}{twins}}}}}"#),
            _ => format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{"_meta":{{{others}{twins}}}}}}}"#),
        };
        prop_assert_eq!(refusal(&body), twice(&key));
    }
}
