//! Envoy's messages in our types, read in place: bodies and headers are slices of the message.
//!
//! Header names are lower case afterwards, whoever sent them. What Envoy may add in later releases is ignored here;
//! what it asks for and we cannot do (observability mode) is an error.

mod claims;

use super::wire::{Fields, Malformed, Value};
use crate::engine::exchange::headers::HeaderSpan;
use crate::engine::exchange::{BodyMode, BodyModes, Headers, Message, RequestHead, ResponseHead};
use bytes::Bytes;
use std::ops::Range;

/// Under this key Envoy sends the attributes that `request_attributes` and `response_attributes` name.
const ATTRIBUTES: &[u8] = b"envoy.filters.http.ext_proc";

/// One message of the stream.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Only in the first message; Envoy 1.40 always sends it there.
    pub(super) modes: Option<BodyModes>,
    /// `None`: nothing for the exchange (window updates).
    pub(super) message: Option<Message>,
}

/// A message that no exchange can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    /// Not what Envoy sends.
    #[error("malformed message")]
    Malformed,
    /// The filter is wired in a way in which we could decide nothing.
    #[error("observability_mode must be off: replies would be ignored and every request would pass undecided")]
    Observed,
}

impl From<Malformed> for DecodeError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// What one `ProcessingRequest` holds, by place.
#[derive(Default)]
struct Found {
    /// (field number of the oneof `request`, where it stands)
    content: Option<(u64, Range<usize>)>,
    attributes: Attributes,
    /// `metadata_context`, where Envoy forwards any.
    metadata: Option<Range<usize>>,
    modes: Option<BodyModes>,
}

/// The attributes that we ask for.
#[derive(Default)]
struct Attributes {
    source: Option<Box<str>>,
    route: Option<Box<str>>,
    code_details: Option<Box<str>>,
}

pub(super) fn decode(bytes: &Bytes) -> Result<Inbound, DecodeError> {
    let mut found = Found::default();
    for field in Fields::new(bytes, 0..bytes.len()) {
        match field? {
            (number @ 2..=7, Value::Span(content)) => found.content = Some((number, content)),
            (8, Value::Span(metadata)) => found.metadata = Some(metadata),
            (9, Value::Span(entry)) => attribute_group(bytes, entry, &mut found.attributes)?,
            (10, Value::Number(1..)) => return Err(DecodeError::Observed),
            (11, Value::Span(config)) => found.modes = Some(modes(bytes, config)?),
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => {}
        }
    }
    let attributes = found.attributes;
    let message = match found.content {
        Some((2, head)) => {
            let mut head = request_head(bytes, head, attributes)?;
            (head.claims, head.key) = claims::verified(bytes, found.metadata)?;
            Some(Message::RequestHeaders(head))
        }
        Some((3, head)) => Some(Message::ResponseHeaders(response_head(bytes, head, attributes)?)),
        Some((4, body)) => {
            let (chunk, end) = http_body(bytes, body)?;
            Some(Message::RequestBody { chunk, end })
        }
        Some((5, body)) => {
            let (chunk, end) = http_body(bytes, body)?;
            Some(Message::ResponseBody { chunk, end })
        }
        Some((6, _)) => Some(Message::RequestTrailers),
        Some((7, _)) => Some(Message::ResponseTrailers),
        Some(_) | None => None,
    };
    Ok(Inbound {
        modes: found.modes,
        message,
    })
}

fn request_head(bytes: &Bytes, range: Range<usize>, attributes: Attributes) -> Result<RequestHead, Malformed> {
    let (headers, end) = http_headers(bytes, range)?;
    Ok(RequestHead {
        headers,
        end,
        source: attributes.source,
        route: attributes.route,
        claims: None,
        key: None,
    })
}

fn response_head(bytes: &Bytes, range: Range<usize>, attributes: Attributes) -> Result<ResponseHead, Malformed> {
    let (headers, end) = http_headers(bytes, range)?;
    Ok(ResponseHead {
        headers,
        end,
        code_details: attributes.code_details,
    })
}

/// `HttpHeaders`: the headers, and whether nothing follows.
fn http_headers(bytes: &Bytes, range: Range<usize>) -> Result<(Headers, bool), Malformed> {
    let mut spans = Vec::with_capacity(24);
    let mut end = false;
    for field in Fields::new(bytes, range) {
        match field? {
            (1, Value::Span(map)) => header_map(bytes, map, &mut spans)?,
            (3, Value::Number(flag)) => end = flag != 0,
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => {}
        }
    }
    let shouting = |span: &HeaderSpan| slice(bytes, &span.name).iter().any(u8::is_ascii_uppercase);
    let headers = if spans.iter().any(shouting) {
        let pairs = spans
            .iter()
            .map(|span| (slice(bytes, &span.name), slice(bytes, &span.value)));
        pairs.collect()
    } else {
        Headers::within(bytes.clone(), spans)
    };
    Ok((headers, end))
}

