//! Our replies in Envoy's types. Bodies are moved where nobody else holds them, and concatenated once.

mod metadata;

use crate::engine::exchange::Reply;
use crate::engine::exchange::step::{Answer, HeaderName, HeaderWork};
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::streamed_immediate_response::Response as Streamed;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpHeaders, ImmediateResponse,
    ProcessingResponse, StreamedBodyResponse, StreamedImmediateResponse, TrailersResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::Struct;

pub(super) fn encode(reply: Reply) -> ProcessingResponse {
    match reply {
        Reply::RequestHeaders(work) => with_headers(work, Response::RequestHeaders),
        Reply::ResponseHeaders(work) => with_headers(work, Response::ResponseHeaders),
        Reply::RequestChunk { body, end } => bare(Response::RequestBody(chunk(body, end))),
        Reply::ResponseChunk { body, end } => bare(Response::ResponseBody(chunk(body, end))),
        Reply::RequestBuffered { headers, body } => buffered(headers, body),
        Reply::RequestTrailers => bare(Response::RequestTrailers(TrailersResponse::default())),
        Reply::ResponseTrailers => bare(Response::ResponseTrailers(TrailersResponse::default())),
        Reply::Answer(answer) => immediate(answer),
        Reply::StreamHead {
            status,
            headers,
            metadata,
        } => {
            let head = HttpHeaders {
                headers: Some(head_map(status, headers)),
                ..Default::default()
            };
            let metadata = metadata.map(|facts| metadata::encode(*facts));
            with_metadata(streamed(Streamed::HeadersResponse(head)), metadata)
        }
        Reply::StreamChunk { body, end } => bare(streamed(Streamed::BodyResponse(piece(body, end)))),
    }
}

fn bare(response: Response) -> ProcessingResponse {
    with_metadata(response, None)
}

fn with_metadata(response: Response, metadata: Option<Struct>) -> ProcessingResponse {
    ProcessingResponse {
        response: Some(response),
        dynamic_metadata: metadata,
        ..Default::default()
    }
}

fn with_headers(work: HeaderWork, wrap: fn(HeadersResponse) -> Response) -> ProcessingResponse {
    let (common, metadata) = common(work);
    with_metadata(wrap(HeadersResponse { response: Some(common) }), metadata)
}

fn buffered(work: HeaderWork, body: Option<Bytes>) -> ProcessingResponse {
    let (mut common, metadata) = common(work);
    common.body_mutation = body.map(|body| BodyMutation {
        mutation: Some(Mutation::Body(body.into())),
    });
    with_metadata(Response::RequestBody(BodyResponse { response: Some(common) }), metadata)
}

fn common(work: HeaderWork) -> (CommonResponse, Option<Struct>) {
    let mutation = HeaderMutation {
        set_headers: work
            .set
            .into_iter()
            .map(|(name, value)| overwrite(name.into_owned(), value))
            .collect(),
        remove_headers: work.remove.into_iter().map(HeaderName::into_owned).collect(),
    };
    let common = CommonResponse {
        header_mutation: Some(mutation),
        clear_route_cache: work.clear_route,
        ..Default::default()
    };
    (common, work.metadata.map(|facts| metadata::encode(*facts)))
}

fn chunk(body: Bytes, end: bool) -> BodyResponse {
    let mutation = BodyMutation {
        mutation: Some(Mutation::StreamedResponse(piece(body, end))),
    };
    BodyResponse {
        response: Some(CommonResponse {
            body_mutation: Some(mutation),
            ..Default::default()
        }),
    }
}

fn piece(body: Bytes, end: bool) -> StreamedBodyResponse {
    StreamedBodyResponse {
        body: body.into(),
        end_of_stream: end,
        ..Default::default()
    }
}

const fn streamed(response: Streamed) -> Response {
    Response::StreamedImmediateResponse(StreamedImmediateResponse {
        response: Some(response),
    })
}

fn immediate(answer: Answer) -> ProcessingResponse {
    let set_headers = answer
        .headers
        .into_iter()
        .map(|(name, value)| overwrite(name.to_owned(), value))
        .collect();
    let response = ImmediateResponse {
        status: Some(HttpStatus {
            code: i32::from(answer.status),
        }),
        headers: Some(HeaderMutation {
            set_headers,
            remove_headers: Vec::new(),
        }),
        body: concatenated(answer.body),
        grpc_status: None,
        details: answer.details.to_owned(),
    };
    let metadata = answer.metadata.map(|facts| metadata::encode(*facts));
    with_metadata(Response::ImmediateResponse(response), metadata)
}

/// The segments in one piece; a single one that nobody else holds is moved.
fn concatenated(mut segments: Vec<Bytes>) -> Vec<u8> {
    if segments.len() <= 1 {
        return segments.pop().map(Vec::from).unwrap_or_default();
    }
    let mut whole = Vec::with_capacity(segments.iter().map(Bytes::len).sum());
    for segment in &segments {
        whole.extend_from_slice(segment);
    }
    whole
}

fn overwrite(name: String, value: Bytes) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(header(name, value)),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}

fn header(key: String, value: Bytes) -> HeaderValue {
    HeaderValue {
        key,
        value: String::new(),
        raw_value: value.into(),
    }
}

fn head_map(status: u16, headers: Vec<(&'static str, Bytes)>) -> HeaderMap {
    let status = header(":status".to_owned(), status.to_string().into());
    let others = headers.into_iter().map(|(name, value)| header(name.to_owned(), value));
    HeaderMap {
        headers: std::iter::once(status).chain(others).collect(),
    }
}

#[cfg(test)]
mod tests;
