use super::*;
use crate::engine::exchange::event::{Event, Message, RequestHead};
use crate::engine::exchange::step::Reply;
use crate::engine::exchange::{BodyMode, BodyModes, Record};
use crate::engine::jsonrpc::Object;
use crate::engine::session::Timestamp;
use crate::engine::snapshot::testing;
use proptest::prelude::*;
use serde_json::{Value, json};

const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const ENVOY: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const ELSEWHERE: &str = "00-11111111111111111111111111111111-2222222222222222-01";
const TOLD: &str = "0000000000000b0b";

fn mk_tracing(ambient: Option<&str>, ratio: f64) -> Tracing {
    Tracing {
        ambient: Carried::read(ambient, None).map(Box::new),
        ratio: Ratio::new(ratio).expect("from 0 to 1"),
        trace: 0xabc,
        spans: [0xa0a, 0xb0b],
    }
}

/// Plays a request up to where it is sent; its facts, and what goes upstream.
fn play(tracing: Option<Tracing>, headers: &[(&str, &str)], body: &str) -> (Record, Step) {
    let modes = BodyModes {
        request: BodyMode::FullDuplex,
        response: BodyMode::None,
    };
    let upstream = testing::mk_upstream("github").legacy(testing::mk_listing(&["search"]).stateless());
    let upstream = if tracing.is_some() && headers.contains(&("x-direct", "1")) {
        upstream.direct()
    } else {
        upstream
    };
    let mut exchange = Exchange::new(testing::mk_snapshot(&[upstream]), modes, 7, Timestamp(0));
    if let Some(tracing) = tracing {
        exchange = exchange.traced(tracing);
    }
    let usual = [
        (":method", "POST"),
        (":path", "/mcp"),
        (":authority", "127.0.0.1:8001"),
        ("content-type", "application/json"),
    ];
    let head = RequestHead {
        headers: usual.iter().chain(headers).copied().collect(),
        ..RequestHead::default()
    };
    exchange.handle(Event::Envoy(Message::RequestHeaders(head)), Timestamp(1));
    let chunk = Bytes::copy_from_slice(body.as_bytes());
    exchange.set_elapsed(Duration::from_micros(7));
    let step = exchange.handle(Event::Envoy(Message::RequestBody { chunk, end: true }), Timestamp(3));
    (exchange.finish(), step)
}

/// What the processor calls itself.
fn called(step: &Step) -> Option<&Call> {
    step.commands.iter().find_map(|command| {
        let Command::Call(call) = command else { return None };
        Some(call)
    })
}

/// The body that goes upstream.
fn sent(step: &Step) -> String {
    let of_forward = step.replies.iter().find_map(|reply| {
        let Reply::RequestChunk { body, .. } = reply else {
            return None;
        };
        Some(body.clone())
    });
    let of_relay = called(step).map(|call| call.body.clone());
    let body = of_forward
        .or(of_relay)
        .unwrap_or_else(|| panic!("nothing is sent: {step:?}"));
    String::from_utf8(body.to_vec()).expect("text")
}

fn mk_call(meta: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"my id","method":"tools/call","params":{{{meta}"name":"github_search","arguments": {{}} }} }}"#
    )
}

fn traced(record: &Record) -> &Traced {
    record.trace.as_deref().expect("it is traced")
}

