use super::*;
use proptest::prelude::*;

fn answer(message: &str, method: Method) -> Answer {
    let message = Bytes::copy_from_slice(message.as_bytes());
    read(&message, Asked { method, id: b"7" })
}

/// The answer that a client gets.
fn seen(message: &str, method: Method) -> String {
    let answer = answer(message, method);
    let Answer::Final { message, .. } = answer else {
        panic!("{answer:?}")
    };
    String::from_utf8(message.into()).expect("text")
}

#[test]
fn what_only_the_modern_era_says_is_gone_and_nothing_else() {
    assert_eq!(
        seen(
            r#"{"jsonrpc":"2.0", "id":7,"result":{"resultType":"complete","content":[ {"n":1.0e2} ],"ttlMs":5,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"x":1}}}"#,
            Method::ToolsCall
        ),
        r#"{"jsonrpc":"2.0", "id":7,"result":{"content":[ {"n":1.0e2} ],"ttlMs":5,"_meta":{"x":1}}}"#,
        "a tool's result has no ttlMs of the protocol's"
    );
    assert_eq!(
        seen(
            r#"{"id":7,"result":{"contents":[],"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{}},"ttlMs":0,"resultType":"complete"}}"#,
            Method::ResourcesRead
        ),
        r#"{"id":7,"result":{"contents":[]}}"#
    );
    let plain = r#"{"id":7,"result":{"completion":{"values":[]},"_meta":{}}}"#;
    assert_eq!(seen(plain, Method::Complete), plain);
}

