use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn mk_line(record: &Record, elapsed: Duration, now: SystemTime) -> String {
    let mut out = Vec::new();
    write(&mut out, record, elapsed, now);
    String::from_utf8(out).unwrap()
}

fn at(seconds: u64, millis: u32) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000)
}

#[test]
fn a_line_holds_the_facts_of_one_exchange() {
    let record = Record {
        method: Some("tools/call".into()),
        tool: Some("github_search".into()),
        upstream: Some("github".into()),
        session: Some("ba7816bf8f01cfea".into()),
        era: Some(Era::Legacy),
        way: Way::Forward,
        status: 200,
        bytes_in: 123,
        client: Some("127.0.0.1".into()),
        ..Record::default()
    };

    let line = mk_line(&record, Duration::from_micros(1_234), at(1_763_719_438, 7));

    assert_eq!(
        line,
        concat!(
            r#"{"time":"2025-11-21T10:03:58.007Z","principal":null,"session":"ba7816bf8f01cfea","method":"tools/call","#,
            r#""tool":"github_search","upstream":"github","era":"legacy","way":"forward","verdict":"allow","rule":null,"#,
            r#""reason":null,"status":200,"code":null,"ms":1.234,"bytesIn":123,"bytesOut":0,"client":"127.0.0.1","#,
            r#""replayed":false}"#,
            "\n"
        )
    );
}

#[test]
fn a_refusal_says_why() {
    let record = Record {
        way: Way::Reject,
        reason: Some("unknown_session"),
        status: 404,
        code: Some(-32001),
        ..Record::default()
    };
    let line: Value = serde_json::from_str(&mk_line(&record, Duration::ZERO, UNIX_EPOCH)).unwrap();
    assert_eq!(line["verdict"], "reject");
    assert_eq!(line["reason"], "unknown_session");
    assert_eq!((&line["status"], &line["code"]), (&json!(404), &json!(-32001)));
    assert_eq!(line["method"], Value::Null);
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, "2000-02-28T23:59:59.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_800, "2000-03-01T00:00:00.000Z"),
        (1_798_761_599, "2026-12-31T23:59:59.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
    ] {
        let mut out = Vec::new();
        time(&mut out, at(seconds, 0));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn whatever_a_client_sends_is_one_line_of_json(method in ".*", tool in "(?s).*", elapsed in any::<u64>()) {
        let record = Record {
            method: Some(method.clone().into()),
            tool: Some(tool.as_str().into()),
            ..Record::default()
        };
        let line = mk_line(&record, Duration::from_nanos(elapsed), UNIX_EPOCH);
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let value: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(value["method"].as_str(), Some(method.as_str()));
        prop_assert_eq!(value["tool"].as_str(), Some(tool.as_str()));
    }
}

#[test]
fn a_long_name_is_cut_between_characters() {
    let record = Record {
        tool: Some("é".repeat(300).into()),
        method: Some(format!("x{}", "é".repeat(300)).into()),
        ..Record::default()
    };
    let value: Value = serde_json::from_str(&mk_line(&record, Duration::ZERO, UNIX_EPOCH)).unwrap();
    assert_eq!(value["tool"].as_str().unwrap().len(), 512);
    assert_eq!(value["method"].as_str().unwrap().len(), 511);
}

#[test]
fn arguments_are_a_text_whatever_they_hold() {
    let called_with = |arguments| Record {
        arguments: Some(Box::new(arguments)),
        is_error: Some(true),
        ..Record::default()
    };
    let read = |record: &Record| -> Value {
        let line = mk_line(record, Duration::ZERO, UNIX_EPOCH);
        assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line}");
        serde_json::from_str(&line).unwrap()
    };
    let hash = read(&called_with(Arguments::Hash([0xa5; 32])));
    assert_eq!(hash["arguments"], format!("sha256:{}", "a5".repeat(32)));
    assert_eq!(hash["isError"], true);
    let full = |whole| {
        read(&called_with(Arguments::Full {
            text: "{\"a\":\n\"\\u00e9\u{7f}\"".into(),
            whole,
        }))
    };
    assert_eq!(full(true)["arguments"], "{\"a\":\n\"\\u00e9\u{7f}\"");
    assert_eq!(full(true).get("argumentsCut"), None);
    assert_eq!(full(false)["argumentsCut"], true);
    let debug = format!("{:?}", called_with(Arguments::Hash([0xa5; 32])));
    assert!(!debug.contains("165"), "arguments are for audit lines alone: {debug}");
}