fn header_map(bytes: &[u8], range: Range<usize>, spans: &mut Vec<HeaderSpan>) -> Result<(), Malformed> {
    for field in Fields::new(bytes, range) {
        if let (1, Value::Span(header)) = field? {
            spans.push(header_value(bytes, header)?);
        }
    }
    Ok(())
}

fn header_value(bytes: &[u8], range: Range<usize>) -> Result<HeaderSpan, Malformed> {
    let mut span = HeaderSpan {
        name: 0..0,
        value: 0..0,
    };
    for field in Fields::new(bytes, range) {
        match field? {
            (1, Value::Span(name)) => span.name = name,
            // Envoy fills one of the two, by runtime flag: bytes (3) since 1.27, text (2) before.
            (2 | 3, Value::Span(value)) if !value.is_empty() => span.value = value,
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => {}
        }
    }
    Ok(span)
}

/// `HttpBody`: the piece, and whether nothing follows.
fn http_body(bytes: &Bytes, range: Range<usize>) -> Result<(Bytes, bool), Malformed> {
    let mut chunk = Bytes::new();
    let mut end = false;
    for field in Fields::new(bytes, range) {
        match field? {
            (1, Value::Span(body)) => chunk = bytes.slice(body),
            (2 | 3, Value::Number(flag)) => end |= flag != 0,
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => {}
        }
    }
    Ok((chunk, end))
}

/// An entry of `attributes`: (1) the filter's name, (2) a `Struct` whose entries are the attributes.
fn attribute_group(bytes: &[u8], entry: Range<usize>, attributes: &mut Attributes) -> Result<(), Malformed> {
    let (key, group) = map_entry(bytes, entry)?;
    if slice(bytes, &key) != ATTRIBUTES {
        return Ok(());
    }
    for field in Fields::new(bytes, group) {
        let (1, Value::Span(entry)) = field? else { continue };
        let (name, value) = map_entry(bytes, entry)?;
        let kept = match slice(bytes, &name) {
            b"source.address" => &mut attributes.source,
            b"xds.route_name" => &mut attributes.route,
            b"response.code_details" => &mut attributes.code_details,
            _ => continue,
        };
        *kept = text(bytes, value)?;
    }
    Ok(())
}

/// Key and value of a map's entry.
fn map_entry(bytes: &[u8], entry: Range<usize>) -> Result<(Range<usize>, Range<usize>), Malformed> {
    let (mut key, mut value) = (0..0, 0..0);
    for field in Fields::new(bytes, entry) {
        match field? {
            (1, Value::Span(span)) => key = span,
            (2, Value::Span(span)) => value = span,
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => {}
        }
    }
    Ok((key, value))
}

/// `string_value` of a `google.protobuf.Value`, if it is that.
fn text(bytes: &[u8], value: Range<usize>) -> Result<Option<Box<str>>, Malformed> {
    let mut found = None;
    for field in Fields::new(bytes, value) {
        found = match field? {
            (3, Value::Span(text)) => std::str::from_utf8(slice(bytes, &text)).ok().map(Into::into),
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => None,
        };
    }
    Ok(found)
}

/// `ProtocolConfiguration`
fn modes(bytes: &[u8], range: Range<usize>) -> Result<BodyModes, Malformed> {
    let mut modes = BodyModes {
        request: BodyMode::None,
        response: BodyMode::None,
    };
    for field in Fields::new(bytes, range) {
        match field? {
            (1, Value::Number(number)) => modes.request = mode(number),
            (2, Value::Number(number)) => modes.response = mode(number),
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => {}
        }
    }
    Ok(modes)
}

/// `ProcessingMode.BodySendMode`
const fn mode(number: u64) -> BodyMode {
    match number {
        0 => BodyMode::None,
        2 => BodyMode::Buffered,
        3 => BodyMode::BufferedPartial,
        4 => BodyMode::FullDuplex,
        // Neither STREAMED (1) nor GRPC (5) nor a mode made up later is one that we can serve.
        _ => BodyMode::Streamed,
    }
}

fn slice<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    bytes.get(range.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
