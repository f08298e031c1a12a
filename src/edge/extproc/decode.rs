//! Envoy's messages in our types. Values are moved, not copied.
//!
//! Header names are lower case afterwards, whoever sent them. What Envoy may add in later releases is ignored here;
//! what it asks for and we cannot do (observability mode) is an error.

use crate::engine::exchange::{BodyMode, BodyModes, Headers, Message, RequestHead, ResponseHead};
use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, ProcessingRequest, ProtocolConfiguration};
use envoy_types::pb::google::protobuf::{Struct, value::Kind};
use std::collections::HashMap;

/// Under this key Envoy sends the attributes that `request_attributes` and `response_attributes` name.
const ATTRIBUTES: &str = "envoy.filters.http.ext_proc";

/// One message of the stream.
#[derive(Debug)]
pub(super) struct Inbound {
    /// Only in the first message; Envoy 1.40 always sends it there.
    pub(super) modes: Option<BodyModes>,
    /// `None`: nothing for the exchange (window updates).
    pub(super) message: Option<Message>,
}

/// The filter is wired in a way in which we could decide nothing.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("observability_mode must be off: replies would be ignored and every request would pass undecided")]
pub(super) struct Observed;

pub(super) fn decode(mut request: ProcessingRequest) -> Result<Inbound, Observed> {
    if request.observability_mode {
        return Err(Observed);
    }
    let mut attributes = request.attributes.remove(ATTRIBUTES).unwrap_or_default();
    let message = request.request.map(|message| match message {
        Request::RequestHeaders(head) => Message::RequestHeaders(request_head(head, &mut attributes)),
        Request::ResponseHeaders(head) => Message::ResponseHeaders(response_head(head, &mut attributes)),
        Request::RequestBody(body) => {
            let end = is_end(&body);
            Message::RequestBody {
                chunk: body.body.into(),
                end,
            }
        }
        Request::ResponseBody(body) => {
            let end = is_end(&body);
            Message::ResponseBody {
                chunk: body.body.into(),
                end,
            }
        }
        Request::RequestTrailers(_) => Message::RequestTrailers,
        Request::ResponseTrailers(_) => Message::ResponseTrailers,
    });
    Ok(Inbound {
        modes: request.protocol_config.map(modes),
        message,
    })
}

fn request_head(head: HttpHeaders, attributes: &mut Struct) -> RequestHead {
    RequestHead {
        end: head.end_of_stream,
        headers: headers(head.headers),
        source: text(&mut attributes.fields, "source.address"),
        route: text(&mut attributes.fields, "xds.route_name"),
    }
}

fn response_head(head: HttpHeaders, attributes: &mut Struct) -> ResponseHead {
    ResponseHead {
        end: head.end_of_stream,
        headers: headers(head.headers),
        code_details: text(&mut attributes.fields, "response.code_details"),
    }
}

fn headers(map: Option<HeaderMap>) -> Headers {
    let list = map.map(|map| map.headers).unwrap_or_default();
    list.into_iter()
        .map(|header| {
            // Envoy fills one of the two, by runtime flag: bytes since 1.27, text before.
            let value = if header.raw_value.is_empty() {
                header.value.into_bytes()
            } else {
                header.raw_value
            };
            (header.key, value)
        })
        .collect()
}

const fn is_end(body: &HttpBody) -> bool {
    body.end_of_stream || body.end_of_stream_without_message
}

fn text(fields: &mut HashMap<String, envoy_types::pb::google::protobuf::Value>, name: &str) -> Option<Box<str>> {
    match fields.remove(name)?.kind? {
        Kind::StringValue(text) => Some(text.into()),
        Kind::NullValue(_) | Kind::NumberValue(_) | Kind::BoolValue(_) | Kind::StructValue(_) | Kind::ListValue(_) => {
            None
        }
    }
}

fn modes(config: ProtocolConfiguration) -> BodyModes {
    BodyModes {
        request: mode(config.request_body_mode),
        response: mode(config.response_body_mode),
    }
}

