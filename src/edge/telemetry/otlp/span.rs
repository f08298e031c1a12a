//! The spans of one exchange, by the semantic conventions for MCP: the server's, and a client's of the call that was made
//! for it. Pure.
//!
//! What comes from clients is cut. A session appears as the beginning of its hash, arguments and answers not at all.

use super::proto::any_value::Value;
use super::proto::span::status::Code;
use super::proto::span::{Kind, Link, Status};
use super::proto::{AnyValue, KeyValue, Span};
use crate::edge::telemetry::metrics::labels::{Call, ErrorType};
use crate::engine::exchange::record::Way;
use crate::engine::exchange::{Record, Traced};
use crate::engine::mcp::{Era, Method, Version};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A method, name or id is cut here, at the next lower character border.
const MAX_TEXT: usize = 256;

/// None, if the exchange is not traced, or nothing came of it.
pub(super) fn spans(record: &Record, elapsed: Duration, now: SystemTime) -> impl Iterator<Item = Span> {
    let traced = record.trace.as_deref().filter(|_| record.way != Way::Undecided);
    let both = traced.map(|traced| {
        let end = nanoseconds(now);
        let start = end.saturating_sub(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        let server = server(record, traced, start, end);
        let client = client(record, traced, start, end);
        [Some(server), client]
    });
    both.into_iter().flatten().flatten()
}

fn server(record: &Record, traced: &Traced, start: u64, end: u64) -> Span {
    let error = error_type(record);
    let mut attributes = common(record, traced, record.version, error);
    attributes.extend(record.client.as_deref().map(|client| text("client.address", client)));
    attributes.push(text("mcp.manifold.way", record.way.as_str()));
    attributes.extend(record.rule.as_deref().map(|rule| text("mcp.manifold.rule", rule)));
    attributes.extend(record.reason.map(|reason| text("mcp.manifold.reason", reason)));
    Span {
        span_id: traced.own.span.to_be_bytes().to_vec(),
        parent_span_id: traced
            .parent
            .map_or_else(Vec::new, |parent| parent.to_be_bytes().to_vec()),
        kind: Kind::Server.into(),
        links: traced
            .link
            .iter()
            .map(|link| Link {
                trace_id: link.trace.to_be_bytes().to_vec(),
                span_id: link.span.to_be_bytes().to_vec(),
            })
            .collect(),
        ..span(record, traced, (start, end), attributes, error)
    }
}

/// What an upstream was asked, if one was.
fn client(record: &Record, traced: &Traced, start: u64, end: u64) -> Option<Span> {
    let called = traced.called.filter(|_| Call::of(record).is_some())?;
    let since = u64::try_from(called.as_nanos()).unwrap_or(u64::MAX);
    let error = error_type(record);
    let mut attributes = common(record, traced, record.spoken, error);
    attributes.extend(
        record
            .upstream
            .as_deref()
            .map(|upstream| text("mcp.manifold.upstream", upstream)),
    );
    Some(Span {
        span_id: traced.call.to_be_bytes().to_vec(),
        parent_span_id: traced.own.span.to_be_bytes().to_vec(),
        kind: Kind::Client.into(),
        ..span(
            record,
            traced,
            (start.saturating_add(since).min(end), end),
            attributes,
            error,
        )
    })
}

fn span(record: &Record, traced: &Traced, time: (u64, u64), attributes: Vec<KeyValue>, error: Option<&str>) -> Span {
    Span {
        trace_id: traced.own.trace.to_be_bytes().to_vec(),
        trace_state: traced.state.as_deref().unwrap_or_default().to_owned(),
        name: name(record),
        start_time_unix_nano: time.0,
        end_time_unix_nano: time.1,
        attributes,
        status: error.map(|_| Status {
            message: String::new(),
            code: Code::Error.into(),
        }),
        ..Span::default()
    }
}

/// `tools/call NAME`.
fn name(record: &Record) -> String {
    let method = cut(record.method.as_deref().unwrap_or_default());
    match target(record) {
        Some((_, target)) => format!("{method} {}", cut(target)),
        None => method.to_owned(),
    }
}

/// What the method is about, and which attribute says so.
fn target(record: &Record) -> Option<(&'static str, &str)> {
    let name = record.tool.as_deref()?;
    let kinds = [
        (Method::ToolsCall, "gen_ai.tool.name"),
        (Method::PromptsGet, "gen_ai.prompt.name"),
    ];
    let (_, key) = kinds.into_iter().find(|(method, _)| record.known == Some(*method))?;
    Some((key, name))
}

fn common(record: &Record, traced: &Traced, version: Option<Version>, error: Option<&str>) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("mcp.method.name", record.method.as_deref().unwrap_or_default()),
        text("network.transport", "tcp"),
        text("network.protocol.name", "http"),
    ];
    // Notifications have none.
    let id = Some(unquoted(&traced.id)).filter(|id| !id.is_empty());
    attributes.extend(id.map(|id| text("jsonrpc.request.id", id)));
    attributes.extend(version.map(|version| text("mcp.protocol.version", version.as_str())));
    if let Some((key, name)) = target(record) {
        attributes.push(text(key, name));
    }
    if record.known == Some(Method::ToolsCall) {
        attributes.push(text("gen_ai.operation.name", "execute_tool"));
    }
    // Modern requests have none.
    let session = record.session.as_deref().filter(|_| record.era == Some(Era::Legacy));
    attributes.extend(session.map(|session| text("mcp.session.id", session)));
    if let Some(Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) = record.known {
        attributes.extend(record.tool.as_deref().map(|uri| text("mcp.resource.uri", uri)));
    }
    let code = record.code.map(|code| code.to_string());
    attributes.extend(code.map(|code| text("rpc.response.status_code", &code)));
    attributes.extend(error.map(|error| text("error.type", error)));
    attributes
}

fn error_type(record: &Record) -> Option<&'static str> {
    match ErrorType::of(record) {
        ErrorType::None => None,
        error @ (ErrorType::Code(_) | ErrorType::Status | ErrorType::Tool) => Some(error.as_str()),
    }
}

/// An attribute that is a text.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(cut(value).to_owned())),
        }),
    }
}

fn unquoted(id: &str) -> &str {
    id.strip_prefix('"').and_then(|id| id.strip_suffix('"')).unwrap_or(id)
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_TEXT)]
}

pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
