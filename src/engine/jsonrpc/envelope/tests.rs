//! What is accepted, what is refused, and that nothing makes it panic.

use super::*;
use proptest::prelude::*;

fn mk_error(body: &str) -> EnvelopeError {
    Envelope::scan(body.as_bytes(), 128).expect_err(body)
}

#[test]
fn a_call_is_found_in_place() {
    let body = br#" {"jsonrpc":"2.0","id":"a\u0031","method":"tools/call","params":{"name":"x","arguments":{"n":12345678901234567890}}} "#;
    let envelope = Envelope::scan(body, 128).expect("a call");
    assert_eq!(
        envelope.shape,
        Shape::Request {
            id: Id(r#""a\u0031""#),
            method: "tools/call".into()
        }
    );
    let name = envelope.params.raw("name").expect("name");
    assert_eq!(&body[envelope.span(name)], br#""x""#);
    assert_eq!(envelope.params.raw("arguments"), Some(r#"{"n":12345678901234567890}"#));
}

#[test]
fn a_name_given_twice_is_rejected() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","m\u0065thod":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"name":"a","n\u0061me":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"k":1,"k":2}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","odd":1,"odd":2}"#,
    ] {
        assert!(
            matches!(mk_error(body), EnvelopeError::DuplicateKey(_)),
            "the upstream may read the other one: {body}"
        );
    }
}

#[test]
fn what_is_no_message_is_told_apart() {
    for (body, expected) in [
        ("", EnvelopeError::NotJson),
        ("{", EnvelopeError::NotJson),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x"} x"#, EnvelopeError::NotJson),
        ("[]", EnvelopeError::Batch),
        ("[", EnvelopeError::NotJson),
        ("7", EnvelopeError::NotAnObject),
        (
            r#"{"id":1,"method":"x"}"#,
            EnvelopeError::WrongType("jsonrpc must be \"2.0\""),
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            EnvelopeError::WrongType("id must be a string or an integer"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
            EnvelopeError::WrongType("id must be a string or an integer"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            EnvelopeError::WrongType("method must be a string"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#,
            EnvelopeError::WrongType("params must be an object"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1}"#,
            EnvelopeError::WrongType("method is missing"),
        ),
    ] {
        assert_eq!(mk_error(body), expected, "{body}");
    }
}

#[test]
fn an_id_is_readable_only_without_doubt() {
    assert_eq!(Envelope::readable_id(br#"{"id":7,"x":1,"x":2}"#), Some(Id("7")));
    assert_eq!(Envelope::readable_id(br#"{"id":7,"id":8}"#), None);
    assert_eq!(Envelope::readable_id(br#"{"id":null}"#), None);
    assert_eq!(Envelope::readable_id(br#"{"id":7"#), None);
}

#[test]
fn integers_of_any_size_are_ids() {
    let body = br#"{"jsonrpc":"2.0","id":-123456789012345678901234567890,"method":"x"}"#;
    let envelope = Envelope::scan(body, 128).expect("a request");
    assert!(matches!(
        envelope.shape,
        Shape::Request {
            id: Id("-123456789012345678901234567890"),
            ..
        }
    ));
}

#[test]
fn many_keys_cost_no_square() {
    let members: Vec<String> = (0..100_000).map(|at| format!(r#""k{at}":0"#)).collect();
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{{}}}}}"#,
        members.join(",")
    );
    assert_eq!(
        Envelope::scan(body.as_bytes(), 128)
            .expect("a request")
            .params
            .members
            .len(),
        100_000
    );
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body: Vec<u8>, depth in 0u32..200) {
        let _ = Envelope::scan(&body, depth);
        let _ = Envelope::readable_id(&body);
    }

    #[test]
    fn what_is_accepted_is_json(text in r#"\{("(jsonrpc|id|method|params|x)":("2.0"|1|null|\{\}|"\\u00e9"|\[1\]),?){0,5}\}"#) {
        if Envelope::scan(text.as_bytes(), 128).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
