//! What we write is read with the generated types.

use super::*;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::streamed_immediate_response::Response as Streamed;
use envoy_types::pb::envoy::service::ext_proc::v3::{CommonResponse, ProcessingResponse, StreamedBodyResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use prost::Message;

fn read(reply: &Reply) -> ProcessingResponse {
    let mut bytes = Vec::new();
    encode(reply, &mut bytes);
    let read = ProcessingResponse::decode(bytes.as_slice()).expect("well-formed");
    assert_eq!(read.encoded_len(), bytes.len(), "no field is unknown or written twice");
    read
}

/// The facts of `mcp.manifold`, sorted by name.
fn facts(reply: &ProcessingResponse) -> Vec<(&str, &Kind)> {
    let namespace = reply
        .dynamic_metadata
        .as_ref()
        .and_then(|whole| whole.fields.get("mcp.manifold"));
    let Some(Kind::StructValue(facts)) = namespace.and_then(|value| value.kind.as_ref()) else {
        panic!("no facts")
    };
    let mut facts: Vec<_> = facts
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.kind.as_ref().expect("a value")))
        .collect();
    facts.sort_by_key(|(name, _)| *name);
    facts
}

fn said(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

#[test]
fn only_what_is_known_is_said() {
    let metadata = Metadata {
        method: Some("tools/call".into()),
        upstream: Some("github".into()),
        id: Some("7".into()),
        ..Default::default()
    };
    let work = HeaderWork {
        metadata: Some(Box::new(metadata)),
        ..HeaderWork::default()
    };
    let reply = read(&Reply::RequestHeaders(work));
    let (method, upstream, id) = (said("tools/call"), said("github"), Kind::NumberValue(7.0));
    assert_eq!(
        facts(&reply),
        [("id", &id), ("method", &method), ("upstream", &upstream)]
    );
}

#[test]
fn an_answer_of_ours_says_so() {
    let reply = read(&Reply::RequestHeaders(mk_work()));
    assert_eq!(
        facts(&reply),
        [("answered", &said("yes"))],
        "local reply mappers leave it alone"
    );
}

fn mk_work() -> HeaderWork {
    HeaderWork {
        set: vec![("x-mcp-upstream".into(), Bytes::from_static(b"github"))],
        remove: vec!["cookie".into()],
        clear_route: true,
        metadata: Some(Box::new(Metadata {
            answered: true,
            ..Default::default()
        })),
    }
}

fn mk_common(response: Option<Response>) -> CommonResponse {
    match response {
        Some(Response::RequestHeaders(reply) | Response::ResponseHeaders(reply)) => reply.response,
        Some(Response::RequestBody(reply) | Response::ResponseBody(reply)) => reply.response,
        other => panic!("no common response: {other:?}"),
    }
    .expect("a common response")
}

#[test]
fn header_work_overwrites_removes_and_chooses_the_route_again() {
    let reply = read(&Reply::RequestHeaders(mk_work()));
    assert!(reply.dynamic_metadata.is_some());
    let common = mk_common(reply.response);
    assert!(common.clear_route_cache);
    let mutation = common.header_mutation.expect("a mutation");
    assert_eq!(mutation.remove_headers, ["cookie"]);
    let [set] = mutation.set_headers.as_slice() else {
        panic!("one header")
    };
    assert_eq!(set.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd);
    let header = set.header.as_ref().expect("a header");
    assert_eq!(
        (header.key.as_str(), header.value.as_str(), header.raw_value.as_slice()),
        ("x-mcp-upstream", "", b"github".as_slice()),
        "Envoy refuses a header with both values"
    );
}

#[test]
fn a_buffered_body_left_alone_has_no_body_mutation() {
    let reply = read(&Reply::RequestBuffered {
        headers: mk_work(),
        body: None,
    });
    assert_eq!(mk_common(reply.response).body_mutation, None);
    let reply = read(&Reply::RequestBuffered {
        headers: mk_work(),
        body: Some(Bytes::new()),
    });
    let mutation = mk_common(reply.response).body_mutation.and_then(|body| body.mutation);
    assert_eq!(
        mutation,
        Some(Mutation::Body(Vec::new())),
        "an empty body is a change too"
    );
}

#[test]
fn chunks_are_streamed_in_both_directions() {
    let body = Bytes::from_static(b"{}");
    let expected = Some(Mutation::StreamedResponse(StreamedBodyResponse {
        body: b"{}".to_vec(),
        end_of_stream: true,
        ..Default::default()
    }));
    let request = read(&Reply::RequestChunk {
        body: body.clone(),
        end: true,
    })
    .response;
    assert!(matches!(request, Some(Response::RequestBody(_))));
    assert_eq!(
        mk_common(request).body_mutation.and_then(|body| body.mutation),
        expected
    );
    let response = read(&Reply::ResponseChunk { body, end: true }).response;
    assert!(matches!(response, Some(Response::ResponseBody(_))));
    assert_eq!(
        mk_common(response).body_mutation.and_then(|body| body.mutation),
        expected
    );
}

#[test]
fn an_answer_is_one_immediate_response() {
    let reply = read(&Reply::Answer(Answer {
        status: 404,
        headers: vec![("content-type".into(), Bytes::from_static(b"application/json"))],
        body: vec![
            Bytes::from_static(b"{\"id\":"),
            Bytes::from_static(b"1"),
            Bytes::from_static(b"}"),
        ],
        details: "mcp_session_not_found",
        metadata: None,
    }));
    let Some(Response::ImmediateResponse(immediate)) = reply.response else {
        panic!("immediate")
    };
    assert_eq!(immediate.status, Some(HttpStatus { code: 404 }));
    assert_eq!(immediate.body, b"{\"id\":1}", "in one piece");
    assert_eq!(immediate.details, "mcp_session_not_found");
    assert_eq!(immediate.headers.map(|headers| headers.set_headers.len()), Some(1));
}

#[test]
fn a_header_that_an_answer_has_twice_is_there_twice() {
    let headers = [("link", "<a>"), ("content-type", "application/json"), ("link", "<b>")];
    let headers = headers.map(|(name, value)| (name.into(), Bytes::from_static(value.as_bytes())));
    let reply = read(&Reply::Answer(Answer {
        status: 200,
        headers: headers.into(),
        body: vec![Bytes::from_static(b"{}")],
        details: "relayed",
        metadata: None,
    }));
    let Some(Response::ImmediateResponse(immediate)) = reply.response else {
        panic!("immediate")
    };
    let set = immediate.headers.unwrap_or_default().set_headers;
    #[expect(deprecated, reason = "the newer one does nothing")]
    let appended: Vec<_> = set
        .iter()
        .map(|option| option.append.is_some_and(|append| append.value))
        .collect();
    assert_eq!(appended, [false, false, true]);
    let actions: Vec<_> = set.iter().map(|option| option.append_action()).collect();
    let (first, further) = (
        HeaderAppendAction::OverwriteIfExistsOrAdd,
        HeaderAppendAction::AppendIfExistsOrAdd,
    );
    assert_eq!(actions, [first, first, further]);
}

#[test]
fn a_stream_begins_with_its_status() {
    let reply = read(&Reply::StreamHead {
        status: 200,
        headers: vec![("content-type".into(), Bytes::from_static(b"text/event-stream"))],
        metadata: None,
    });
    let Some(Response::StreamedImmediateResponse(streamed)) = reply.response else {
        panic!("streamed")
    };
    let Some(Streamed::HeadersResponse(head)) = streamed.response else {
        panic!("headers")
    };
    assert!(!head.end_of_stream);
    let pairs: Vec<_> = head
        .headers
        .map(|map| map.headers)
        .unwrap_or_default()
        .into_iter()
        .map(|header| (header.key, header.raw_value))
        .collect();
    assert_eq!(
        pairs,
        [
            (":status".to_owned(), b"200".to_vec()),
            ("content-type".to_owned(), b"text/event-stream".to_vec()),
        ]
    );
    let reply = read(&Reply::StreamChunk {
        body: vec![Bytes::from_static(b"data: {}"), Bytes::from_static(b"\n\n")],
        end: false,
    });
    let Some(Response::StreamedImmediateResponse(streamed)) = reply.response else {
        panic!("streamed")
    };
    let Some(Streamed::BodyResponse(piece)) = streamed.response else {
        panic!("a piece of the body")
    };
    assert_eq!((&*piece.body, piece.end_of_stream), (b"data: {}\n\n".as_slice(), false));
}