#[test]
fn without_tracing_no_byte_changes() {
    let body = mk_call(&format!(r#""_meta":{{"traceparent":"{CLIENT}"}},"#));
    let (record, step) = play(None, &[("traceparent", CLIENT)], &body);
    assert_eq!(record.trace, None);
    assert_eq!(sent(&step), body.replace("github_search", "search"));
}

#[test]
fn envoys_span_is_the_parent_and_the_call_is_told_in_meta() {
    let (record, step) = play(
        Some(mk_tracing(Some(ENVOY), 0.0)),
        &[("traceparent", CLIENT)],
        &mk_call(""),
    );
    let traced = traced(&record);
    assert_eq!(
        traced.own.to_string(),
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000a0a-01"
    );
    assert_eq!((traced.parent, traced.link), (Some(0x00f0_67aa_0ba9_02b7), None));
    assert_eq!(
        (&*traced.id, traced.called),
        ("\"my id\"", Some(Duration::from_micros(7)))
    );
    let told = format!(
        r#""name":"search","_meta":{{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-{TOLD}-01"}},"arguments": {{}} }}"#
    );
    assert!(sent(&step).contains(&told), "{}", sent(&step));
}

#[test]
fn what_the_message_says_wins_and_who_brought_it_is_linked() {
    let body = mk_call(&format!(
        r#""_meta":{{"a": 1, "traceparent" : "{ELSEWHERE}","tracestate":"x=y"}},"#
    ));
    let (record, step) = play(Some(mk_tracing(Some(ENVOY), 0.0)), &[], &body);
    let traced = traced(&record);
    assert_eq!(traced.own.trace, 0x1111_1111_1111_1111_1111_1111_1111_1111);
    assert_eq!(traced.parent, Some(0x2222_2222_2222_2222));
    assert_eq!(traced.link, TraceContext::parse(ENVOY));
    assert_eq!(traced.state.as_deref(), Some("x=y"));
    let expected = body
        .replace("2222222222222222", TOLD)
        .replace("github_search", "search");
    assert_eq!(sent(&step), expected, "nothing else changes");
}

#[test]
fn the_clients_headers_count_where_envoy_tells_nothing() {
    let headers = [("traceparent", CLIENT), ("tracestate", "x=\"y")];
    let (record, step) = play(Some(mk_tracing(None, 0.0)), &headers, &mk_call(r#""_meta":{},"#));
    assert_eq!(traced(&record).parent, Some(0xb7ad_6b71_6920_3331));
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-{TOLD}-01");
    let body: Value = serde_json::from_str(&sent(&step)).expect("JSON");
    assert_eq!(
        body["params"]["_meta"],
        json!({"traceparent": parent, "tracestate": "x=\"y"})
    );
}

#[test]
fn whoever_the_parent_is_decides_whether_the_trace_is_kept() {
    let unkept = |context: &str| context.replace("-01", "-00");
    let said = |context: &str| mk_call(&format!(r#""_meta":{{"traceparent":"{context}"}},"#));
    for (ambient, body, expected) in [
        (Some(unkept(ENVOY)), mk_call(""), false),
        (Some(unkept(ENVOY)), said(CLIENT), true),
        (Some(ENVOY.to_owned()), said(&unkept(CLIENT)), false),
        (Some(ENVOY.to_owned()), said("00-nonsense"), true),
        (None, mk_call(""), true),
    ] {
        let (record, step) = play(Some(mk_tracing(ambient.as_deref(), 1.0)), &[], &body);
        assert_eq!(record.trace.is_some(), expected, "{ambient:?} {body}");
        if !expected {
            assert_eq!(sent(&step), body.replace("github_search", "search"));
        }
    }
    let (record, _) = play(Some(mk_tracing(None, 0.0)), &[], &mk_call(""));
    assert_eq!(record.trace, None, "none that begin here are kept");
    let (record, _) = play(Some(mk_tracing(None, 1.0)), &[], &mk_call(""));
    assert_eq!((traced(&record).own.trace, traced(&record).parent), (0xabc, None));
}

#[test]
fn a_call_of_the_processor_says_it_in_headers_too() {
    let headers = [("traceparent", CLIENT), ("tracestate", "x=y"), ("x-direct", "1")];
    let (_, step) = play(Some(mk_tracing(Some(ENVOY), 1.0)), &headers, &mk_call(""));
    let call = called(&step).expect("a relay");
    let own: Vec<_> = call.headers.iter().filter(|(name, _)| name == "traceparent").collect();
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-{TOLD}-01");
    assert_eq!(own, [&("traceparent".into(), Bytes::from(parent))]);
    assert_eq!(
        (call.passed.get("traceparent"), call.passed.get("tracestate")),
        (None, None)
    );
    assert_eq!(call.passed.get("x-direct"), Some(b"1".as_slice()));
}

#[test]
fn what_is_answered_here_is_traced_and_read_as_it_came() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let (record, _) = play(Some(mk_tracing(Some(ENVOY), 1.0)), &[], body);
    assert_eq!((traced(&record).called, record.bytes_in), (None, body.len()));
    let (record, _) = play(Some(mk_tracing(Some(ENVOY), 1.0)), &[], "{\"traceparent\"");
    assert_eq!(record.trace, None, "it is no message");
}

proptest! {
    #[test]
    fn a_spliced_meta_equals_an_edit_of_the_parsed_tree(
        keys in proptest::collection::btree_map("[a-z]{0,3}|traceparent|tracestate", "\\PC{0,8}", 0..4),
        has_meta: bool, first: bool, spaces in " {0,2}",
    ) {
        let meta = serde_json::to_string(&keys).expect("JSON").replace(',', &format!(",{spaces}"));
        let member = if has_meta { format!(r#""_meta":{spaces}{meta}"#) } else { String::new() };
        let rest = format!(r#""name":{spaces}"github_search""#);
        let params = match (has_meta, first) {
            (false, _) => rest,
            (true, true) => format!("{member}{spaces},{rest}"),
            (true, false) => format!("{rest},{member}"),
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{spaces}{params}}}}}"#);
        let (record, step) = play(Some(mk_tracing(Some(ENVOY), 1.0)), &[], &body);
        let mut expected: Value = serde_json::from_str(&body).expect("JSON");
        expected["params"]["name"] = "search".into();
        expected["params"]["_meta"]["traceparent"] = traced(&record).outgoing().to_string().into();
        let sent = sent(&step);
        prop_assert_eq!(serde_json::from_str::<Value>(&sent).expect("JSON"), expected);
        prop_assert!(Object::read(&sent).is_ok(), "no key stands twice");
    }
}