#[test]
fn the_answer_to_any_round_has_the_clients_id() {
    for message in [r#"{"id":"mg:2","result":{}}"#, r#"{"id":null,"result":{}}"#] {
        assert_eq!(seen(message, Method::ToolsCall), r#"{"id":7,"result":{}}"#);
    }
    assert_eq!(seen(r#"{"result":{}}"#, Method::ToolsCall), r#"{"id":7,"result":{}}"#);
}

#[test]
fn structured_content_that_is_no_object_is_told_as_text() {
    let cases = [
        (
            r#"{"id":7,"result":{"content":[],"structuredContent":[1,"a"]}}"#,
            r#"{"id":7,"result":{"content":[{"type":"text","text":"[1,\"a\"]"}]}}"#,
        ),
        (
            r#"{"id":7,"result":{"structuredContent":7}}"#,
            r#"{"id":7,"result":{"content":[{"type":"text","text":"7"}]}}"#,
        ),
        (
            r#"{"id":7,"result":{"content":[{"type":"image"}],"structuredContent":"x"}}"#,
            r#"{"id":7,"result":{"content":[{"type":"text","text":"\"x\""},{"type":"image"}]}}"#,
        ),
        (
            r#"{"id":7,"result":{"content":[{"type":"text","text":"seven"}],"structuredContent":7}}"#,
            r#"{"id":7,"result":{"content":[{"type":"text","text":"seven"}]}}"#,
        ),
        (
            r#"{"id":7,"result":{"content":[],"structuredContent":null}}"#,
            r#"{"id":7,"result":{"content":[]}}"#,
        ),
        (
            r#"{"id":7,"result":{"content":[],"structuredContent":{"a":1}}}"#,
            r#"{"id":7,"result":{"content":[],"structuredContent":{"a":1}}}"#,
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(seen(message, Method::ToolsCall), expected);
    }
}

#[test]
fn a_resource_that_is_not_found_has_the_code_that_old_clients_know() {
    let modern = r#"{"id":7,"error":{"code": -32602,"message":"no","data":{"uri":"a:b"}}}"#;
    let legacy = r#"{"id":7,"error":{"code": -32002,"message":"no","data":{"uri":"a:b"}}}"#;
    assert_eq!(
        answer(modern, Method::ResourcesRead),
        Answer::Final {
            message: Bytes::from_static(legacy.as_bytes()),
            not_found: true
        }
    );
    assert_eq!(
        seen(modern, Method::ToolsCall),
        modern,
        "a tool's parameter may be called uri"
    );
    let other = r#"{"id":7,"error":{"code":-32602,"message":"no"}}"#;
    assert_eq!(seen(other, Method::ResourcesRead), other);
}

#[test]
fn errors_between_gateway_and_upstream_are_not_the_clients() {
    for code in [-32020, -32022] {
        let message = format!(r#"{{"id":7,"error":{{"code":{code},"message":"no"}}}}"#);
        assert_eq!(answer(&message, Method::ToolsCall), Answer::Refused);
    }
    let message =
        r#"{"id":7,"error":{"code":-32021,"message":"no","data":{"requiredCapabilities":{"sampling":{},"roots":{}}}}}"#;
    assert_eq!(
        answer(message, Method::ToolsCall),
        Answer::Lacking("sampling, roots".into())
    );
    let message = r#"{"id":7,"error":{"code":-32021,"message":"no"}}"#;
    assert_eq!(answer(message, Method::ToolsCall), Answer::Lacking(String::new()));
}

#[test]
fn a_question_is_one_where_the_method_may_ask() {
    let message = r#"{"id":7,"result":{"resultType":"input_required","requestState":"s"}}"#;
    assert!(matches!(answer(message, Method::PromptsGet), Answer::Input(_)));
    assert_eq!(answer(message, Method::Complete), Answer::Garbage);
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let progress = r#"{"method":"notifications/progress","params":{}}"#;
    assert_eq!(answer(progress, Method::ToolsCall), Answer::Notification);
    for message in [
        r#"{"id":1,"method":"roots/list"}"#,
        r#"{"id":7,"result":{"resultType":"task"}}"#,
        r#"{"id":7,"result":[]}"#,
        r#"{"id":7,"error":{"code":"x"}}"#,
        "{}",
        "[]",
        "\u{1}",
    ] {
        assert_eq!(answer(message, Method::ToolsCall), Answer::Garbage, "{message}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(message: Vec<u8>) {
        let _ = read(&message.into(), Asked { method: Method::ToolsCall, id: b"7" });
    }

    #[test]
    fn every_byte_of_a_result_that_is_not_of_the_modern_era_stays(
        values in proptest::collection::vec(proptest::sample::select(vec!["1.0e2", " [ ]", "\"a\\u0041,}\"", "{\"resultType\":0 }"]), 1..6),
        gap in " ?\n?",
        at in 0_usize..6,
        info: bool,
    ) {
        let members = values.iter().enumerate().map(|(place, value)| format!("{gap}\"m{place}\"{gap}:{value}{gap}"));
        let legacy: Vec<String> = members.collect();
        let mut modern = legacy.clone();
        let at = at.min(legacy.len());
        let tight = |place: usize, member: &str| if place == 0 { member.to_owned() } else { format!("{gap}{member}") };
        if info {
            modern.insert(at, tight(at, r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}"#));
        }
        modern.insert(at, tight(at, r#""resultType":"complete""#));
        let message = |members: &[String]| format!("{{\"id\":{gap}7,\"result\":{{{}}}}}", members.join(","));
        let found = seen(&message(&modern), Method::ToolsCall);
        prop_assert_eq!(found.split_whitespace().collect::<String>(), message(&legacy).split_whitespace().collect::<String>());
        let kept = legacy.iter().all(|member| found.contains(member.trim()));
        prop_assert!(kept, "{}", found);
    }

    #[test]
    fn a_result_keeps_its_meaning(text in ".{0,12}", info: bool, other: bool, typed: bool, id in 0..9) {
        let expected = serde_json::json!({"content": [{"type": "text", "text": text}], "isError": other, "x": {"resultType": text}});
        let mut modern = expected.clone();
        if typed {
            modern["resultType"] = "complete".into();
        }
        if info {
            modern["_meta"] = serde_json::json!({meta::SERVER_INFO: {"name": text}});
        }
        let mut expected = expected;
        if other {
            modern["_meta"]["other"] = text.clone().into();
            expected["_meta"] = serde_json::json!({"other": text});
        }
        let message = serde_json::json!({"jsonrpc": "2.0", "id": id, "result": modern}).to_string();
        let found: serde_json::Value = serde_json::from_str(&seen(&message, Method::ToolsCall)).unwrap();
        prop_assert_eq!(found, serde_json::json!({"jsonrpc": "2.0", "id": 7, "result": expected}));
    }
}
