use super::*;
use crate::engine::exchange::step::Metadata;

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
    let reply = encode(Reply::RequestHeaders(mk_work()));
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
    let reply = encode(Reply::RequestBuffered {
        headers: mk_work(),
        body: None,
    });
    assert_eq!(mk_common(reply.response).body_mutation, None);
    let reply = encode(Reply::RequestBuffered {
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
    let request = encode(Reply::RequestChunk {
        body: body.clone(),
        end: true,
    })
    .response;
    assert!(matches!(request, Some(Response::RequestBody(_))));
    assert_eq!(
        mk_common(request).body_mutation.and_then(|body| body.mutation),
        expected
    );
    let response = encode(Reply::ResponseChunk { body, end: true }).response;
    assert!(matches!(response, Some(Response::ResponseBody(_))));
    assert_eq!(
        mk_common(response).body_mutation.and_then(|body| body.mutation),
        expected
    );
}

#[test]
fn an_answer_is_one_immediate_response() {
    let reply = encode(Reply::Answer(Answer {
        status: 404,
        headers: vec![("content-type", Bytes::from_static(b"application/json"))],
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
    assert_eq!(immediate.body, b"{\"id\":1}");
    assert_eq!(immediate.details, "mcp_session_not_found");
    assert_eq!(immediate.headers.map(|headers| headers.set_headers.len()), Some(1));
}

#[test]
fn a_single_segment_that_nobody_else_holds_is_moved() {
    let segment = Bytes::from(vec![1_u8; 4096]);
    let place = segment.as_ptr();
    let whole = concatenated(vec![segment]);
    assert_eq!(whole.as_ptr(), place);
    assert!(concatenated(Vec::new()).is_empty());
}

#[test]
fn a_stream_begins_with_its_status() {
    let reply = encode(Reply::StreamHead {
        status: 200,
        headers: vec![("content-type", Bytes::from_static(b"text/event-stream"))],
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
    let reply = encode(Reply::StreamChunk {
        body: Bytes::from_static(b"data: {}\n\n"),
        end: false,
    });
    let Some(Response::StreamedImmediateResponse(streamed)) = reply.response else {
        panic!("streamed")
    };
    assert!(matches!(streamed.response, Some(Streamed::BodyResponse(piece)) if !piece.end_of_stream));
}
