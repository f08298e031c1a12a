use super::*;
use crate::engine::mcp::trace::TraceContext;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn mk_record() -> Record {
    let parent = TraceContext::parse(PARENT).expect("one");
    Record {
        method: Some("tools/call".into()),
        known: Some(Method::ToolsCall),
        tool: Some("github_search".into()),
        upstream: Some("github".into()),
        session: Some("ba7816bf8f01cfea".into()),
        era: Some(Era::Legacy),
        version: Some(Version::V2025_11_25),
        spoken: Some(Version::V2025_06_18),
        way: Way::Forward,
        status: 200,
        client: Some("127.0.0.1".into()),
        trace: Some(Box::new(Traced {
            own: TraceContext { span: 1, ..parent },
            parent: Some(parent.span),
            link: Some(TraceContext { span: 9, ..parent }),
            state: Some("a=b".into()),
            id: "\"my id\"".into(),
            call: 2,
            called: Some(Duration::from_millis(2)),
        })),
        ..Record::default()
    }
}

fn mk_spans(record: &Record) -> Vec<Span> {
    spans(record, Duration::from_millis(10), UNIX_EPOCH + Duration::from_secs(1)).collect()
}

fn said(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::BoolValue(_) | Value::IntValue(_) | Value::DoubleValue(_) => None,
    }
}

#[test]
fn a_call_has_a_span_of_the_server_and_one_of_the_client() {
    let spans = mk_spans(&mk_record());
    let [server, client] = spans.as_slice() else {
        panic!("two")
    };
    assert_eq!(server.name, "tools/call github_search");
    assert_eq!((server.kind, client.kind), (Kind::Server.into(), Kind::Client.into()));
    assert_eq!(server.trace_id, client.trace_id);
    assert_eq!(server.trace_id[0], 0x0a);
    assert_eq!(server.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!(
        (&client.parent_span_id, &client.span_id),
        (&server.span_id, &2_u64.to_be_bytes().to_vec())
    );
    assert_eq!(server.links[0].span_id, 9_u64.to_be_bytes());
    assert_eq!(server.trace_state, "a=b");
    assert_eq!(server.end_time_unix_nano - server.start_time_unix_nano, 10_000_000);
    assert_eq!(client.start_time_unix_nano - server.start_time_unix_nano, 2_000_000);
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "github_search"),
        ("gen_ai.operation.name", "execute_tool"),
        ("jsonrpc.request.id", "my id"),
        ("mcp.session.id", "ba7816bf8f01cfea"),
    ] {
        assert_eq!(said(server, key).as_deref(), Some(value));
        assert_eq!(said(client, key).as_deref(), Some(value));
    }
    assert_eq!(said(server, "mcp.protocol.version").as_deref(), Some("2025-11-25"));
    assert_eq!(said(client, "mcp.protocol.version").as_deref(), Some("2025-06-18"));
    assert_eq!(said(client, "mcp.manifold.upstream").as_deref(), Some("github"));
    assert!(said(server, "error.type").is_none() && server.status.is_none());
}

#[test]
fn what_went_wrong_is_said() {
    let failed = Record {
        is_error: Some(true),
        ..mk_record()
    };
    let spans = mk_spans(&failed);
    assert_eq!(said(&spans[0], "error.type").as_deref(), Some("tool_error"));
    assert!(
        spans
            .iter()
            .all(|span| span.status.as_ref().is_some_and(|status| status.code == 2))
    );
    let denied = Record {
        way: Way::Reject,
        code: Some(-31011),
        rule: Some("no-deletes".into()),
        ..mk_record()
    };
    let spans = mk_spans(&denied);
    assert_eq!(spans.len(), 1, "nobody was asked");
    assert_eq!(said(&spans[0], "error.type").as_deref(), Some("-31011"));
    assert_eq!(said(&spans[0], "rpc.response.status_code").as_deref(), Some("-31011"));
    assert_eq!(said(&spans[0], "mcp.manifold.rule").as_deref(), Some("no-deletes"));
}

#[test]
fn nothing_grows_with_what_a_client_sends() {
    let long = Record {
        tool: Some("é".repeat(100_000).into()),
        method: Some("é".repeat(100_000).into()),
        ..mk_record()
    };
    let spans = mk_spans(&long);
    assert!(spans.iter().all(|span| prost::Message::encoded_len(span) < 3000));
}

#[test]
fn what_is_not_traced_or_came_to_nothing_has_no_span() {
    let untraced = Record {
        trace: None,
        ..mk_record()
    };
    let left = Record {
        way: Way::Undecided,
        ..mk_record()
    };
    assert!(mk_spans(&untraced).is_empty() && mk_spans(&left).is_empty());
}
