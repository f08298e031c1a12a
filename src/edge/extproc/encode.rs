//! Our replies on the wire. Nothing is built in between: headers and bodies are written from where they are held.

mod metadata;

use super::wire::{Nested, Number, Out, Part, Pieces, Text, each};
use crate::engine::exchange::Reply;
use crate::engine::exchange::step::{Answer, HeaderName, HeaderWork, Metadata};
use bytes::Bytes;

/// `HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD`
const OVERWRITE: u64 = 2;

/// The oneof `response` of a `ProcessingResponse`.
mod field {
    pub(super) const REQUEST_HEADERS: u64 = 1;
    pub(super) const RESPONSE_HEADERS: u64 = 2;
    pub(super) const REQUEST_BODY: u64 = 3;
    pub(super) const RESPONSE_BODY: u64 = 4;
    pub(super) const REQUEST_TRAILERS: u64 = 5;
    pub(super) const RESPONSE_TRAILERS: u64 = 6;
    pub(super) const IMMEDIATE: u64 = 7;
    pub(super) const DYNAMIC_METADATA: u64 = 8;
    pub(super) const STREAMED_IMMEDIATE: u64 = 11;
}

/// Writes one `ProcessingResponse`.
pub(super) fn encode(reply: &Reply, out: &mut impl Out) {
    match reply {
        Reply::RequestHeaders(work) => write(out, headers(field::REQUEST_HEADERS, work), work.metadata.as_deref()),
        Reply::ResponseHeaders(work) => write(out, headers(field::RESPONSE_HEADERS, work), work.metadata.as_deref()),
        Reply::RequestChunk { body, end } => write(out, chunk(field::REQUEST_BODY, body, *end), None),
        Reply::ResponseChunk { body, end } => write(out, chunk(field::RESPONSE_BODY, body, *end), None),
        Reply::RequestBuffered { headers, body } => {
            // BodyMutation {1: body}
            let body = body.as_ref().map(|body| Nested(3, Text(1, body)));
            let part = Nested(field::REQUEST_BODY, Nested(1, (common(headers), body)));
            write(out, part, headers.metadata.as_deref());
        }
        Reply::RequestTrailers => write(out, Nested(field::REQUEST_TRAILERS, ()), None),
        Reply::ResponseTrailers => write(out, Nested(field::RESPONSE_TRAILERS, ()), None),
        Reply::Answer(answer) => write(out, immediate(answer), answer.metadata.as_deref()),
        Reply::StreamHead {
            status,
            headers,
            metadata,
        } => {
            let mut digits = itoa::Buffer::new();
            let status = digits.format(*status).as_bytes();
            let others = each(headers, |(name, value)| Nested(1, header(name, value)));
            let map = (Nested(1, header(":status", status)), others);
            // StreamedImmediateResponse {1: HttpHeaders {1: HeaderMap}}
            let part = Nested(field::STREAMED_IMMEDIATE, Nested(1, Nested(1, map)));
            write(out, part, metadata.as_deref());
        }
        Reply::StreamChunk { body, end } => {
            // StreamedBodyResponse, as in `piece`.
            let piece = (Pieces(1, body), Number(2, u64::from(*end)));
            write(out, Nested(field::STREAMED_IMMEDIATE, Nested(2, piece)), None);
        }
    }
}

fn write(out: &mut impl Out, response: impl Part, metadata: Option<&Metadata>) {
    let facts = metadata.map(metadata::Facts::of);
    let metadata = facts
        .as_ref()
        .map(|facts| Nested(field::DYNAMIC_METADATA, facts.part()));
    let whole = (response, metadata);
    out.reserve(whole.length());
    whole.put(out);
}

/// `HeadersResponse {1: CommonResponse}`
fn headers(field: u64, work: &HeaderWork) -> impl Part {
    Nested(field, Nested(1, common(work)))
}

/// `CommonResponse {2: HeaderMutation {1: set_headers, 2: remove_headers}, 5: clear_route_cache}`
fn common(work: &HeaderWork) -> impl Part {
    let set = each(&work.set, |(name, value)| overwrite(name, value));
    let remove = each(&work.remove, |name| Text(2, name.as_bytes()));
    (Nested(2, (set, remove)), Number(5, u64::from(work.clear_route)))
}

/// `BodyResponse {1: CommonResponse {3: BodyMutation {3: StreamedBodyResponse}}}`
fn chunk(field: u64, body: &Bytes, end: bool) -> impl Part {
    Nested(field, Nested(1, Nested(3, Nested(3, piece(body, end)))))
}

/// `StreamedBodyResponse {1: body, 2: end_of_stream}`
fn piece(body: &Bytes, end: bool) -> impl Part {
    (Text(1, body), Number(2, u64::from(end)))
}

/// `ImmediateResponse {1: HttpStatus {1: code}, 2: HeaderMutation, 3: body, 5: details}`
fn immediate(answer: &Answer) -> impl Part {
    let status = Nested(1, Number(1, u64::from(answer.status)));
    let headers = each(&answer.headers, |header| option(&answer.headers, header));
    let body = (Pieces(3, &answer.body), Text(5, answer.details.as_bytes()));
    Nested(field::IMMEDIATE, ((status, Nested(2, headers)), body))
}

/// One header of an answer. Envoy has some there already, content-type among them: the first of a name takes its place,
/// each further one is added. Envoy 1.40 does that for the old field only: `HeaderValueOption {1: HeaderValue, 2: append}`.
fn option<'a>(all: &'a [(HeaderName, Bytes)], one: &'a (HeaderName, Bytes)) -> impl Part + use<'a> {
    let (name, value) = one;
    let mut before = all.iter().take_while(|other| !std::ptr::eq(*other, one));
    let further = before.any(|(other, _)| other == name);
    let append = further.then_some(Nested(2, Number(1, 1)));
    let action = Number(3, if further { 0 } else { OVERWRITE });
    Nested(1, (Nested(1, header(name, value)), (append, action)))
}

/// An entry of `HeaderMutation.set_headers`: `HeaderValueOption {1: HeaderValue, 3: append_action}`
fn overwrite<'a>(name: &'a str, value: &'a [u8]) -> impl Part + use<'a> {
    Nested(1, (Nested(1, header(name, value)), Number(3, OVERWRITE)))
}

/// `HeaderValue {1: key, 3: raw_value}`; Envoy refuses one that has a `value` too.
fn header<'a>(name: &'a str, value: &'a [u8]) -> impl Part + use<'a> {
    (Text(1, name.as_bytes()), Text(3, value))
}

#[cfg(test)]
mod tests;
