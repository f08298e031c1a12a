use super::*;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::{ClientWindowUpdate, Request};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProtocolConfiguration,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value as Any};
use proptest::prelude::*;
use prost::Message as _;
use std::collections::HashMap;

fn read(request: &ProcessingRequest) -> Result<Inbound, DecodeError> {
    decode(&request.encode_to_vec().into())
}

fn mk_request(request: Request) -> ProcessingRequest {
    ProcessingRequest {
        request: Some(request),
        ..Default::default()
    }
}

fn mk_head(pairs: &[(&str, &str, &[u8])]) -> HttpHeaders {
    let headers = pairs
        .iter()
        .map(|(key, value, raw)| HeaderValue {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            raw_value: raw.to_vec(),
        })
        .collect();
    HttpHeaders {
        headers: Some(HeaderMap { headers }),
        ..Default::default()
    }
}

fn mk_attributes(pairs: &[(&str, Kind)]) -> HashMap<String, Struct> {
    let fields = pairs
        .iter()
        .map(|(name, kind)| {
            let kind = Some(kind.clone());
            ((*name).to_owned(), Any { kind })
        })
        .collect();
    HashMap::from([
        ("another.filter".to_owned(), Struct::default()),
        ("envoy.filters.http.ext_proc".to_owned(), Struct { fields }),
    ])
}

fn said(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

#[test]
fn header_values_come_from_either_field_and_names_are_lower_case() {
    for first in ["x-one", "X-One"] {
        let head = mk_head(&[(first, "text", b""), ("two", "", b"\xff\x00"), ("empty", "", b"")]);
        let inbound = read(&mk_request(Request::RequestHeaders(head))).expect("served");
        let Some(Message::RequestHeaders(head)) = inbound.message else {
            panic!("request headers")
        };
        assert_eq!(head.headers.get("x-one"), Some(b"text".as_slice()));
        assert_eq!(head.headers.get("two"), Some(b"\xff\x00".as_slice()));
        assert_eq!(head.headers.get("empty"), Some(b"".as_slice()), "present, though empty");
        assert_eq!(head.headers.select(|_| true).count(), 3);
    }
}

#[test]
fn attributes_are_taken_where_they_are_text() {
    let mut request = mk_request(Request::RequestHeaders(mk_head(&[])));
    request.attributes = mk_attributes(&[
        ("source.address", said("127.0.0.1:4711")),
        ("xds.route_name", Kind::NumberValue(1.0)),
        ("request.id", said("not asked for")),
    ]);
    let Some(Message::RequestHeaders(head)) = read(&request).expect("served").message else {
        panic!("headers")
    };
    assert_eq!(head.source.as_deref(), Some("127.0.0.1:4711"));
    assert_eq!(head.route, None, "not text");
}

#[test]
fn response_headers_say_why_envoy_answered() {
    let mut request = mk_request(Request::ResponseHeaders(HttpHeaders {
        end_of_stream: true,
        ..mk_head(&[(":status", "", b"503")])
    }));
    request.attributes = mk_attributes(&[("response.code_details", said("no_healthy_upstream"))]);
    let Some(Message::ResponseHeaders(head)) = read(&request).expect("served").message else {
        panic!("headers")
    };
    assert_eq!(head.code_details.as_deref(), Some("no_healthy_upstream"));
    assert_eq!(head.headers.text(":status"), Some("503"));
    assert!(head.end);
}

#[test]
fn modes_that_we_cannot_serve_are_told() {
    use BodyMode::{Buffered, BufferedPartial, FullDuplex, None, Streamed};
    let known = [
        None,
        Streamed,
        Buffered,
        BufferedPartial,
        FullDuplex,
        Streamed,
        Streamed,
    ];
    for (number, expected) in (0..).zip(known) {
        let config = ProtocolConfiguration {
            request_body_mode: number,
            response_body_mode: 4,
            ..Default::default()
        };
        let request = ProcessingRequest {
            protocol_config: Some(config),
            ..Default::default()
        };
        let modes = read(&request).expect("served").modes.expect("told");
        assert_eq!((modes.request, modes.response), (expected, FullDuplex), "{number}");
    }
}

#[test]
fn a_filter_that_ignores_replies_is_an_error() {
    let request = ProcessingRequest {
        observability_mode: true,
        ..Default::default()
    };
    assert_eq!(read(&request).map(|_| ()), Err(DecodeError::Observed));
}

#[test]
fn a_message_without_content_is_nothing_for_the_exchange() {
    let request = ProcessingRequest {
        client_window_update: Some(ClientWindowUpdate::default()),
        ..Default::default()
    };
    let inbound = read(&request).expect("served");
    assert!(inbound.message.is_none() && inbound.modes.is_none());
}

#[test]
fn body_bytes_are_not_copied() {
    let body = HttpBody {
        body: vec![7; 100_000],
        end_of_stream: true,
        ..Default::default()
    };
    let message = Bytes::from(mk_request(Request::RequestBody(body)).encode_to_vec());
    let Some(Message::RequestBody { chunk, end }) = decode(&message).expect("served").message else {
        panic!("body")
    };
    assert!(end);
    assert!(message.as_ptr_range().contains(&chunk.as_ptr()));
    assert_eq!(chunk.len(), 100_000);
}

#[test]
fn every_content_has_its_own_message() {
    let body = HttpBody::default();
    let all = [
        Request::RequestHeaders(HttpHeaders::default()),
        Request::ResponseHeaders(HttpHeaders::default()),
        Request::RequestBody(body.clone()),
        Request::ResponseBody(body),
        Request::RequestTrailers(HttpTrailers::default()),
        Request::ResponseTrailers(HttpTrailers::default()),
    ];
    for request in all {
        let expected = format!("{request:?}");
        let message = read(&mk_request(request)).expect("served").message.expect("a message");
        let name = |text: &str| text.split(['(', ' ', '{']).next().map(str::to_owned);
        assert_eq!(name(&format!("{message:?}")), name(&expected));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&Bytes::from(bytes));
    }

    #[test]
    fn a_message_with_changed_bytes_is_a_message_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut request = mk_request(Request::RequestHeaders(mk_head(&[("a", "", b"1"), ("B", "2", b"")])));
        request.attributes = mk_attributes(&[("source.address", said("127.0.0.1:1"))]);
        request.protocol_config = Some(ProtocolConfiguration { request_body_mode: 4, ..Default::default() });
        let mut bytes = request.encode_to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = decode(&Bytes::from(bytes));
    }

    #[test]
    fn headers_arrive_as_they_were_sent(
        pairs in prop::collection::vec(("[a-z:-]{0,20}", prop::collection::vec(any::<u8>(), 0..300)), 0..40),
    ) {
        let borrowed: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), "", value.as_slice())).collect();
        let inbound = read(&mk_request(Request::RequestHeaders(mk_head(&borrowed)))).expect("served");
        let Some(Message::RequestHeaders(head)) = inbound.message else { panic!("headers") };
        let arrived: Vec<_> = head.headers.select(|_| true).map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        prop_assert_eq!(arrived, pairs);
    }
}