fn mode(number: i32) -> BodyMode {
    match BodySendMode::try_from(number) {
        Ok(BodySendMode::None) => BodyMode::None,
        Ok(BodySendMode::Buffered) => BodyMode::Buffered,
        Ok(BodySendMode::BufferedPartial) => BodyMode::BufferedPartial,
        Ok(BodySendMode::FullDuplexStreamed) => BodyMode::FullDuplex,
        // Neither GRPC nor a mode made up later is one that we can serve: refused like STREAMED.
        Ok(BodySendMode::Streamed | BodySendMode::Grpc) | Err(_) => BodyMode::Streamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::core::v3::HeaderValue;
    use envoy_types::pb::google::protobuf::Value;

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
                (
                    (*name).to_owned(),
                    Value {
                        kind: Some(kind.clone()),
                    },
                )
            })
            .collect();
        HashMap::from([(ATTRIBUTES.to_owned(), Struct { fields })])
    }

    #[test]
    fn header_values_come_from_either_field_and_names_are_lower_case() {
        let head = mk_head(&[("X-One", "text", b""), ("two", "", b"\xff\x00"), ("empty", "", b"")]);
        let inbound = decode(mk_request(Request::RequestHeaders(head))).expect("served");
        let Some(Message::RequestHeaders(head)) = inbound.message else {
            panic!("request headers")
        };
        assert_eq!(head.headers.get("x-one"), Some(b"text".as_slice()));
        assert_eq!(head.headers.get("two"), Some(b"\xff\x00".as_slice()));
        assert_eq!(head.headers.get("empty"), Some(b"".as_slice()), "present, though empty");
    }

    #[test]
    fn attributes_are_taken_where_they_are_text() {
        let mut request = mk_request(Request::RequestHeaders(mk_head(&[])));
        request.attributes = mk_attributes(&[
            ("source.address", Kind::StringValue("127.0.0.1:4711".to_owned())),
            ("xds.route_name", Kind::NumberValue(1.0)),
        ]);
        let Some(Message::RequestHeaders(head)) = decode(request).expect("served").message else {
            panic!("headers")
        };
        assert_eq!(head.source.as_deref(), Some("127.0.0.1:4711"));
        assert_eq!(head.route, None, "not text");
    }

    #[test]
    fn response_headers_say_why_envoy_answered() {
        let mut request = mk_request(Request::ResponseHeaders(mk_head(&[])));
        request.attributes = mk_attributes(&[(
            "response.code_details",
            Kind::StringValue("no_healthy_upstream".to_owned()),
        )]);
        let Some(Message::ResponseHeaders(head)) = decode(request).expect("served").message else {
            panic!("headers")
        };
        assert_eq!(head.code_details.as_deref(), Some("no_healthy_upstream"));
    }

    #[test]
    fn modes_that_we_do_not_know_are_refused_as_streamed() {
        let known = [
            (0, BodyMode::None),
            (1, BodyMode::Streamed),
            (2, BodyMode::Buffered),
            (3, BodyMode::BufferedPartial),
            (4, BodyMode::FullDuplex),
        ];
        for (number, expected) in known {
            assert_eq!(mode(number), expected);
        }
        for number in [5, 6, -1, i32::MAX] {
            assert_eq!(mode(number), BodyMode::Streamed);
        }
    }

    #[test]
    fn a_filter_that_ignores_replies_is_an_error() {
        let request = ProcessingRequest {
            observability_mode: true,
            ..Default::default()
        };
        assert_eq!(decode(request).map(|_| ()), Err(Observed));
    }

    #[test]
    fn a_message_without_content_is_nothing_for_the_exchange() {
        let inbound = decode(ProcessingRequest::default()).expect("served");
        assert!(inbound.message.is_none() && inbound.modes.is_none());
    }

    #[test]
    fn body_bytes_are_moved() {
        let body = vec![7; 100_000];
        let place = body.as_ptr();
        let request = mk_request(Request::RequestBody(HttpBody {
            body,
            end_of_stream: true,
            ..Default::default()
        }));
        let Some(Message::RequestBody { chunk, end }) = decode(request).expect("served").message else {
            panic!("body")
        };
        assert!(end);
        assert_eq!(chunk.as_ptr(), place);
    }
}
